/** What `npm run bench` understands. */
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { projectRoot } from '../support/unprivileged-project.ts';
import type { BedOptions } from './bed.ts';
import { fewestPairs } from './measure-row.ts';

export interface Options extends BedOptions {
  readonly pairs: number;
  readonly rowSeconds: number;
  readonly node?: string;
  readonly ours?: string;
  readonly theirs?: string;
  readonly json?: string;
  readonly markdown?: string;
  readonly svg?: string;
  readonly from?: readonly string[];
  readonly profile?: boolean;
  readonly profileFolder: string;
  readonly list?: boolean;
}

export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0 is wanted');
  return value;
}

export const resultFile = (name: string): string => join(projectRoot(), '.test', name);

/** Options that every command of the bench has. */
export function withTools(command: Command): Command {
  return command
    .option(
      '--node <path>',
      "the Node that ours runs on: an executable, or 'lts' for the newest LTS (fetched from npm)",
    )
    .option('--ours <path>', 'another executable in place of this pgbackstop')
    .option('--theirs <path>', 'the real pgbackrest (the one on PATH)');
}

export function benchCommand(): Command {
  const command = new Command('npm run bench --')
    .description(
      'Measures pgbackstop beside the real pgBackRest, in turns, and prints ratios (below 1: pgbackstop needs less).',
    )
    .argument('[rows...]', 'rows to measure, * stands for anything (all but those on request)')
    .option('--list', 'names the rows, with what each is to reach, and ends')
    .option('--pairs <n>', 'runs of each tool per row, in turns', positive, 5)
    .option(
      '--row-seconds <n>',
      `no more pairs after so long, when there are ${fewestPairs}; the table says so`,
      positive,
      50,
    );
  return withTools(command)
    .option('--json <path>', 'file for the results, complete after every row (.test/bench.json)')
    .option('--markdown <path>', 'file for the table, complete after every row')
    .option('--svg <path>', 'file for a chart of the ratios, complete after every row')
    .option(
      '--from <path>',
      'measures nothing: takes the results of this --json file; several are told side by side, or together when they are of the same programs',
      (path: string, before: readonly string[] = []) => [...before, path],
    )
    .option('--profile', 'runs ours once, profiled, instead: prints where the processor time goes')
    .option('--profile-folder <path>', 'where the profiles go', resultFile('profile'))
    .option('--size <megabytes>', 'size of the large cluster', positive, 500)
    .option('--tables <n>', 'tables of the cluster with many small ones', positive, 2000)
    .option('--files <n>', 'files of the cluster of small files', positive, 100_000)
    .option('--s3-files <n>', 'files of the cluster of small files in S3', positive, 20_000)
    .option('--s3-segments <n>', 'WAL segments that are pushed to S3, and got from there', positive, 20)
    .option('--push-segments <n>', 'WAL segments that a background process pushes', positive, 60)
    .option('--replay-segments <n>', 'WAL segments that a recovery replays', positive, 40)
    .option('--calls <n>', 'calls of which the latency is measured', positive, 100)
    .option('--segments <n>', 'WAL segments of the synthetic repository', positive, 100_000)
    .option('--backups <n>', 'backups of the synthetic repository', positive, 200)
    .addHelpText(
      'after',
      `
Each row has a target, the most that ours may take as a part of what theirs takes: 1.00, where it compresses with gz 0.40,
for many small files 0.60. A release of theirs before 2.59 waits in every backup for a second or more: beside that a backup
is to reach 0.50, one of an unchanged cluster 0.25. The largest process of ours is to stay below 150 MB. What misses its
target is named at the end.

Rows s3/* need radosgw, or the env.sh of an S3 server in PGBACKSTOP_S3_LAB; both tools reach it over TLS by the same
proxy, which adds the round trip that the row is named for. Requests are those of one command, counted in a run that is
not timed.

'growth' and 'million' make clusters of their own in memory (/dev/shm); both have a --help.

Examples:
  npm run bench -- --pairs 7 "size/*-lz4-*" version
  npm run bench -- --node lts --json lts.json --theirs /opt/pgbackrest-2.59/bin/pgbackrest
  npm run bench -- --from node20.json --from lts.json --markdown table.md --svg chart.svg
  npm run bench -- --profile size/backup-lz4-2
  npm run bench -- --size 1000 --s3-segments 100 --row-seconds 300 "s3/*"
  npm run bench -- growth --help`,
    );
}
