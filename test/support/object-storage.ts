/**
 * A storage that behaves as an object store does, over files of this host: keys with contents and nothing else. There are
 * no directories, so none can be empty; a file is there as a whole or not at all; nothing is renamed or linked. It counts
 * requests by kind as a service would bill them, and can answer as late as a service does.
 */
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import type { ByteSink, ByteSource, FileInfo, ReadOptions, Storage, WriteOptions } from '../../src/storage/storage.ts';

export type RequestKind = 'list' | 'info' | 'get' | 'put' | 'remove';

export interface ObjectRequest {
  readonly kind: RequestKind;
  readonly path: string;
  /** Of a get: what was asked for. */
  readonly offset?: number;
  readonly length?: number;
}

/** Entries of a listing, and keys of a removal, that fit into one request. */
const pageSize = 1000;

/** Larger files are sent in parts of this size: one request for each, and two around them. */
const partSize = 8 * 1024 * 1024;

/** What all storages of a test have asked for. */
export class RequestLog {
  readonly requests: ObjectRequest[] = [];
  /** Milliseconds until an answer comes. */
  latency = 0;
  /** Requests that were under way at once, at most. */
  peak = 0;
  /**
   * How often an answer had to be waited for before the next request: those that are made before the first of them is
   * answered count as one. With a latency it does not depend on how busy the machine is.
   */
  rounds = 0;
  #open = 0;
  #first: ObjectRequest | undefined;

  reset(): void {
    this.requests.length = 0;
    this.peak = 0;
    this.rounds = 0;
    this.#first = undefined;
  }

  /** `{ list: 2, get: 1 }`, kinds without requests left out. */
  get counts(): Partial<Record<RequestKind, number>> {
    const counts: Partial<Record<RequestKind, number>> = {};
    for (const { kind } of this.requests) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  /** `get /archive/demo/archive.info`, in the order in which they were made. */
  get lines(): string[] {
    return this.requests.map(({ kind, path }) => `${kind} ${path}`);
  }

  /** Comes back when the answer to a request comes. */
  async request(request: ObjectRequest): Promise<void> {
    this.requests.push(request);
    this.peak = Math.max(this.peak, ++this.#open);
    if (this.#first === undefined) {
      this.rounds++;
      this.#first = request;
    }
    await new Promise<void>(resolve => (this.latency > 0 ? setTimeout(resolve, this.latency) : setImmediate(resolve)));
    if (this.#first === request) this.#first = undefined;
    this.#open--;
  }
}

/** @param base folder of this host that holds the keys */
export function openObjectStorage(label: string, base: string, log: RequestLog): Storage {
  return new ObjectStorage(label, base, log);
}

class ObjectStorage implements Storage {
  readonly label: string;
  readonly #disk: Storage;
  readonly #log: RequestLog;

  constructor(label: string, base: string, log: RequestLog) {
    this.label = label;
    this.#disk = openPosixStorage({ label, base });
    this.#log = log;
  }

  async info(path: string): Promise<FileInfo | undefined> {
    await this.#log.request({ kind: 'info', path });
    const info = await this.#disk.info(path);
    return info?.type === 'file' ? withoutMode(info) : undefined;
  }

  async list(path: string, options: { readonly prefix?: string } = {}): Promise<FileInfo[]> {
    const found = await this.#entries(path, options.prefix);
    for (let page = 0; page * pageSize < Math.max(1, found.length); page++) {
      await this.#log.request({
        kind: 'list',
        path: options.prefix === undefined ? path : `${path}/${options.prefix}`,
      });
    }
    return found;
  }

  async names(path: string, options: { readonly prefix?: string } = {}): Promise<string[]> {
    return (await this.list(path, options)).map(({ name }) => name);
  }

  async read(path: string, options: ReadOptions = {}): Promise<ByteSource> {
    await this.#log.request({ kind: 'get', path, ...options });
    return await this.#disk.read(path, options);
  }

  async write(path: string, options: WriteOptions = {}): Promise<ByteSink> {
    const parts: Buffer[] = [];
    return {
      write: chunk => void parts.push(Buffer.from(chunk)),
      commit: async () => {
        const size = parts.reduce((sum, part) => sum + part.length, 0);
        const requests = size <= partSize ? 1 : Math.ceil(size / partSize) + 2;
        await Promise.all(Array.from({ length: requests }, () => this.#log.request({ kind: 'put', path })));
        const { mtime } = options;
        if (mtime !== undefined) throw new Error(`an object store stamps files itself: ${path}`);
        const sink = await this.#disk.write(path, { sync: false });
        for (const part of parts) await sink.write(part);
        await sink.commit();
      },
      abort: async () => undefined,
    };
  }

  async remove(path: string): Promise<void> {
    await this.#log.request({ kind: 'remove', path });
    if ((await this.#disk.info(path))?.type === 'file') await this.#disk.remove(path);
  }

  async removeTree(path: string): Promise<void> {
    const keys = await this.#keysBelow(path);
    for (let page = 0; page * pageSize < Math.max(1, keys); page++) await this.#log.request({ kind: 'list', path });
    for (let page = 0; page * pageSize < keys; page++) await this.#log.request({ kind: 'remove', path });
    if ((await this.#disk.info(path))?.type === 'path') await this.#disk.removeTree(path);
  }

  async close(): Promise<void> {
    await this.#disk.close();
  }

  async #entries(path: string, prefix: string | undefined): Promise<FileInfo[]> {
    // what is below a file is nothing, and no error
    if ((await this.#disk.info(path))?.type !== 'path') return [];
    const result: FileInfo[] = [];
    for (const info of await this.#disk.list(path, prefix === undefined ? {} : { prefix })) {
      if (info.type === 'file') result.push(withoutMode(info));
      else if (info.type === 'path' && (await this.#keysBelow(`${path}/${info.name}`)) > 0) {
        result.push({ ...withoutMode(info), mtime: 0 });
      }
    }
    return result;
  }

  async #keysBelow(path: string): Promise<number> {
    if ((await this.#disk.info(path))?.type !== 'path') return 0;
    let keys = 0;
    for (const info of await this.#disk.list(path)) {
      keys += info.type === 'path' ? await this.#keysBelow(`${path}/${info.name}`) : 1;
    }
    return keys;
  }
}

const withoutMode = (info: FileInfo): FileInfo => ({ ...info, mode: 0, userId: 0, groupId: 0 });
