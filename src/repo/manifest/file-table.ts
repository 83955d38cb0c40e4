/**
 * The files of a manifest in columns: one typed array per field instead of one object per file. A cluster of ten million
 * files costs about 120 bytes a file plus its name, and a diff against a prior backup walks arrays.
 */
import { BackstopError } from '../../base/error.ts';

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

/** A file as it is added: owner and mode left out mean the table's defaults. */
export type NewManifestFile = Omit<ManifestFile, 'mode' | 'user' | 'group'> & {
  readonly mode?: number;
  readonly user?: string | false;
  readonly group?: string | false;
};

export interface FileDefaults {
  readonly user: string | false;
  readonly group: string | false;
  readonly mode: number;
}

/** Stands in the owner and mode columns for "the default", which a manifest states only after its files. */
const isDefault = 65535;

type NumberArray = Float64Array | Uint32Array | Uint16Array | Uint8Array;

/** Sorted by name (bytes) after sort(). Indexes are stable between sorts. */
export class FileTable {
  #length = 0;
  #nameBytes = Buffer.allocUnsafe(65536);
  #nameEnd = 0;
  #nameOffset = new Float64Array(1024);
  #nameLength = new Uint16Array(1024);
  #size = new Float64Array(1024);
  #sizeOriginal = new Float64Array(1024);
  #sizeRepo = new Float64Array(1024);
  #timestamp = new Float64Array(1024);
  #flags = new Uint8Array(1024);
  #checksum = new Uint8Array(1024 * 20);
  #checksumRepo = new Uint8Array(1024 * 20);
  #mode = new Uint16Array(1024);
  #user = new Uint16Array(1024);
  #group = new Uint16Array(1024);
  #reference = new Uint32Array(1024);
  #bundleId = new Uint32Array(1024);
  #bundleOffset = new Float64Array(1024);
  #blockSize = new Uint32Array(1024);
  #blockChecksumSize = new Uint8Array(1024);
  #blockMapSize = new Float64Array(1024);
  /** Page errors are rare: only files that have some stand here. */
  #pageErrors = new Map<number, PageErrors>();
  #names = new Interner<string | false>();
  #references = new Interner<string | undefined>([undefined]);
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
    copy.#nameBytes = Buffer.from(this.#nameBytes.subarray(0, this.#nameEnd));
    copy.#nameEnd = this.#nameEnd;
    copy.#nameOffset = this.#nameOffset.slice();
    copy.#nameLength = this.#nameLength.slice();
    copy.#size = this.#size.slice();
    copy.#sizeOriginal = this.#sizeOriginal.slice();
    copy.#sizeRepo = this.#sizeRepo.slice();
    copy.#timestamp = this.#timestamp.slice();
    copy.#flags = this.#flags.slice();
    copy.#checksum = this.#checksum.slice();
    copy.#checksumRepo = this.#checksumRepo.slice();
    copy.#mode = this.#mode.slice();
    copy.#user = this.#user.slice();
    copy.#group = this.#group.slice();
    copy.#reference = this.#reference.slice();
    copy.#bundleId = this.#bundleId.slice();
    copy.#bundleOffset = this.#bundleOffset.slice();
    copy.#blockSize = this.#blockSize.slice();
    copy.#blockChecksumSize = this.#blockChecksumSize.slice();
    copy.#blockMapSize = this.#blockMapSize.slice();
    copy.#pageErrors = new Map(this.#pageErrors);
    copy.#names = this.#names.copy();
    copy.#references = this.#references.copy();
    copy.#defaults = this.#defaults;
    return copy;
  }

  /** @returns the index of the new file */
  add(file: NewManifestFile): number {
    const index = this.#length;
    if (index === this.#size.length) this.#grow();
    const bytes = Buffer.byteLength(file.name);
    if (bytes > 65535) throw new BackstopError('format', `file name of ${bytes} bytes is too long`);
    if (this.#nameEnd + bytes > this.#nameBytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#nameBytes.length * 2, this.#nameEnd + bytes));
      this.#nameBytes.copy(larger, 0, 0, this.#nameEnd);
      this.#nameBytes = larger;
    }
    this.#nameBytes.write(file.name, this.#nameEnd, 'utf8');
    this.#nameOffset[index] = this.#nameEnd;
    this.#nameLength[index] = bytes;
    this.#nameEnd += bytes;
    this.#length++;
    this.#put(index, file);
    return index;
  }

  get(index: number): ManifestFile {
    this.#check(index);
    const flags = this.#flags[index] ?? 0;
    const pageErrors = this.#pageErrors.get(index);
    const reference = this.#references.value(this.#reference[index] ?? 0);
    return {
      name: this.name(index),
      size: this.size(index),
      sizeOriginal: this.#sizeOriginal[index] ?? 0,
      sizeRepo: this.#sizeRepo[index] ?? 0,
      timestamp: this.timestamp(index),
      ...((flags & hasChecksum) === 0 ? {} : { checksum: hexAt(this.#checksum, index) }),
      ...((flags & hasChecksumRepo) === 0 ? {} : { checksumRepo: hexAt(this.#checksumRepo, index) }),
      ...((flags & hasChecksumPage) === 0 ? {} : { checksumPage: (flags & checksumPageGood) !== 0 }),
      ...(pageErrors === undefined ? {} : { checksumPageErrors: pageErrors }),
      ...(reference === undefined ? {} : { reference }),
      bundleId: this.#bundleId[index] ?? 0,
      bundleOffset: this.#bundleOffset[index] ?? 0,
      blockSize: this.#blockSize[index] ?? 0,
      blockChecksumSize: this.#blockChecksumSize[index] ?? 0,
      blockMapSize: this.#blockMapSize[index] ?? 0,
      mode: this.#mode[index] === isDefault ? this.#defaults.mode : (this.#mode[index] ?? 0),
      user: this.#user[index] === isDefault ? this.#defaults.user : this.#names.value(this.#user[index] ?? 0),
      group: this.#group[index] === isDefault ? this.#defaults.group : this.#names.value(this.#group[index] ?? 0),
    };
  }

  /** Replaces everything but the name. */
  set(index: number, file: Omit<NewManifestFile, 'name'>): void {
    this.#check(index);
    this.#put(index, file);
  }

  name(index: number): string {
    this.#check(index);
    const offset = this.#nameOffset[index] ?? 0;
    return this.#nameBytes.toString('utf8', offset, offset + (this.#nameLength[index] ?? 0));
  }

  owner(index: number): { readonly user: string | false; readonly group: string | false } {
    const [user, group] = [this.#user[index] ?? 0, this.#group[index] ?? 0];
    return {
      user: user === isDefault ? this.#defaults.user : this.#names.value(user),
      group: group === isDefault ? this.#defaults.group : this.#names.value(group),
    };
  }

  size(index: number): number {
    return this.#size[index] ?? 0;
  }

  sizeRepo(index: number): number {
    return this.#sizeRepo[index] ?? 0;
  }

  timestamp(index: number): number {
    return this.#timestamp[index] ?? 0;
  }

  /** A number for the backup that stores the bytes: equal for equal references, 0 for this one. */
  referenceNumber(index: number): number {
    return this.#reference[index] ?? 0;
  }

  bundleId(index: number): number {
    return this.#bundleId[index] ?? 0;
  }

  bundleOffset(index: number): number {
    return this.#bundleOffset[index] ?? 0;
  }

  /** Index of the file with this name, in a sorted table. */
  find(name: string): number | undefined {
    const wanted = Buffer.from(name);
    let low = 0;
    let high = this.#length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#compareName(middle, wanted);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** Sorts by the bytes of the names and drops the files that `keep` refuses. Indexes change. */
  sort(keep: (index: number) => boolean = () => true): void {
    const order: number[] = [];
    for (let i = 0; i < this.#length; i++) if (keep(i)) order.push(i);
    const compare = (a: number, b: number): number => {
      const [start, other] = [this.#nameOffset[a] ?? 0, this.#nameOffset[b] ?? 0];
      const [end, otherEnd] = [start + (this.#nameLength[a] ?? 0), other + (this.#nameLength[b] ?? 0)];
      return this.#nameBytes.compare(this.#nameBytes, other, otherEnd, start, end);
    };
    let sorted = order.length === this.#length;
    for (let i = 1; sorted && i < order.length; i++) sorted = compare(order[i - 1] ?? 0, order[i] ?? 0) <= 0;
    if (sorted) return;
    order.sort(compare);
    const permute = <T extends NumberArray>(column: T): T => {
      const result = column.slice() as T;
      for (let i = 0; i < order.length; i++) result[i] = column[order[i] ?? 0] ?? 0;
      return result;
    };
    const permuteDigests = (column: Uint8Array): Uint8Array<ArrayBuffer> => {
      const result = new Uint8Array(column.length);
      for (let i = 0; i < order.length; i++) {
        const from = (order[i] ?? 0) * 20;
        result.set(column.subarray(from, from + 20), i * 20);
      }
      return result;
    };
    this.#nameOffset = permute(this.#nameOffset);
    this.#nameLength = permute(this.#nameLength);
    this.#size = permute(this.#size);
    this.#sizeOriginal = permute(this.#sizeOriginal);
    this.#sizeRepo = permute(this.#sizeRepo);
    this.#timestamp = permute(this.#timestamp);
    this.#flags = permute(this.#flags);
    this.#checksum = permuteDigests(this.#checksum);
    this.#checksumRepo = permuteDigests(this.#checksumRepo);
    this.#mode = permute(this.#mode);
    this.#user = permute(this.#user);
    this.#group = permute(this.#group);
    this.#reference = permute(this.#reference);
    this.#bundleId = permute(this.#bundleId);
    this.#bundleOffset = permute(this.#bundleOffset);
    this.#blockSize = permute(this.#blockSize);
    this.#blockChecksumSize = permute(this.#blockChecksumSize);
    this.#blockMapSize = permute(this.#blockMapSize);
    const pageErrors = this.#pageErrors;
    this.#pageErrors = new Map();
    for (let i = 0; i < order.length; i++) {
      const errors = pageErrors.get(order[i] ?? -1);
      if (errors !== undefined) this.#pageErrors.set(i, errors);
    }
    this.#length = order.length;
  }

  #put(index: number, file: Omit<NewManifestFile, 'name'>): void {
    this.#size[index] = file.size;
    this.#sizeOriginal[index] = file.sizeOriginal;
    this.#sizeRepo[index] = file.sizeRepo;
    this.#timestamp[index] = file.timestamp;
    this.#flags[index] =
      (file.checksum === undefined ? 0 : hasChecksum) |
      (file.checksumRepo === undefined ? 0 : hasChecksumRepo) |
      (file.checksumPage === undefined ? 0 : hasChecksumPage) |
      (file.checksumPage === true ? checksumPageGood : 0);
    if (file.checksum !== undefined) putHex(this.#checksum, index, file.checksum);
    if (file.checksumRepo !== undefined) putHex(this.#checksumRepo, index, file.checksumRepo);
    if (file.checksumPageErrors === undefined) this.#pageErrors.delete(index);
    else this.#pageErrors.set(index, file.checksumPageErrors);
    this.#mode[index] = file.mode ?? isDefault;
    this.#user[index] = file.user === undefined ? isDefault : this.#names.index(file.user);
    this.#group[index] = file.group === undefined ? isDefault : this.#names.index(file.group);
    this.#reference[index] = this.#references.index(file.reference);
    this.#bundleId[index] = file.bundleId;
    this.#bundleOffset[index] = file.bundleOffset;
    this.#blockSize[index] = file.blockSize;
    this.#blockChecksumSize[index] = file.blockChecksumSize;
    this.#blockMapSize[index] = file.blockMapSize;
  }

  #check(index: number): void {
    if (index < 0 || index >= this.#length) throw new BackstopError('assert', `file index ${index} is out of range`);
  }

  #compareName(index: number, wanted: Buffer): number {
    const offset = this.#nameOffset[index] ?? 0;
    return this.#nameBytes.compare(wanted, 0, wanted.length, offset, offset + (this.#nameLength[index] ?? 0));
  }

  #grow(): void {
    const length = this.#size.length * 2;
    const float = (column: Float64Array) => copyInto(new Float64Array(length), column);
    const u32 = (column: Uint32Array) => copyInto(new Uint32Array(length), column);
    const u16 = (column: Uint16Array) => copyInto(new Uint16Array(length), column);
    const u8 = (column: Uint8Array, factor = 1) => copyInto(new Uint8Array(length * factor), column);
    this.#nameOffset = float(this.#nameOffset);
    this.#nameLength = u16(this.#nameLength);
    this.#size = float(this.#size);
    this.#sizeOriginal = float(this.#sizeOriginal);
    this.#sizeRepo = float(this.#sizeRepo);
    this.#timestamp = float(this.#timestamp);
    this.#flags = u8(this.#flags);
    this.#checksum = u8(this.#checksum, 20);
    this.#checksumRepo = u8(this.#checksumRepo, 20);
    this.#mode = u16(this.#mode);
    this.#user = u16(this.#user);
    this.#group = u16(this.#group);
    this.#reference = u32(this.#reference);
    this.#bundleId = u32(this.#bundleId);
    this.#bundleOffset = float(this.#bundleOffset);
    this.#blockSize = u32(this.#blockSize);
    this.#blockChecksumSize = u8(this.#blockChecksumSize);
    this.#blockMapSize = float(this.#blockMapSize);
  }
}

/** Gives each distinct value a small number. */
class Interner<T> {
  readonly #values: T[] = [];
  readonly #indexes = new Map<T, number>();

  constructor(first: readonly T[] = []) {
    for (const value of first) this.index(value);
  }

  index(value: T): number {
    let index = this.#indexes.get(value);
    if (index === undefined) {
      index = this.#values.length;
      if (index >= 65535) throw new BackstopError('format', 'too many distinct owners or references in a manifest');
      this.#values.push(value);
      this.#indexes.set(value, index);
    }
    return index;
  }

  value(index: number): T {
    return this.#values[index] as T;
  }

  copy(): Interner<T> {
    return new Interner(this.#values);
  }
}

function copyInto<T extends NumberArray>(larger: T, column: NumberArray): T {
  larger.set(column);
  return larger;
}

const digits = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'));

function hexAt(column: Uint8Array, index: number): string {
  let text = '';
  for (let i = index * 20; i < index * 20 + 20; i++) text += digits[column[i] ?? 0];
  return text;
}

function putHex(column: Uint8Array, index: number, hex: string): void {
  if (!/^[0-9a-f]{40}$/.test(hex)) throw new BackstopError('format', `'${hex}' is not a SHA-1 in hex`);
  for (let i = 0; i < 20; i++) {
    column[index * 20 + i] = (nibble(hex.charCodeAt(i * 2)) << 4) | nibble(hex.charCodeAt(i * 2 + 1));
  }
}

/** @param code of one of `0-9a-f` */
const nibble = (code: number): number => (code < 0x3a ? code - 0x30 : code - 0x57);
