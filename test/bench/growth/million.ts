/** A data directory of a million files, empty and tiny: backup, verify and restore by both tools, in bundles and without. */
import { readdirSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { TestCluster } from '../../support/cluster.ts';
import { postgresVersion } from '../bench.ts';
import { watchInterrupt } from '../interrupt.ts';
import { measure, seldom } from '../measure.ts';
import { markdownTable, megabytes, seconds } from '../report.ts';
import { openWorkshop, type ToolOptions, type Workshop } from '../tools.ts';
import type { Point } from './exponent.ts';
import { addTinyFiles } from './fill.ts';
import { Ground } from './ground.ts';

export interface MillionOptions extends ToolOptions {
  readonly files: number;
  readonly folder: string;
  readonly oursOnly?: boolean;
}

export interface MillionRow {
  readonly command: string;
  readonly bundle: boolean;
  readonly tool: 'ours' | 'theirs';
  readonly cost: Point;
}

export interface MillionResult {
  readonly versions: Workshop['versions'];
  readonly files: number;
  readonly rows: readonly MillionRow[];
}

/** Data directory, repository and restored files are there at a time, and some folders. */
const copies = 3;
const spareInodes = 20_000;

/** Bytes that a file takes in its three places, with what the file system keeps of it. */
const bytesOfFile = 9 * 1024;
const tmpfs = 0x01021994;

function checkRoom(folder: string, count: number): void {
  const { ffree, files, bavail, bsize, type } = statfsSync(folder);
  const inodes = copies * count + spareInodes;
  // a file system without a limit says 0
  if (files > 0 && ffree < inodes) {
    throw new Error(
      `${folder} has room for ${ffree} more files, ${inodes} are wanted: mount one with more (mount -t tmpfs -o nr_inodes=4m tmpfs FOLDER) and name it with --folder`,
    );
  }
  const free = Math.min(bavail * bsize, type === tmpfs ? freemem() : Number.POSITIVE_INFINITY);
  if (free < count * bytesOfFile) {
    throw new Error(`${folder} has ${megabytes(free)} free, ${megabytes(count * bytesOfFile)} are wanted`);
  }
}

/** @param measured is told what there is after each command */
export async function million(
  options: MillionOptions,
  measured: (result: MillionResult) => void = () => undefined,
): Promise<MillionResult> {
  checkRoom(options.folder, options.files);
  const workshop = await openWorkshop(options);
  const { runner, versions } = workshop;
  const interrupt = watchInterrupt();
  const rows: MillionRow[] = [];
  try {
    const version = await postgresVersion(runner.user);
    await using cluster = await TestCluster.create(version === undefined ? {} : { version });
    console.error(`making ${options.files} files in ${options.folder}`);
    const ground = await Ground.create(options.folder, cluster.dataDirectory, runner, data =>
      addTinyFiles(data, options.files),
    );
    try {
      const { files } = ground.size();
      for (const bundle of [false, true]) {
        for (const tool of options.oursOnly ? workshop.tools.slice(0, 1) : workshop.tools) {
          await ground.freshRepository(tool, bundle ? ['repo1-bundle=y'] : []);
          const target = ground.emptyTarget(tool);
          for (const [command, ...args] of [
            ['backup', '--type=full', '--no-online', '--no-expire-auto'],
            ['verify'],
            ['restore', `--pg1-path=${target}`],
          ]) {
            interrupt.check();
            const { wall, cpu, memory } = await measure(runner, [ground.command(tool, command ?? '', ...args)], seldom);
            rows.push({ command: command ?? '', bundle, tool: tool.name, cost: { size: files, wall, cpu, ...memory } });
            console.error(line(rows.at(-1) as MillionRow).join('  '));
            measured({ versions, files, rows });
          }
          checkRestored(target, options.files);
          ground.removeAllOf(tool);
        }
      }
      return { versions, files, rows };
    } finally {
      ground.dispose();
    }
  } finally {
    workshop.close();
  }
}

/** @throws when files are missing */
function checkRestored(target: string, wanted: number): void {
  const base = join(target, 'base');
  const tiny = readdirSync(base).flatMap(folder =>
    readdirSync(join(base, folder)).filter(name => name.startsWith('tiny-')),
  );
  if (tiny.length !== wanted) throw new Error(`${tiny.length} files were restored, not ${wanted}`);
}

const line = ({ command, bundle, tool, cost }: MillionRow): string[] => [
  `${command}${bundle ? ', bundles' : ''}`,
  tool,
  seconds(cost.wall),
  seconds(cost.cpu),
  megabytes(cost.largest),
  megabytes(cost.peak),
];

export function millionTable({ rows }: MillionResult): string {
  return markdownTable([['command', 'tool', 'time', 'CPU', 'largest process', 'all processes'], ...rows.map(line)]);
}
