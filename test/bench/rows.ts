/** The rows of the bench. A later part of the project adds its rows to this list. */
import type { Row } from './row.ts';
import { archiveRows } from './rows/archive.ts';
import { asyncRows } from './rows/async.ts';
import { deltaRows } from './rows/delta.ts';
import { fullRows } from './rows/full.ts';
import { latencyRows } from './rows/latency.ts';
import { recoveryRows } from './rows/recovery.ts';
import { repositoryRows } from './rows/repository.ts';
import { s3Rows } from './rows/s3.ts';
import { smallFileRows } from './rows/small-files.ts';

/** The short ones first: most of the table is there soon. A row that changes its cluster comes after those it would change. */
export const rows: readonly Row[] = [
  ...latencyRows,
  ...archiveRows,
  ...asyncRows,
  ...repositoryRows,
  ...fullRows,
  ...s3Rows,
  ...deltaRows,
  ...smallFileRows,
  ...recoveryRows,
];

/** Rows whose name matches one of the patterns, where `*` stands for anything; without a pattern all but those on request. */
export function selectRows(patterns: readonly string[]): Row[] {
  if (patterns.length === 0) return rows.filter(row => row.onRequest !== true);
  const tests = patterns.map(
    pattern => new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`),
  );
  return rows.filter(row => tests.some(test => test.test(row.name)));
}
