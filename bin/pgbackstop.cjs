#!/usr/bin/env node
'use strict';
const { existsSync, writeSync } = require('node:fs');
const { join } = require('node:path');

// Node's own code for a defect is 1, which from archive-get means that the archive lacks the file
const defect = 124;
process.on('uncaughtException', error => {
  try {
    writeSync(2, `ERROR: [${defect}]: ${error?.stack ?? error}\n`);
  } finally {
    process.exit(defect);
  }
});

const program = join(__dirname, '..', 'dist', 'main.cjs');
if (existsSync(program)) {
  // argv[1] is the name as it was typed (a symbolic link stays one): pgbackrest or pgbackstop.
  require(program)
    .main(process.argv.slice(2), process.env, process.argv[1])
    .then(code => process.exit(code));
} else {
  process.stderr.write(
    `pgbackstop is not built: ${program} is missing\nHINT: run 'npm ci && npm run build' in ${join(__dirname, '..')}\n`,
  );
  process.exit(defect);
}
