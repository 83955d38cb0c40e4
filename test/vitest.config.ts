import { dirname } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Suites that start real clusters: slow, and heavy on a machine with two cores. */
const clusterSuites = ['test/integration/**/*.test.ts', 'test/compat/**/*.test.ts', 'test/sweep/**/*.test.ts'];

/** What is true of a machine that has time: how much WAL is let go. */
const quietSuites = ['test/integration/s3-async-two-repos.test.ts'];

/** Globs of suites that are left out. vitest's own --exclude does not reach projects that have an exclude of their own. */
const leftOut = (process.env.PGBACKSTOP_WITHOUT ?? '').split(/\s+/).filter(glob => glob !== '');

/** Looks at what all others have done. */
const lastSuites = ['test/option-coverage.test.ts'];

export default defineConfig({
  root: dirname(import.meta.dirname),
  define: { __VERSION__: JSON.stringify('0.0.0-test') },
  test: {
    pool: 'forks',
    maxWorkers: 3,
    // vitest's own options for its workers are not for the programs that tests start: another user cannot read the
    // file of vitest's that they name.
    // The S3 server that a test may start (support/s3) is one for all workers, and ends with this process.
    env: { NODE_OPTIONS: '', PGBACKSTOP_S3_OWNER: String(process.pid) },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...clusterSuites, ...lastSuites, ...leftOut],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: clusterSuites,
          exclude: [...quietSuites, ...leftOut],
          // half of their time they wait: for disks, seconds, servers
          maxWorkers: 3,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'quiet',
          include: quietSuites,
          exclude: leftOut,
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: { name: 'last', include: lastSuites, exclude: leftOut, sequence: { groupOrder: 4 } },
      },
    ],
  },
});
