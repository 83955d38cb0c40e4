/**
 * What changed since: incremental backups and delta restores, of the large cluster as it was and with one page of a
 * hundred changed. A peer before 2.46 cannot back up by blocks: in those rows it copies whole files, and a note says so.
 */
import { closeSync, fstatSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Bed, Tool } from '../bed.ts';
import { type Row, sharedBackup, usual } from '../row.ts';
import { codecTarget, isBefore, backup as prompt, unchangedBackup } from '../target.ts';

const canBlock = (tool: Tool): boolean => tool.name === 'ours' || !isBefore(tool.version, [2, 46]);

/** Options of a repository; `block` only where the tool can. */
function repositoryOptions(tool: Tool, block: boolean): string[] {
  if (!block) return [];
  return ['--repo1-bundle', ...(canBlock(tool) ? ['--repo1-block'] : [])];
}

const note = (block: boolean): Pick<Row, 'note'> =>
  block ? { note: tools => (tools.every(canBlock) ? undefined : 'theirs without block') } : {};

/** A full backup by each tool, which it continues. @returns the repository */
async function ownBackup(bed: Bed, tool: Tool, block: boolean): Promise<string> {
  const repo = `${tool.name}-full${block ? '-block' : ''}`;
  await bed.once(repo, async () => {
    await bed.freshRepository(tool, repo, ...usual.slice(0, 1));
    await bed.run([...bed.base(tool, repo), ...usual, ...repositoryOptions(tool, block), '--type=full', 'backup']);
  });
  return repo;
}

interface Kind {
  readonly changed: boolean;
  readonly block: boolean;
}

const nameOf = ({ changed, block }: Kind): string => `${changed ? '1pct' : 'unchanged'}${block ? '-block' : ''}-lz4-2`;

function increment(kind: Kind): Row {
  const { changed, block } = kind;
  const repo = (tool: Tool) => `${tool.name}-incr`;
  return {
    name: `size/incr-${nameOf(kind)}`,
    bed: 'size',
    target: (changed ? prompt : unchangedBackup)(codecTarget('lz4')),
    ...note(block),
    prepare: async (bed, _reference, tools) => {
      for (const tool of tools) await ownBackup(bed, tool, block);
      // every table changes for good; the full backups of rows that come later are made of what is there then
      if (changed) await bed.changeTables();
    },
    reset: async (bed, tool) => {
      await bed.copyRepository(tool, await ownBackup(bed, tool, block), repo(tool), ...usual.slice(0, 1));
      await bed.settle();
    },
    commands: (bed, tool) => [
      [...bed.base(tool, repo(tool)), ...usual, ...repositoryOptions(tool, block), '--type=incr', 'backup'],
    ],
  };
}

const everyPages = 100;
const pageSize = 8192;
const mark = Buffer.from('changed!');

/** Writes into one page of a hundred, in every relation of a hundred pages or more. */
function changePages(dataDirectory: string): void {
  for (const entry of readdirSync(join(dataDirectory, 'base'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = openSync(join(entry.parentPath, entry.name), 'r+');
    const pages = fstatSync(file).size / pageSize;
    for (let page = everyPages - 1; page < pages; page += everyPages) {
      writeSync(file, mark, 0, mark.length, page * pageSize + pageSize / 2);
    }
    closeSync(file);
  }
}

function deltaRestore(kind: Kind): Row {
  const { changed, block } = kind;
  const target = (tool: Tool) => `${tool.name}-delta${block ? '-block' : ''}`;
  const repoOf = (tool: Tool) => (block ? `${tool.name}-full-block` : 'shared-lz4');
  const command = (bed: Bed, tool: Tool, ...options: string[]) => [
    ...bed.base(tool, repoOf(tool)),
    '--process-max=2',
    `--pg1-path=${join(bed.cluster.root, target(tool))}`,
    ...options,
    'restore',
  ];
  return {
    name: `size/restore-delta-${nameOf(kind)}`,
    bed: 'size',
    ...note(block),
    prepare: async (bed, reference, tools) => {
      for (const tool of tools) {
        if (block) await ownBackup(bed, tool, block);
        else await sharedBackup(bed, reference, 'lz4');
        await bed.once(target(tool), async () => {
          bed.emptyFolder(target(tool), 0o700);
          await bed.run(command(bed, tool));
        });
      }
    },
    // each run leaves the directory as the backup is
    reset: async (bed, tool) => {
      if (changed) changePages(join(bed.cluster.root, target(tool)));
      await bed.settle();
    },
    commands: (bed, tool) => [command(bed, tool, '--delta')],
  };
}

/** The unchanged first: afterwards the cluster is another. */
export const deltaRows: readonly Row[] = [
  ...[false, true].map(block => increment({ changed: false, block })),
  ...[false, true].map(block => increment({ changed: true, block })),
  deltaRestore({ changed: false, block: false }),
  ...[false, true].map(block => deltaRestore({ changed: true, block })),
];
