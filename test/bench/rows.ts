/** The rows of the bench. A later part of the project adds its rows to this list. */
import { basename, join } from 'node:path';
import type { Bed, BedName, Tool } from './bed.ts';
import type { Command } from './measure.ts';

export interface Row {
  /** As `--row` takes it. */
  readonly name: string;
  readonly bed: BedName;
  /** Commands that one run consists of: times are divided by it. */
  readonly count?: number;
  /** Once before the first run of any tool. `reference` makes what both tools read. */
  readonly prepare?: (bed: Bed, reference: Tool) => Promise<void>;
  /** Before every run. */
  readonly reset?: (bed: Bed, tool: Tool) => Promise<void>;
  /** What is measured. */
  readonly commands: (bed: Bed, tool: Tool) => Command[];
  /** Measured beside the tools, to tell what part of the time is Node's own. */
  readonly emptyNode?: boolean;
}

const codecs = ['none', 'lz4', 'zst', 'gz'] as const;
type Codec = (typeof codecs)[number];

/** Commands too short for one measurement are run so many times in a row. */
const shortCount = 20;

function compress(codec: Codec): string {
  return `--compress-type=${codec}`;
}

function backup(bed: BedName, codec: Codec, processMax: number): Row {
  const repo = (tool: Tool) => `${tool.name}-repo`;
  return {
    name: `${bed}/backup-${codec}-${processMax}`,
    bed,
    reset: async (on, tool) => {
      await on.freshRepository(tool, repo(tool), compress(codec));
      await on.settle();
    },
    commands: (on, tool) => [
      [...on.base(tool, repo(tool)), compress(codec), `--process-max=${processMax}`, '--type=full', 'backup'],
    ],
  };
}

/** A backup by the reference, which every row that reads one shares. */
async function sharedBackup(bed: Bed, reference: Tool, codec: Codec): Promise<void> {
  const repo = `shared-${codec}`;
  await bed.once(repo, async () => {
    await bed.freshRepository(reference, repo, compress(codec));
    await bed.run([...bed.base(reference, repo), compress(codec), '--process-max=2', '--type=full', 'backup']);
  });
}

function restore(bed: BedName, codec: Codec, processMax: number): Row {
  const target = (tool: Tool) => `${tool.name}-restored`;
  return {
    name: `${bed}/restore-${codec}-${processMax}`,
    bed,
    prepare: (on, reference) => sharedBackup(on, reference, codec),
    reset: async (on, tool) => {
      on.emptyFolder(target(tool), 0o700);
      await on.settle();
    },
    commands: (on, tool) => [
      [
        ...on.base(tool, `shared-${codec}`),
        `--process-max=${processMax}`,
        `--pg1-path=${join(on.cluster.root, target(tool))}`,
        'restore',
      ],
    ],
  };
}

function archivePush(codec: Codec): Row {
  const repo = (tool: Tool) => `${tool.name}-archive`;
  return {
    name: `archive-push-${codec}`,
    bed: 'size',
    count: 10,
    reset: async (bed, tool) => {
      await bed.freshRepository(tool, repo(tool), compress(codec));
      await bed.settle();
    },
    commands: (bed, tool) =>
      bed.segments.map(segment => [...bed.base(tool, repo(tool)), compress(codec), 'archive-push', segment]),
  };
}

function archiveGet(codec: Codec): Row {
  const repo = `shared-archive-${codec}`;
  return {
    name: `archive-get-${codec}`,
    bed: 'size',
    count: 10,
    prepare: (bed, reference) =>
      bed.once(repo, async () => {
        await bed.freshRepository(reference, repo, compress(codec));
        for (const segment of bed.segments) {
          await bed.run([...bed.base(reference, repo), compress(codec), 'archive-push', segment]);
        }
      }),
    reset: async (bed, tool) => {
      bed.emptyFolder(`${tool.name}-fetched`);
      await bed.settle();
    },
    commands: (bed, tool) =>
      bed.segments.map(segment => [
        ...bed.base(tool, repo),
        'archive-get',
        basename(segment),
        join(bed.folder(`${tool.name}-fetched`), basename(segment)),
      ]),
  };
}

const beds: readonly BedName[] = ['size', 'tables'];

export const rows: readonly Row[] = [
  ...beds.flatMap(bed => [
    ...codecs.flatMap(codec => [1, 2].map(processMax => backup(bed, codec, processMax))),
    ...codecs.flatMap(codec => [1, 2].map(processMax => restore(bed, codec, processMax))),
  ]),
  ...codecs.map(archivePush),
  ...codecs.map(archiveGet),
  {
    name: 'info',
    bed: 'size',
    count: shortCount,
    prepare: (bed, reference) => sharedBackup(bed, reference, 'lz4'),
    commands: (bed, tool) => Array<Command>(shortCount).fill([...bed.base(tool, 'shared-lz4'), 'info']),
  },
  {
    name: 'version',
    bed: 'size',
    count: shortCount,
    commands: (_bed, tool) => Array<Command>(shortCount).fill([...tool.command, 'version']),
    emptyNode: true,
  },
];

/** Rows whose name matches one of the patterns, where `*` stands for anything; all without a pattern. */
export function selectRows(patterns: readonly string[]): Row[] {
  if (patterns.length === 0) return [...rows];
  const tests = patterns.map(
    pattern => new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`),
  );
  return rows.filter(row => tests.some(test => test.test(row.name)));
}
