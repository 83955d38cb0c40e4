/**
 * `npm test`: sets up a fresh clone, runs every test, and ends with one plain line that counts them.
 *
 * Arguments go to vitest: `npm test -- test/codec`, `npm test -- --project unit`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { root, setUp } from '../src/setup.mjs';

await setUp();

/** Loads a module of the tests, which this Node may not be able to do by itself. */
async function load(module) {
  const { bundle } = await import('../src/build.mjs');
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-test-'));
  try {
    const file = join(folder, 'module.cjs');
    await bundle(module, file);
    return (await import(file)).default;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One line about the judge of the compatibility tests, from the same search that the tests make. */
async function compatLine() {
  const { findRealPgbackrest, skipReason } = await load('test/support/real-pgbackrest.ts');
  const real = findRealPgbackrest();
  return real === undefined ? skipReason : `compatibility tests run against ${real.path} ${real.version}`;
}

/** The same about the S3 server. */
async function s3Line() {
  const { hasS3Server, isFullS3Run, s3SkipReason } = await load('test/support/s3/radosgw.ts');
  if (!hasS3Server()) return s3SkipReason;
  return `S3 tests run against ${process.env.PGBACKSTOP_S3_LAB || 'radosgw'}${isFullS3Run() ? ', in full' : ''}`;
}

/** @returns how many tests passed, failed and were skipped; a file that could not be loaded counts as a failure */
function count(report) {
  const broken = report.testResults.filter(file => file.status === 'failed' && file.assertionResults.length === 0);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** Runs vitest under this very Node. @returns its exit code, and its counts when it got that far */
function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-test-'));
  const json = join(folder, 'report.json');
  const options = join(folder, 'options');
  mkdirSync(options);
  const env = {
    ...process.env,
    PATH: [join(process.execPath, '..'), process.env.PATH].join(delimiter),
    // what tests give is counted only when all of them run
    ...(args.length === 0 ? { PGBACKSTOP_OPTION_COVERAGE: options } : {}),
  };
  try {
    const { status, error } = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--config=test/vitest.config.ts',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${json}`,
        ...args,
      ],
      { cwd: root, stdio: 'inherit', env },
    );
    if (error) throw error;
    return { status: status ?? 1, ...count(JSON.parse(readFileSync(json, 'utf8'))) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const judges = [await compatLine(), await s3Line()];
console.log([`Node ${process.versions.node}`, ...judges].join('\n'));
const { status, passed, failed, skipped } = runTests(process.argv.slice(2));
console.log(judges.join('\n'));
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 && status === 0 ? 1 : status);
