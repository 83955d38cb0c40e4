/** The background process of asynchronous archive-push: how many segments a second it gets away from a full pg_wal. */
import { join } from 'node:path';
import type { Bed, Repository, Tool } from '../bed.ts';
import type { RoundTrip } from '../object-store.ts';
import { type Codec, compress, type Row } from '../row.ts';
import { fillSpool } from '../spool.ts';

/** Ours ends after half a minute, and the server's next call starts another: both run until the spool says that all is done. */
const untilAllAreOut = `
count=$1 out=$2; shift 2
for try in 1 2 3 4 5 6 7 8; do
  [ "$(ls "$out" | grep -c '[.]ok$')" -lt "$count" ] || exit 0
  "$@" || exit
done
exit 1`;

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
      const out = join(bed.folder(`${tool.name}-spool`), 'archive', 'bench', 'out');
      const push = [...base, 'archive-push:async', `${dataDirectory}/pg_wal`];
      return [['sh', '-c', untilAllAreOut, 'sh', String(bed.options.pushSegments), out, ...push]];
    },
  };
}

const codecs = ['lz4', 'zst'] as const;

export const asyncRows: readonly Row[] = [
  ...codecs.map(codec => background(codec)),
  ...codecs.map(codec => background(codec, 50)),
];
