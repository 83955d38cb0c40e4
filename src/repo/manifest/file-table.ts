/**
 * The files of a manifest in columns, instead of one object per file. A file takes its name and 20 bytes while a cluster is
 * looked at, 60 once it is copied with compression or encryption, and up to 85 with bundles, blocks and references.
 */
import { BackstopError } from '../../base/error.ts';
import { DigestColumn, NameColumn, NumberColumn } from './columns.ts';

/** Page numbers with errors; consecutive ones as `[first, last]`. */
export type PageErrors = readonly (number | readonly [number, number])[];

/** One file of a backup, materialised on demand. */
export interface ManifestFile {
  /** `pg_data/base/1/112`, `pg_tblspc/16384/PG_15_202209061/5/16385` */
  readonly name: string;
  /** Bytes copied; while a backup runs, bytes seen. */
  readonly size: number;
  /** Bytes seen when the manifest was built. */
  readonly sizeOriginal: number;
  /** Bytes stored for this file, alone or in its bundle. */
  readonly sizeRepo: number;
  /** Modification time, seconds since the epoch. */
  readonly timestamp: number;
  /** SHA-1 of the content, 40 hex digits; absent until copied (never written for an empty file). */
  readonly checksum?: string;
  /** SHA-1 of the stored bytes, when compression, encryption or blocks altered them. */
  readonly checksumRepo?: string;
  /** Present when page checksums apply: false when errors were found. */
  readonly checksumPage?: boolean;
  readonly checksumPageErrors?: PageErrors;
  /** The earlier backup that stores the bytes; absent when this one does. */
  readonly reference?: string;
  /** 0 when not bundled. */
  readonly bundleId: number;
  readonly bundleOffset: number;
  /** Bytes of a block; 0 when the file is not block-incremental. */
  readonly blockSize: number;
  /** Bytes kept of each block's hash. */
  readonly blockChecksumSize: number;
  /** Stored bytes of the block map; 0 until stored. */
  readonly blockMapSize: number;
  readonly mode: number;
  /** Owner's names; false when the owner has none. */
  readonly user: string | false;
  readonly group: string | false;
}

const hasChecksum = 1;
const hasChecksumRepo = 2;
const hasChecksumPage = 4;
const checksumPageGood = 8;

const pageFlags = (isGood: boolean): number => hasChecksumPage | (isGood ? checksumPageGood : 0);

/** A file as it is added: owner and mode left out mean the table's defaults. */
export type NewManifestFile = Omit<ManifestFile, 'mode' | 'user' | 'group'> & {
  readonly mode?: number;
  readonly user?: string | false;
  readonly group?: string | false;
};

/** What is learned of a file while it is copied. */
export interface CopiedFile {
  /** As in ManifestFile, like all others. */
  readonly size: number;
  readonly sizeRepo: number;
  readonly checksum: string;
  readonly checksumRepo?: string | undefined;
  readonly bundleId: number;
  readonly bundleOffset: number;
  readonly blockMapSize: number;
  /** Absent: stays as it is. */
  readonly checksumPage?: boolean | undefined;
  readonly checksumPageErrors?: PageErrors | undefined;
}

export interface FileDefaults {
  readonly user: string | false;
  readonly group: string | false;
  readonly mode: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Owner and mode as one value, since nearly all files of a cluster have the same. Absent: the table's defaults. */
type Attributes = Partial<FileDefaults>;

/** Sorted by name (bytes) after sort(). Indexes are stable between sorts. */
export class FileTable {
  #length = 0;
  #name = new NameColumn();
  #size = new NumberColumn(32);
  /** Larger by one than what they say; 0 means the size, as most files have it. */
  #sizeOriginal = new NumberColumn(32);
  #sizeRepo = new NumberColumn(32);
  #timestamp = new NumberColumn(32);
  #flags = new NumberColumn(8);
  #checksum = new DigestColumn();
  #checksumRepo = new DigestColumn();
  #attributes = new NumberColumn(16);
  #reference = new NumberColumn(16);
  #bundleId = new NumberColumn(32);
  #bundleOffset = new NumberColumn(32);
  #blockSize = new NumberColumn(32);
  #blockChecksumSize = new NumberColumn(8);
  #blockMapSize = new NumberColumn(32);
  /** Page errors are rare: only files that have some stand here. */
  #pageErrors = new Map<number, PageErrors>();
  #knownAttributes = new Interner<Attributes>(JSON.stringify, [attributesOf({})]);
  #references = new Interner<string | undefined>(label => label, [undefined]);
  /** What find() found last. */
  #found = -1;
  #defaults: FileDefaults = { user: false, group: false, mode: 0o600 };

  /** What files added without owner or mode have, also those added before. */
  setDefaults(defaults: FileDefaults): void {
    this.#defaults = defaults;
  }

