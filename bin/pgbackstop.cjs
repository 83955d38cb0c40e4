#!/usr/bin/env node
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');

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
  process.exit(1);
}
