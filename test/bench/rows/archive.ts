/** archive-push and archive-get, one segment after the other, as PostgreSQL calls them. */
import { basename, join } from 'node:path';
import type { Tool } from '../bed.ts';
import { type Codec, codecs, compress, type Row } from '../row.ts';
import { codecTarget } from '../target.ts';

function archivePush(codec: Codec): Row {
  const repo = (tool: Tool) => `${tool.name}-archive`;
  return {
    name: `archive-push-${codec}`,
    bed: 'size',
    target: codecTarget(codec),
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
    target: codecTarget(codec),
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

export const archiveRows: readonly Row[] = [...codecs.map(archivePush), ...codecs.map(archiveGet)];