  get length(): number {
    return this.#length;
  }

  /** A table of its own with the same files and indexes. */
  copy(): FileTable {
    const copy = new FileTable();
    copy.#length = this.#length;
    copy.#name = this.#name.copy();
    copy.#size = this.#size.copy();
    copy.#sizeOriginal = this.#sizeOriginal.copy();
    copy.#sizeRepo = this.#sizeRepo.copy();
    copy.#timestamp = this.#timestamp.copy();
    copy.#flags = this.#flags.copy();
    copy.#checksum = this.#checksum.copy();
    copy.#checksumRepo = this.#checksumRepo.copy();
    copy.#attributes = this.#attributes.copy();
    copy.#reference = this.#reference.copy();
    copy.#bundleId = this.#bundleId.copy();
    copy.#bundleOffset = this.#bundleOffset.copy();
    copy.#blockSize = this.#blockSize.copy();
    copy.#blockChecksumSize = this.#blockChecksumSize.copy();
    copy.#blockMapSize = this.#blockMapSize.copy();
    copy.#pageErrors = new Map(this.#pageErrors);
    copy.#knownAttributes = this.#knownAttributes.copy();
    copy.#references = this.#references.copy();
    copy.#defaults = this.#defaults;
    return copy;
  }

  /** @returns the index of the new file */
  add(file: NewManifestFile): number {
    const index = this.#length;
    this.#name.set(index, file.name);
    this.#put(index, file);
    this.#length++;
    return index;
  }

  get(index: number): ManifestFile {
    this.#check(index);
    const flags = this.#flags.get(index);
    const { mode, user, group } = this.#knownAttributes.value(this.#attributes.get(index));
    // one object, put together step by step: spreading into it would take ten times as long
    const file: Mutable<ManifestFile> = {
      name: this.#name.get(index),
      size: this.size(index),
      sizeOriginal: this.sizeOriginal(index),
      sizeRepo: this.sizeRepo(index),
      timestamp: this.timestamp(index),
      bundleId: this.#bundleId.get(index),
      bundleOffset: this.#bundleOffset.get(index),
      blockSize: this.#blockSize.get(index),
      blockChecksumSize: this.#blockChecksumSize.get(index),
      blockMapSize: this.#blockMapSize.get(index),
      mode: mode ?? this.#defaults.mode,
      user: user ?? this.#defaults.user,
      group: group ?? this.#defaults.group,
    };
    if ((flags & hasChecksum) !== 0) file.checksum = this.#checksum.get(index);
    if ((flags & hasChecksumRepo) !== 0) file.checksumRepo = this.#checksumRepo.get(index);
    if ((flags & hasChecksumPage) !== 0) file.checksumPage = (flags & checksumPageGood) !== 0;
    const pageErrors = this.#pageErrors.get(index);
    if (pageErrors !== undefined) file.checksumPageErrors = pageErrors;
    const reference = this.reference(index);
    if (reference !== undefined) file.reference = reference;
    return file;
  }

  /** Notes what was learned; all else stays. An empty file has no blocks. */
  noteCopied(index: number, file: CopiedFile): void {
    this.#check(index);
    this.#putSizes(index, file.size, this.sizeOriginal(index), file.sizeRepo);
    const pages =
      file.checksumPage === undefined
        ? this.#flags.get(index) & (hasChecksumPage | checksumPageGood)
        : pageFlags(file.checksumPage);
    this.#flags.set(index, hasChecksum | (file.checksumRepo === undefined ? 0 : hasChecksumRepo) | pages);
    this.#checksum.set(index, file.checksum);
    if (file.checksumRepo !== undefined) this.#checksumRepo.set(index, file.checksumRepo);
    this.#putPageErrors(index, file.checksumPageErrors);
    this.#bundleId.set(index, file.bundleId);
    this.#bundleOffset.set(index, file.bundleOffset);
    this.#blockMapSize.set(index, file.blockMapSize);
    if (file.size > 0) return;
    this.#blockSize.set(index, 0);
    this.#blockChecksumSize.set(index, 0);
  }

  /**
   * Takes over what another table knows of a file's content, and where it is stored; time, owner, mode and the size that
   * was seen stay.
   * @param checksum when the other has none
   * @param reference label of the backup that stores the bytes
   */
  takeContent(index: number, from: FileTable, fromIndex: number, checksum: string, reference: string): void {
    this.#check(index);
    from.#check(fromIndex);
    this.#putSizes(index, from.size(fromIndex), this.sizeOriginal(index), from.sizeRepo(fromIndex));
    const flags = from.#flags.get(fromIndex);
    this.#flags.set(index, flags | hasChecksum);
    if ((flags & hasChecksum) === 0) this.#checksum.set(index, checksum);
    else this.#checksum.take(index, from.#checksum, fromIndex);
    if ((flags & hasChecksumRepo) !== 0) this.#checksumRepo.take(index, from.#checksumRepo, fromIndex);
    this.#putPageErrors(index, from.#pageErrors.get(fromIndex));
    this.#reference.set(index, this.#references.index(reference));
    this.#bundleId.set(index, from.#bundleId.get(fromIndex));
    this.#bundleOffset.set(index, from.#bundleOffset.get(fromIndex));
    this.#blockSize.set(index, from.#blockSize.get(fromIndex));
    this.#blockChecksumSize.set(index, from.#blockChecksumSize.get(fromIndex));
    this.#blockMapSize.set(index, from.#blockMapSize.get(fromIndex));
  }

