/** A data directory of very many small files, each stored for itself and in bundles. */
import { join } from 'node:path';
import type { Bed, Tool } from '../bed.ts';
import { compress, type Row, usual } from '../row.ts';
import { backup as prompt, smallFilesTarget } from '../target.ts';

const bundleOption = (bundle: boolean): string[] => (bundle ? ['--repo1-bundle'] : []);
const suffix = (bundle: boolean): string => `${bundle ? '-bundle' : ''}-lz4-2`;

function backup(bundle: boolean): Row {
  const repo = (tool: Tool) => `${tool.name}-repo`;
  return {
    name: `files/backup${suffix(bundle)}`,
    bed: 'files',
    target: prompt(smallFilesTarget),
    long: true,
    reset: async (bed, tool) => {
      await bed.freshRepository(tool, repo(tool), compress('lz4'));
      await bed.settle();
    },
    commands: (bed, tool) => [
      [...bed.base(tool, repo(tool)), ...usual, ...bundleOption(bundle), '--type=full', 'backup'],
    ],
  };
}

function restore(bundle: boolean): Row {
  const repo = `shared${suffix(bundle)}`;
  const target = (tool: Tool) => `${tool.name}-restored`;
  return {
    name: `files/restore${suffix(bundle)}`,
    bed: 'files',
    target: smallFilesTarget,
    long: true,
    ...(bundle ? {} : { onRequest: true }),
    prepare: (bed: Bed, reference) =>
      bed.once(repo, async () => {
        await bed.freshRepository(reference, repo, compress('lz4'));
        await bed.run([...bed.base(reference, repo), ...usual, ...bundleOption(bundle), '--type=full', 'backup']);
      }),
    reset: async (bed, tool) => {
      bed.emptyFolder(target(tool), 0o700);
      await bed.settle();
    },
    commands: (bed, tool) => [
      [...bed.base(tool, repo), '--process-max=2', `--pg1-path=${join(bed.cluster.root, target(tool))}`, 'restore'],
    ],
  };
}

export const smallFileRows: readonly Row[] = [backup(false), backup(true), restore(false), restore(true)];
