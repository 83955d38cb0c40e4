/** What only looks at a repository or cleans it up: verify, expire, info; and version, which looks at nothing. */
import type { Command } from '../measure.ts';
import { type Row, sharedBackup, shortCount } from '../row.ts';

const repeated = (count: number, command: Command): Command[] => Array<Command>(count).fill(command);

/** info in a large repository takes long enough for a few runs. */
const fewCount = 5;

export const repositoryRows: readonly Row[] = [
  {
    name: 'verify-lz4-2',
    bed: 'size',
    prepare: async (bed, reference) => void (await sharedBackup(bed, reference, 'lz4')),
    commands: (bed, tool) => [[...bed.base(tool, 'shared-lz4'), '--process-max=2', 'verify']],
  },
  {
    name: 'wal/expire-half',
    bed: 'wal',
    reset: async (bed, tool) => bed.copyFolder('synthetic', `${tool.name}-expire`),
    commands: (bed, tool) => [
      [
        ...bed.base(tool, `${tool.name}-expire`, 'demo'),
        `--repo1-retention-full=${Math.ceil(bed.fullBackups / 2)}`,
        'expire',
      ],
    ],
  },
  {
    name: 'wal/expire-nothing',
    bed: 'wal',
    commands: (bed, tool) => [
      [...bed.base(tool, 'synthetic', 'demo'), `--repo1-retention-full=${bed.fullBackups}`, 'expire'],
    ],
  },
  {
    name: 'wal/info',
    bed: 'wal',
    count: fewCount,
    commands: (bed, tool) => repeated(fewCount, [...bed.base(tool, 'synthetic', 'demo'), 'info']),
  },
  {
    name: 'info',
    bed: 'size',
    count: shortCount,
    prepare: async (bed, reference) => void (await sharedBackup(bed, reference, 'lz4')),
    commands: (bed, tool) => repeated(shortCount, [...bed.base(tool, 'shared-lz4'), 'info']),
  },
  {
    name: 'version',
    bed: 'size',
    count: shortCount,
    commands: (_bed, tool) => repeated(shortCount, [...tool.command, 'version']),
    emptyNode: true,
  },
];
