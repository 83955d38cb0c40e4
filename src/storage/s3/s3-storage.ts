/**
 * A repository in a bucket. A file is an object; a directory is nothing but the beginning of names. What is written is seen
 * when it is whole, and is durable once the service has answered.
 */
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { BackstopError, isKind } from '../../base/error.ts';
import type { KeptVersions } from '../kept-files.ts';
import type { ByteSink, ByteSource, FileInfo, ReadOptions, Storage, WriteOptions } from '../storage.ts';
import { Backlogs } from './backlog.ts';
import { ByteBudget } from './budget.ts';
import { customerKey, S3Access } from './client.ts';
import { Download, type DownloadMemory, missingFile } from './download.ts';
import { type ListedObject, type ListedPage, listPages } from './listing.ts';
import { Past } from './past.ts';
import { Removal } from './removal.ts';
import type { RequestCounters } from './requests.ts';
import type { GivenS3Settings } from './settings.ts';
import { abortUploads } from './unfinished.ts';
import { UploadSink } from './upload.ts';
import { UploadMemory } from './upload-memory.ts';

/**
 * Bytes on their way to the service, over all files of a thread. A WAL segment that the main thread pushes may go as one
 * request.
 */
const uploadSize = (isMainThread ? 16 : 8) * 1024 * 1024;
/** Bytes from it, likewise: unread, and of ranges that are asked for ahead where the network is slow. */
const backlogSize = 4 * 1024 * 1024;
const aheadSize = 10 * 1024 * 1024;

export interface S3StorageSettings {
  readonly label: string;
  /** Path of the repository, without a slash at its end; empty for the whole bucket. */
  readonly base: string;
  readonly bucket: GivenS3Settings;
  readonly counters: RequestCounters;
  /** Told where the credentials come from. */
  readonly debug?: (message: string) => void;
}

/** Opens the driver. Nothing is asked of the service yet. */
export async function openS3Storage(settings: S3StorageSettings): Promise<Storage> {
  return new S3Storage(await S3Access.open(settings), settings.base);
}

class S3Storage implements Storage {
  readonly label: string;
  readonly #access: S3Access;
  readonly #base: string;
  // of its own each, or a copy within the repository would wait for itself
  readonly #downloadMemory: DownloadMemory = {
    backlogs: new Backlogs(backlogSize),
    ahead: new ByteBudget(aheadSize),
  };
  readonly #uploadMemory = new UploadMemory(uploadSize);
  readonly #removal: Removal;
  /** When the bucket is read as it was at an earlier time. */
  readonly #past: Past | undefined;

  constructor(access: S3Access, base: string) {
    this.label = access.label;
    this.#access = access;
    this.#base = base;
    this.#removal = new Removal(access);
    const { targetTime } = access.settings;
    this.#past = targetTime === undefined ? undefined : new Past(access, targetTime);
  }

  async info(path: string): Promise<FileInfo | undefined> {
    const key = this.#key(path);
    const found = key === '' ? undefined : await this.#find(key);
    return found === undefined ? undefined : fileInfo(basename(path), found);
  }

  async list(path: string, options: { readonly prefix?: string } = {}): Promise<FileInfo[]> {
    const folder = this.#folder(path);
    const found: FileInfo[] = [];
    for await (const { objects, folders } of this.#pages(folder + (options.prefix ?? ''), false)) {
      for (const prefix of folders) found.push(pathInfo(prefix.slice(folder.length, -1)));
      // consoles make an empty object that stands for the directory itself
      for (const object of objects) {
        if (object.key.length > folder.length) found.push(fileInfo(object.key.slice(folder.length), object));
      }
    }
    return found;
  }

  async names(path: string, options: { readonly prefix?: string } = {}): Promise<string[]> {
    return (await this.list(path, options)).map(({ name }) => name);
  }

  async read(path: string, options: ReadOptions = {}): Promise<ByteSource> {
    const key = this.#key(path);
    const version = await this.#past?.find(key);
    if (this.#past !== undefined && version === undefined) throw missingFile(path);
    return Download.open(this.#access, key, path, this.#downloadMemory, {
      ...options,
      ...(version?.versionId === undefined ? {} : { versionId: version.versionId }),
    });
  }

  async write(path: string, options: WriteOptions = {}): Promise<ByteSink> {
    this.#checkWritable();
    return new UploadSink(this.#access, this.#key(path), this.#uploadMemory, options);
  }

  async remove(path: string): Promise<void> {
    this.#checkWritable();
    await this.#removal.one(this.#key(path));
  }

  async removeTree(path: string): Promise<void> {
    this.#checkWritable();
    await this.#removal.tree(this.#folder(path));
  }

  kept(): KeptVersions {
    return this.#removal.kept;
  }

  async dropUnfinished(paths: readonly string[], before: number): Promise<number> {
    this.#checkWritable();
    const folders = paths.map(path => this.#folder(path));
    const isOurs = (key: string) => folders.some(folder => key.startsWith(folder));
    return await abortUploads(this.#access, this.#folder('/'), (key, begun) => isOurs(key) && begun < before);
  }

  async close(): Promise<void> {
    this.#access.close();
  }

  /** Name of an object: the path without the slash at its beginning. */
  #key(path: string): string {
    return (this.#base + path).replace(/^\/+/, '').replace(/\/+$/, '');
  }

  #folder(path: string): string {
    const key = this.#key(path);
    return key === '' ? '' : `${key}/`;
  }

  #pages(prefix: string, deep: boolean): AsyncGenerator<ListedPage> {
    return this.#past === undefined ? listPages(this.#access, prefix, deep) : this.#past.pages(prefix, deep);
  }

  /** The past cannot be changed. Commands that write have no target time. */
  #checkWritable(): void {
    if (this.#past !== undefined) throw new BackstopError('assert', `${this.label} is read as of an earlier time`);
  }

  async #find(key: string): Promise<ListedObject | undefined> {
    if (this.#past !== undefined) return await this.#past.find(key);
    try {
      const { ContentLength, LastModified } = await this.#access.send('head', key, 'HeadObject', {
        Key: key,
        ...customerKey(this.#access.settings),
      });
      return { key, size: ContentLength ?? 0, mtime: Math.floor((LastModified?.getTime() ?? 0) / 1000) };
    } catch (error) {
      if (isKind(error, 'file-missing')) return undefined;
      throw error;
    }
  }
}

const nothing = { mode: 0, userId: 0, groupId: 0 };

const pathInfo = (name: string): FileInfo => ({ name, type: 'path', size: 0, mtime: 0, ...nothing });

const fileInfo = (name: string, { size, mtime }: ListedObject): FileInfo => ({
  name,
  type: 'file',
  size,
  mtime,
  ...nothing,
});
