/** One call of archive-push or archive-get, as PostgreSQL makes one for each segment. */
import { linkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Bed, Tool } from '../bed.ts';
import type { Command } from '../measure.ts';
import { compress, type Row } from '../row.ts';
import { fillSpool } from '../spool.ts';

const lz4 = compress('lz4');
const async = 'archive-async=y';

/** The first call warms up, and is not counted. */
const calls = (bed: Bed): number => bed.options.calls + 1;

const archive = (tool: Tool) => `${tool.name}-archive`;

const pushNow: Row = {
  name: 'latency/archive-push-lz4',
  bed: 'size',
  latency: true,
  reset: async (bed, tool) => {
    await bed.freshRepository(tool, archive(tool), lz4);
    await bed.settle();
  },
  commands: (bed, tool) =>
    bed.manySegments(calls(bed)).map(segment => [...bed.base(tool, archive(tool)), lz4, 'archive-push', segment]),
};

const getNow: Row = {
  name: 'latency/archive-get-lz4',
  bed: 'size',
  latency: true,
  prepare: (bed, reference) =>
    bed.once('latency-archive', async () => {
      await bed.freshRepository(reference, 'latency-archive', lz4);
      for (const segment of bed.segments) {
        await bed.run([...bed.base(reference, 'latency-archive'), lz4, 'archive-push', segment]);
      }
    }),
  reset: async (bed, tool) => {
    bed.emptyFolder(`${tool.name}-fetched`);
    await bed.settle();
  },
  commands: (bed, tool) => {
    const base = bed.base(tool, 'latency-archive');
    const folder = bed.folder(`${tool.name}-fetched`);
    const kept = bed.segments;
    return Array.from({ length: calls(bed) }, (_, at) => {
      const name = basename(kept[at % kept.length] ?? '');
      return [...base, 'archive-get', name, join(folder, `${name}-${at}`)];
    });
  },
};

/** Segments that wait, of which the spool says that all are pushed. */
function answeredPush(name: string, waiting: (bed: Bed) => number): Row {
  return {
    name: `latency/async-archive-push${name}`,
    bed: 'size',
    latency: true,
    reset: async (bed, tool) => {
      const { names } = bed.waitingSegments(waiting(bed));
      await fillSpool(bed, tool, 'out', folder => {
        for (const segment of names) writeFileSync(join(folder, `${segment}.ok`), '');
      });
      await bed.settle();
    },
    commands: (bed, tool) => {
      const { dataDirectory, names } = bed.waitingSegments(waiting(bed));
      const base = bed.baseWith(tool, archive(tool), `push-${waiting(bed)}`, [async], dataDirectory);
      return names
        .slice(0, calls(bed))
        .map((segment): Command => [...base, 'archive-push', join(dataDirectory, 'pg_wal', segment)]);
    },
  };
}

/** A queue of segments, all fetched; the background process need not be started for as long as half of it is there. */
function answeredGet(name: string, queue: (bed: Bed) => number): Row {
  return {
    name: `latency/async-archive-get${name}`,
    bed: 'size',
    latency: true,
    reset: async (bed, tool) => {
      bed.emptyFolder(`${tool.name}-fetched`);
      await fillSpool(bed, tool, 'in', folder => {
        for (const segment of bed.manySegments(queue(bed))) linkSync(segment, join(folder, basename(segment)));
      });
      await bed.settle();
    },
    commands: (bed, tool) => {
      const queueMax = `archive-get-queue-max=${queue(bed) * 16}MiB`;
      const base = bed.baseWith(tool, archive(tool), `async-${queue(bed)}`, [async, queueMax]);
      const folder = bed.folder(`${tool.name}-fetched`);
      const first = bed.manySegments(calls(bed)).map(segment => basename(segment));
      return first.map(segment => [...base, 'archive-get', segment, join(folder, segment)]);
    },
  };
}

/** What is looked up in so many files must take no longer. */
const many = 10_000;

export const latencyRows: readonly Row[] = [
  pushNow,
  getNow,
  answeredPush('', calls),
  answeredPush(`/${many}`, () => many),
  // half of the queue is there until the last call
  answeredGet('', bed => 2 * calls(bed) + 2),
  answeredGet(`/${many}`, () => many),
];
