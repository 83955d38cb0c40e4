/** The background process of asynchronous archive-push: how many segments a second it gets away from a full pg_wal. */
import type { Bed, Repository, Tool } from '../bed.ts';
import type { RoundTrip } from '../object-store.ts';
import { type Codec, compress, type Row } from '../row.ts';
import { fillSpool } from '../spool.ts';

function background(codec: Codec, roundTrip?: RoundTrip): Row {
  const repo = (bed: Bed, tool: Tool): Repository => {
    const name = `${tool.name}-archive`;
    return roundTrip === undefined ? name : { bucket: bed.bucket(name), roundTrip };
  };
  return {
    name: `${roundTrip === undefined ? '' : 's3/'}async/archive-push-${codec}-2${roundTrip === undefined ? '' : `/${roundTrip}ms`}`,
    bed: 'size',
    ...(roundTrip === undefined ? {} : { roundTrip }),
    countOf: ({ pushSegments }) => pushSegments,
    unit: 'segments',
    long: true,
    reset: async (bed, tool) => {
      await bed.freshRepository(tool, repo(bed, tool), compress(codec));
      // level 2.59 leaves it to the foreground to make the folder
      await fillSpool(bed, tool, 'out', () => undefined);
      bed.waitingSegments(bed.options.pushSegments);
      await bed.settle();
    },
    commands: (bed, tool) => {
      const { dataDirectory } = bed.waitingSegments(bed.options.pushSegments);
      const settings = ['archive-async=y', 'process-max=2', `compress-type=${codec}`];
      const place = roundTrip === undefined ? codec : `${codec}-s3`;
      const base = bed.baseWith(tool, repo(bed, tool), `push-${place}`, settings, dataDirectory);
      return [[...base, 'archive-push:async', `${dataDirectory}/pg_wal`]];
    },
  };
}

const codecs = ['lz4', 'zst'] as const;

export const asyncRows: readonly Row[] = [
  ...codecs.map(codec => background(codec)),
  ...codecs.map(codec => background(codec, 50)),
];