  /** Replaces everything but the name. */
  set(index: number, file: Omit<NewManifestFile, 'name'>): void {
    this.#check(index);
    this.#put(index, file);
  }

  name(index: number): string {
    this.#check(index);
    return this.#name.get(index);
  }

  owner(index: number): { readonly user: string | false; readonly group: string | false } {
    const { user, group } = this.#knownAttributes.value(this.#attributes.get(index));
    return { user: user ?? this.#defaults.user, group: group ?? this.#defaults.group };
  }

  size(index: number): number {
    return this.#size.get(index);
  }

  sizeOriginal(index: number): number {
    const other = this.#sizeOriginal.get(index);
    return other === 0 ? this.size(index) : other - 1;
  }

  sizeRepo(index: number): number {
    const other = this.#sizeRepo.get(index);
    return other === 0 ? this.size(index) : other - 1;
  }

  timestamp(index: number): number {
    return this.#timestamp.get(index);
  }

  /** Whether the content's checksum is known. */
  hasChecksum(index: number): boolean {
    return (this.#flags.get(index) & hasChecksum) !== 0;
  }

  /** A number for the backup that stores the bytes: equal for equal references, 0 for this one. */
  referenceNumber(index: number): number {
    return this.#reference.get(index);
  }

  /** The earlier backup that stores the bytes; undefined when this one does. */
  reference(index: number): string | undefined {
    return this.#references.value(this.#reference.get(index));
  }

  bundleId(index: number): number {
    return this.#bundleId.get(index);
  }

  bundleOffset(index: number): number {
    return this.#bundleOffset.get(index);
  }

  /** Bytes of a block; 0 for a file that is not block-incremental. */
  blockSize(index: number): number {
    return this.#blockSize.get(index);
  }

  /** Bytes kept of each block's hash. */
  blockChecksumSize(index: number): number {
    return this.#blockChecksumSize.get(index);
  }

  /** Whether page checksums apply. */
  hasPages(index: number): boolean {
    return (this.#flags.get(index) & hasChecksumPage) !== 0;
  }

  /** Stored bytes of the block map; 0 for a file that is not stored by blocks. */
  blockMapSize(index: number): number {
    return this.#blockMapSize.get(index);
  }

  /** Index of the file with this name, in a sorted table. Quickest for names that are asked for in their order. */
  find(name: string): number | undefined {
    const wanted = Buffer.from(name);
    const next = this.#found + 1;
    if (next < this.#length && this.#name.compareWith(next, wanted) === 0) {
      this.#found = next;
      return next;
    }
    let low = 0;
    let high = this.#length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#name.compareWith(middle, wanted);
      if (order === 0) {
        this.#found = middle;
        return middle;
      }
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /**
   * Sorts by the bytes of the names and drops the files that `keep` refuses. Indexes change.
   * @returns a file that has the name of the one before it, if there is one
   */
  sort(keep?: (index: number) => boolean): number | undefined {
    if (keep !== undefined) this.#keepOnly(keep);
    const { sorted, twin } = this.#look();
    if (sorted) return twin;
    const order = Array.from({ length: this.#length }, (_, index) => index);
    order.sort((a, b) => this.#name.compareRows(a, b));
    // in place, row by row around each cycle of the order: a copy of the table would be as large as the table
    const spare = this.#length;
    for (let start = 0; start < order.length; start++) {
      if (order[start] === start || order[start] === -1) continue;
      this.#copyRow(start, spare);
      let to = start;
      for (let from = order[to] ?? 0; from !== start; from = order[to] ?? 0) {
        this.#copyRow(from, to);
        order[to] = -1;
        to = from;
      }
      this.#copyRow(spare, to);
      order[to] = -1;
    }
    this.#pageErrors.delete(spare);
    return this.#look().twin;
  }

  /** Whether names come in their order, and whether one comes twice, as far as they do. */
  #look(): { readonly sorted: boolean; readonly twin?: number } {
    let twin: number | undefined;
    for (let i = 1; i < this.#length; i++) {
      const order = this.#name.compareRows(i - 1, i);
      if (order > 0) return { sorted: false };
      if (order === 0) twin ??= i;
    }
    return { sorted: true, ...(twin === undefined ? {} : { twin }) };
  }

  #keepOnly(keep: (index: number) => boolean): void {
    let kept = 0;
    for (let index = 0; index < this.#length; index++) {
      if (!keep(index)) continue;
      if (kept !== index) this.#copyRow(index, kept);
      kept++;
    }
    for (const index of this.#pageErrors.keys()) if (index >= kept) this.#pageErrors.delete(index);
    this.#length = kept;
  }

  #copyRow(from: number, to: number): void {
    this.#name.copyRow(from, to);
    this.#size.copyRow(from, to);
    this.#sizeOriginal.copyRow(from, to);
    this.#sizeRepo.copyRow(from, to);
    this.#timestamp.copyRow(from, to);
    this.#flags.copyRow(from, to);
    this.#checksum.copyRow(from, to);
    this.#checksumRepo.copyRow(from, to);
    this.#attributes.copyRow(from, to);
    this.#reference.copyRow(from, to);
    this.#bundleId.copyRow(from, to);
    this.#bundleOffset.copyRow(from, to);
    this.#blockSize.copyRow(from, to);
    this.#blockChecksumSize.copyRow(from, to);
    this.#blockMapSize.copyRow(from, to);
    const errors = this.#pageErrors.get(from);
    if (errors === undefined) this.#pageErrors.delete(to);
    else this.#pageErrors.set(to, errors);
  }

  #put(index: number, file: Omit<NewManifestFile, 'name'>): void {
    this.#putSizes(index, file.size, file.sizeOriginal, file.sizeRepo);
    this.#timestamp.set(index, file.timestamp);
    this.#flags.set(
      index,
      (file.checksum === undefined ? 0 : hasChecksum) |
        (file.checksumRepo === undefined ? 0 : hasChecksumRepo) |
        (file.checksumPage === undefined ? 0 : pageFlags(file.checksumPage)),
    );
    if (file.checksum !== undefined) this.#checksum.set(index, file.checksum);
    if (file.checksumRepo !== undefined) this.#checksumRepo.set(index, file.checksumRepo);
    this.#putPageErrors(index, file.checksumPageErrors);
    this.#attributes.set(index, this.#attributesIndex(file));
    this.#reference.set(index, this.#references.index(file.reference));
    this.#bundleId.set(index, file.bundleId);
    this.#bundleOffset.set(index, file.bundleOffset);
    this.#blockSize.set(index, file.blockSize);
    this.#blockChecksumSize.set(index, file.blockChecksumSize);
    this.#blockMapSize.set(index, file.blockMapSize);
  }

  #putSizes(index: number, size: number, original: number, repo: number): void {
    this.#size.set(index, size);
    this.#sizeOriginal.set(index, original === size ? 0 : original + 1);
    this.#sizeRepo.set(index, repo === size ? 0 : repo + 1);
  }

  #putPageErrors(index: number, errors: PageErrors | undefined): void {
    if (errors !== undefined) this.#pageErrors.set(index, errors);
    else if (this.#pageErrors.size > 0) this.#pageErrors.delete(index);
  }

  #attributesIndex(file: Attributes): number {
    const { mode, user, group } = this.#knownAttributes.last;
    if (file.mode === mode && file.user === user && file.group === group) return this.#knownAttributes.lastIndex;
    return this.#knownAttributes.index(attributesOf(file));
  }

  #check(index: number): void {
    if (index < 0 || index >= this.#length) throw new BackstopError('assert', `file index ${index} is out of range`);
  }
}

const attributesOf = ({ mode, user, group }: Attributes): Attributes => ({
  ...(mode === undefined ? {} : { mode }),
  ...(user === undefined ? {} : { user }),
  ...(group === undefined ? {} : { group }),
});

/** Gives each distinct value a small number. */
class Interner<T> {
  readonly #keyOf: (value: T) => string | undefined;
  readonly #values: T[] = [];
  readonly #indexes = new Map<string | undefined, number>();
  /** Of the call before: most values are the one that was there before. */
  lastIndex = 0;

  constructor(keyOf: (value: T) => string | undefined, first: readonly T[]) {
    this.#keyOf = keyOf;
    for (const value of first) this.index(value);
  }

  get last(): T {
    return this.value(this.lastIndex);
  }

  index(value: T): number {
    const key = this.#keyOf(value);
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.#values.length;
      if (index >= 65535) throw new BackstopError('format', 'too many distinct owners or references in a manifest');
      this.#values.push(value);
      this.#indexes.set(key, index);
    }
    this.lastIndex = index;
    return index;
  }

  value(index: number): T {
    return this.#values[index] as T;
  }

  copy(): Interner<T> {
    return new Interner(this.#keyOf, this.#values);
  }
}
