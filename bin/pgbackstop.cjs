#!/usr/bin/env node
'use strict';
const { existsSync, writeSync } = require('node:fs');
const { join } = require('node:path');

// Node's own code for what nobody catches is 1, which from archive-get means that the archive lacks the file.
const defect = 124;
// While an upgrade replaces our files some are missing. To PostgreSQL this is what a shell says of a missing program:
// recovery stops, and does not take the WAL for complete.
const incomplete = 127;

process.on('uncaughtException', error => {
  const code =
    ['ENOENT', 'MODULE_NOT_FOUND'].includes(error?.code) || error instanceof SyntaxError ? incomplete : defect;
  try {
    writeSync(2, `ERROR: [${code}]: ${error?.stack ?? error}\n`);
  } finally {
    process.exit(code);
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
  process.exit(incomplete);
}
