/**
 * Repositories in S3: what PostgreSQL calls for each segment, and full backups and restores of large files and of many
 * small ones in bundles; with the server beside the tools, and a round trip of 50 ms away.
 */
import { basename, join } from 'node:path';
import type { Bed, BedName, Repository, Tool } from '../bed.ts';
import { type RoundTrip, roundTrips } from '../object-store.ts';
import { compress, type Row, usual } from '../row.ts';
import { codecTarget, backup as prompt, smallFilesTarget, type Target } from '../target.ts';

const lz4 = compress('lz4');

const inBucket = (bed: Bed, name: string, roundTrip: RoundTrip): Repository => ({
  bucket: bed.bucket(name),
  roundTrip,
});

function archivePush(roundTrip: RoundTrip): Row {
  const repo = (bed: Bed, tool: Tool) => inBucket(bed, `${tool.name}-archive`, roundTrip);
  return {
    name: `s3/archive-push-lz4/${roundTrip}ms`,
    bed: 'size',
    roundTrip,
    countOf: ({ s3Segments }) => s3Segments,
    reset: async (bed, tool) => {
      await bed.freshRepository(tool, repo(bed, tool), lz4);
      await bed.settle();
    },
    commands: (bed, tool) => {
      const base = bed.base(tool, repo(bed, tool));
      return bed.manySegments(bed.options.s3Segments).map(segment => [...base, lz4, 'archive-push', segment]);
    },
  };
}

function archiveGet(roundTrip: RoundTrip): Row {
  const repo = (bed: Bed) => inBucket(bed, 'shared-archive', roundTrip);
  return {
    name: `s3/archive-get-lz4/${roundTrip}ms`,
    bed: 'size',
    roundTrip,
    countOf: ({ s3Segments }) => s3Segments,
    prepare: (bed, reference) =>
      bed.once('shared-archive', async () => {
        const near = inBucket(bed, 'shared-archive', 0);
        await bed.freshRepository(reference, near, lz4);
        const base = bed.base(reference, near);
        for (const segment of bed.manySegments(bed.options.s3Segments)) {
          await bed.run([...base, lz4, 'archive-push', segment]);
        }
      }),
    reset: async (bed, tool) => {
      bed.emptyFolder(`${tool.name}-fetched`);
      await bed.settle();
    },
    commands: (bed, tool) => {
      const base = bed.base(tool, repo(bed));
      const folder = bed.folder(`${tool.name}-fetched`);
      return bed
        .manySegments(bed.options.s3Segments)
        .map(segment => [...base, 'archive-get', basename(segment), join(folder, basename(segment))]);
    },
  };
}

/** What is backed up, and how. */
interface Kind {
  readonly bed: BedName;
  readonly title: string;
  readonly options: readonly string[];
  readonly target: Target;
}

const kinds: readonly Kind[] = [
  { bed: 'size', title: 'size', options: [], target: codecTarget('lz4') },
  { bed: 's3files', title: 'files', options: ['--repo1-bundle'], target: smallFilesTarget },
];

const suffix = ({ options }: Kind): string => `${options.length > 0 ? '-bundle' : ''}-lz4-2`;

function backup(kind: Kind, roundTrip: RoundTrip): Row {
  const repo = (bed: Bed, tool: Tool) => inBucket(bed, `${tool.name}-repo`, roundTrip);
  return {
    name: `s3/${kind.title}/backup${suffix(kind)}/${roundTrip}ms`,
    bed: kind.bed,
    target: prompt(kind.target),
    roundTrip,
    long: true,
    reset: async (bed, tool) => {
      await bed.freshRepository(tool, repo(bed, tool), lz4);
      await bed.settle();
    },
    commands: (bed, tool) => [[...bed.base(tool, repo(bed, tool)), ...usual, ...kind.options, '--type=full', 'backup']],
  };
}

function restore(kind: Kind, roundTrip: RoundTrip): Row {
  const target = (tool: Tool) => `${tool.name}-restored`;
  return {
    name: `s3/${kind.title}/restore${suffix(kind)}/${roundTrip}ms`,
    bed: kind.bed,
    target: kind.target,
    roundTrip,
    long: true,
    prepare: (bed, reference) =>
      bed.once('shared-bucket', async () => {
        const near = inBucket(bed, 'shared', 0);
        await bed.freshRepository(reference, near, lz4);
        await bed.run([...bed.base(reference, near), ...usual, ...kind.options, '--type=full', 'backup']);
      }),
    reset: async (bed, tool) => {
      bed.emptyFolder(target(tool), 0o700);
      await bed.settle();
    },
    commands: (bed, tool) => [
      [
        ...bed.base(tool, inBucket(bed, 'shared', roundTrip)),
        '--process-max=2',
        `--pg1-path=${join(bed.cluster.root, target(tool))}`,
        'restore',
      ],
    ],
  };
}

export const s3Rows: readonly Row[] = roundTrips.flatMap(roundTrip => [
  archivePush(roundTrip),
  archiveGet(roundTrip),
  ...kinds.flatMap(kind => [backup(kind, roundTrip), restore(kind, roundTrip)]),
]);
