/** Full backups and restores into an empty directory. */
import { join } from 'node:path';
import type { BedName, Tool } from '../bed.ts';
import { type Codec, codecs, compress, type Row, sharedBackup } from '../row.ts';
import { codecTarget, backup as prompt, smallFilesTarget, type Target } from '../target.ts';

/** Where files are many and small, the codec matters little. */
const rare = (bed: BedName, codec: Codec): Pick<Row, 'onRequest'> =>
  bed === 'tables' && codec !== 'lz4' ? { onRequest: true } : {};

/** The cluster of many tables is one of small files: what is for gz is for large ones. */
const targetOf = (bed: BedName, codec: Codec): Target => (bed === 'tables' ? smallFilesTarget : codecTarget(codec));

function backup(bed: BedName, codec: Codec, processMax: number): Row {
  const repo = (tool: Tool) => `${tool.name}-repo`;
  return {
    name: `${bed}/backup-${codec}-${processMax}`,
    bed,
    target: prompt(targetOf(bed, codec)),
    ...rare(bed, codec),
    ...(codec === 'gz' ? { long: true } : {}),
    reset: async (on, tool) => {
      await on.freshRepository(tool, repo(tool), compress(codec));
      await on.settle();
    },
    commands: (on, tool) => [
      [...on.base(tool, repo(tool)), compress(codec), `--process-max=${processMax}`, '--type=full', 'backup'],
    ],
  };
}

function restore(bed: BedName, codec: Codec, processMax: number): Row {
  const target = (tool: Tool) => `${tool.name}-restored`;
  return {
    name: `${bed}/restore-${codec}-${processMax}`,
    bed,
    target: targetOf(bed, codec),
    ...rare(bed, codec),
    prepare: async (on, reference) => void (await sharedBackup(on, reference, codec)),
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

/** On both clusters, with one process and with two. */
export const fullRows: readonly Row[] = (['size', 'tables'] as const).flatMap(bed => [
  ...codecs.flatMap(codec => [1, 2].map(processMax => backup(bed, codec, processMax))),
  ...codecs.flatMap(codec => [1, 2].map(processMax => restore(bed, codec, processMax))),
]);
