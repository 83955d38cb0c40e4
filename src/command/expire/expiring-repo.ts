/** A repository while it is expired: what the steps share, and the one place where files are removed, or not. */
import { forAll, isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { describeLock, LockedError } from '../../storage/kept-files.ts';
import type { Storage } from '../../storage/storage.ts';
import { tellKept } from '../kept-versions.ts';
import type { Session } from '../session.ts';
import { removeWithWorker, worthAWorker } from './remove-trees.ts';
import type { RetentionOptions } from './retention.ts';

/** Requests under way at once. A local file system works them off one by one; a store far away is waited for. */
const parallelRequests = 32;

export class ExpiringRepo {
  readonly session: Session<'expire'>;
  readonly repo: StanzaRepo;
  readonly retention: RetentionOptions;
  readonly #locked: LockedError[] = [];

  constructor(session: Session<'expire'>, repo: StanzaRepo, retention: RetentionOptions) {
    this.session = session;
    this.repo = repo;
    this.retention = retention;
  }

  get stanza(): string {
    return this.repo.stanza;
  }

  get storage(): Storage {
    return this.repo.storage;
  }

  /** Decisions are made and told, but nothing is changed. */
  get dryRun(): boolean {
    return this.session.settings.values['dry-run'] === true;
  }

  /** Seconds since the epoch. */
  get now(): number {
    return Math.floor(this.session.clock.now() / 1000);
  }

  info(message: string): void {
    this.session.log.info(`${this.repo.name}: ${message}`);
  }

  warn(message: string): void {
    this.session.log.warn(`${this.repo.name}: ${message}`);
  }

  detail(message: string): void {
    this.session.log.detail(`${this.repo.name}: ${message}`);
  }

  /** As of the repository; a warning says so. */
  async isLink(path: string): Promise<boolean> {
    if (!(await this.repo.isLink(path))) return false;
    this.warn(`'${this.repo.fullPath(path)}' is a link: nothing is removed behind it`);
    return true;
  }

  /** Several lists at once, in the order of the paths. */
  names(paths: readonly string[]): Promise<string[][]> {
    return forAll(paths, path => this.storage.names(path), parallelRequests);
  }

  /** Removes files, in no order. What is locked stays for a later expire. */
  async removeFiles(paths: readonly string[]): Promise<void> {
    if (this.dryRun) return;
    await forAll(paths, path => this.#unlessLocked(this.storage.remove(path)), parallelRequests);
  }

  /** Removes directories with all they hold, in this order on a file system. What is locked stays for a later expire. */
  async removeTrees(paths: readonly string[]): Promise<void> {
    if (this.dryRun) return;
    await forAll(paths, path => this.#unlessLocked(this.storage.removeTree(path)), parallelRequests);
  }

  /** The same in no order: two processors have it done sooner. */
  async removeManyTrees(paths: readonly string[]): Promise<void> {
    if (this.dryRun || paths.length < worthAWorker || isObjectStore(this.storage)) return await this.removeTrees(paths);
    const data = { command: 'expire', repo: this.repo.settings, retry: { count: 0, interval: 0 } } as const;
    await removeWithWorker(paths, this.storage, { threadFile: this.session.threadFile, data });
  }

  /** Tells of what was to go and takes space all the same. */
  tellKept(): void {
    tellKept(this.session.log, this.repo.name, this.storage);
    if (this.#locked.length === 0) return;
    const files = this.#locked.reduce((sum, locked) => sum + locked.files, 0);
    const times = this.#locked.flatMap(({ until }) => until ?? []);
    const last = times.length < this.#locked.length ? undefined : Math.max(...times);
    this.warn(
      `${files} file(s) could not be removed: locked ${describeLock(last)}\nHINT: a later expire will remove them.`,
    );
  }

  async #unlessLocked(removal: Promise<void>): Promise<void> {
    try {
      await removal;
    } catch (error) {
      if (!(error instanceof LockedError)) throw error;
      this.#locked.push(error);
    }
  }
}
