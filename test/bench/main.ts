/** `npm run bench`: takes the command line apart. */
import { readFileSync } from 'node:fs';
import { hasS3Server, s3SkipReason } from '../support/s3/radosgw.ts';
import { bench } from './bench.ts';
import { benchCommand, type Options } from './command-line.ts';
import { columnsOf, compare } from './comparison.ts';
import { writeTold } from './files.ts';
import { growthCommand, millionCommand } from './growth/command.ts';
import { profile } from './profile.ts';
import { parseResult, type Result } from './result.ts';
import type { Row } from './row.ts';
import { rows, selectRows } from './rows.ts';
import { targetRatio } from './target.ts';

function list(): void {
  for (const { name, target, onRequest } of rows) {
    console.log(`${name}  ${targetRatio(target, undefined).toFixed(2)}${onRequest ? '  (on request)' : ''}`);
  }
}

/** Files that were written before rows said what they are to reach lack it. */
function readResult(path: string): Result {
  const result = parseResult(readFileSync(path, 'utf8'));
  const add = <Found extends { readonly name: string; readonly target?: number }>(row: Found): Found => ({
    ...row,
    target: row.target ?? targetRatio(rows.find(({ name }) => name === row.name)?.target, result.versions.theirs),
  });
  return { ...result, rows: result.rows.map(add), latencies: result.latencies.map(add) };
}

function chosenRows(patterns: readonly string[]): Row[] {
  const selected = selectRows(patterns);
  if (selected.length === 0) throw new Error(`no row is named ${patterns.join(' or ')} (see --list)`);
  const chosen = hasS3Server() ? selected : selected.filter(row => row.roundTrip === undefined);
  if (chosen.length < selected.length) console.error(s3SkipReason.replace('S3 tests', 'rows s3/*'));
  return chosen;
}

const program = benchCommand();
program
  .enablePositionalOptions()
  .action(async (patterns: string[], options: Options) => {
    if (options.list) return list();
    if (options.from !== undefined) {
      const columns = columnsOf(
        options.from.map(readResult),
        rows.map(({ name }) => name),
      );
      writeTold(columns, options);
      return console.log(compare(columns));
    }
    if (options.profile && patterns.length === 0) throw new Error('--profile wants the names of rows');
    await (options.profile ? profile : bench)(chosenRows(patterns), options);
  })
  .addCommand(growthCommand())
  .addCommand(millionCommand());

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
