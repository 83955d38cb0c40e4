/** Turns the files of one manifest into jobs for verify. Walks the table; makes no list of files but those in bundles. */
import { BackstopError } from '../../base/error.ts';
import type { CompressType } from '../../codec/compress.ts';
import { bundleReads, cutReads } from '../../repo/bundle-reads.ts';
import { isBackupLabel } from '../../repo/label.ts';
import { backupFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { compressSuffix, emptyChecksum, type Manifest } from '../../repo/manifest/manifest.ts';
import type { VerifyTask } from './job.ts';

const jobBytes = 4 * 1024 * 1024;
const jobFiles = 64;

/** What is to be done for each file, by its index. */
export const nothingToDo = 0;
export const readAlone = 1;
export const readFromBundle = 2;
export type FileWork = typeof nothingToDo | typeof readAlone | typeof readFromBundle;

/** Stored for a file, or for the bundle it is in. */
export function placeOf(stanza: string, manifest: Manifest, file: ManifestFile): string {
  const { header } = manifest;
  const label = file.reference ?? header.label;
  if (!isBackupLabel(label)) throw new BackstopError('format', `manifest refers to '${label}', which is no backup`);
  return backupFile(stanza, label, file, compressSuffix(header.options.compressType));
}

/** What a worker is to read for a file. */
export function taskOf(stanza: string, manifest: Manifest, file: ManifestFile): VerifyTask {
  const { header } = manifest;
  const path = placeOf(stanza, manifest, file);
  const isBundled = file.bundleId > 0;
  const stored = isBundled
    ? { path, part: { offset: file.bundleOffset, length: file.sizeRepo } }
    : { path, storedSize: file.sizeRepo };
  if (file.checksumRepo !== undefined) return { ...stored, checksum: file.checksumRepo, size: file.sizeRepo };
  const type = header.options.compressType;
  return {
    ...stored,
    checksum: file.size === 0 ? emptyChecksum : (file.checksum ?? ''),
    size: file.size,
    decode: {
      ...(type === 'none' ? {} : { compression: type satisfies CompressType }),
      ...(header.cipherPass === undefined ? {} : { passphrase: header.cipherPass }),
      raw: isBundled && header.bundleRaw,
    },
  };
}

/**
 * Indexes of files that a job reads together: large ones alone and first, members of a bundle in the order in which they
 * lie there.
 * @param work what is to be done, by index
 * @param workers given for an object store: a job is then one large read of a bundle
 */
export function* queueFiles({ files }: Manifest, work: Uint8Array, workers?: number): Generator<number[]> {
  const sizeRepo = (index: number) => files.sizeRepo(index);
  const isLarge = (index: number) => sizeRepo(index) >= jobBytes;
  for (let index = 0; index < work.length; index++) {
    if (work[index] === readAlone && isLarge(index)) yield [index];
  }
  const { sizes, members } = findBundles(files, work);
  if (workers === undefined) {
    yield* fill(flatten(members()), sizeRepo);
  } else {
    const readBytes = bundleReads(sizes, workers);
    let at = 0;
    for (const bundle of members()) yield* cutReads(bundle, sizeRepo, readBytes(sizes[at++] ?? 0));
  }
  yield* fill(smallFiles(work, isLarge), sizeRepo);
}

function* smallFiles(work: Uint8Array, isLarge: (index: number) => boolean): Generator<number> {
  for (let index = 0; index < work.length; index++) {
    if (work[index] === readAlone && !isLarge(index)) yield index;
  }
}

function* fill(indexes: Iterable<number>, sizeRepo: (index: number) => number): Generator<number[]> {
  let job: number[] = [];
  let bytes = 0;
  for (const index of indexes) {
    const size = sizeRepo(index);
    if (job.length > 0 && (bytes + size > jobBytes || job.length === jobFiles)) {
      yield job;
      job = [];
      bytes = 0;
    }
    job.push(index);
    bytes += size;
  }
  if (job.length > 0) yield job;
}

function* flatten(lists: Iterable<readonly number[]>): Generator<number> {
  for (const list of lists) yield* list;
}

/** Bundles with their members in order: two passes over the table put them in place, so that only bundles are sorted. */
function findBundles(
  files: Manifest['files'],
  work: Uint8Array,
): { readonly sizes: readonly number[]; readonly members: () => Generator<number[]> } {
  const numbers = new Map<string, number>();
  const counts: number[] = [];
  const sizes: number[] = [];
  const bundleOf = (index: number) => {
    const key = `${files.referenceNumber(index)}/${files.bundleId(index)}`;
    let number = numbers.get(key);
    if (number === undefined) {
      number = counts.length;
      numbers.set(key, number);
      counts.push(0);
      sizes.push(0);
    }
    return number;
  };
  let total = 0;
  for (let index = 0; index < work.length; index++) {
    if (work[index] !== readFromBundle) continue;
    const number = bundleOf(index);
    counts[number] = (counts[number] ?? 0) + 1;
    sizes[number] = (sizes[number] ?? 0) + files.sizeRepo(index);
    total++;
  }
  const order = new Uint32Array(total);
  const ends: number[] = [];
  let start = 0;
  for (const count of counts) {
    ends.push(start);
    start += count;
  }
  for (let index = 0; index < work.length; index++) {
    if (work[index] !== readFromBundle) continue;
    const number = bundleOf(index);
    const at = ends[number] ?? 0;
    order[at] = index;
    ends[number] = at + 1;
  }
  function* members(): Generator<number[]> {
    let first = 0;
    for (const end of ends) {
      const bundle = Array.from(order.subarray(first, end));
      yield bundle.sort((a, b) => files.bundleOffset(a) - files.bundleOffset(b));
      first = end;
    }
  }
  return { sizes, members };
}
