/** WAL on its way into two repositories and out of them, in a folder that is photographed, and put back before each kill. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Outcome } from '../../command/archive/archive-bed.ts';
import { AsyncPushBed, segmentName } from '../../integration/async-push-bed.ts';
import { makeTemporaryFolder } from '../../support/cluster.ts';
import { findRealPgbackrest } from '../../support/real-pgbackrest.ts';
import { Injector } from '../../support/sweep/injector.ts';
import { unprivilegedUser } from '../../support/unprivileged.ts';
import { runnableProject } from '../../support/unprivileged-project.ts';

const keys = [1, 2] as const;

export class WalBed {
  readonly waits: AsyncPushBed;
  readonly injector: Injector;
  readonly #photos: string;
  readonly #real = findRealPgbackrest();
  readonly #project = runnableProject(unprivilegedUser());
  readonly #contents = new Map<string, Buffer>();
  #photo = '';

  private constructor(waits: AsyncPushBed) {
    const user = unprivilegedUser();
    this.waits = waits;
    this.#photos = makeTemporaryFolder(user, 'wal-');
    this.injector = new Injector(user, this.#photos, this.#project.command);
  }

  static async create(): Promise<WalBed> {
    return new WalBed(await AsyncPushBed.create({ repos: 2, cipherPass: 'sesame' }));
  }

  get folder(): string {
    return this.waits.bed.folder;
  }

  /** Where PostgreSQL wants what it asks for. */
  get destination(): string {
    return join(this.waits.bed.dataDirectory, 'pg_wal/RECOVERYXLOG');
  }

  /** PostgreSQL has ended these. */
  ready(...numbers: readonly number[]): void {
    for (const number of numbers) this.#contents.set(segmentName(number), this.waits.ready(number));
    this.waits.bed.own();
  }

  /** From here on reset() comes back to this. */
  photograph(): void {
    this.#photo = join(this.#photos, 'photo');
    rmSync(this.#photo, { recursive: true, force: true });
    execFileSync('cp', ['-a', this.folder, this.#photo]);
  }

  reset(): void {
    for (const name of readdirSync(this.folder)) rmSync(join(this.folder, name), { recursive: true });
    execFileSync('cp', ['-a', `${this.#photo}/.`, this.folder]);
  }

  run(tool: readonly string[], ...parameters: readonly string[]): Promise<Outcome> {
    return this.waits.bed.run(tool, parameters);
  }

  get ours(): readonly string[] {
    return this.#project.command;
  }

  /** Gets a segment with either tool, past the spool. @throws unless it is what PostgreSQL wrote */
  async expectArchived(name: string): Promise<void> {
    for (const key of keys) {
      for (const tool of this.#real === undefined ? [this.ours] : [this.ours, [this.#real.path]]) {
        rmSync(this.destination, { force: true });
        const options = [`--repo=${key}`, '--log-level-console=detail'];
        const { code, output } = await this.run(tool, ...options, 'archive-get', name, this.destination);
        expect(code, `${name} from repo${key}\n${output}`).toBe(0);
        this.expectContent(this.destination, name);
      }
    }
    rmSync(this.destination);
  }

  /** What lies in the archives under a final name is whole. */
  async expectNoneShort(): Promise<void> {
    for (const key of keys) {
      for (const file of this.waits.bed.archived(key).filter(name => !name.endsWith('.tmp'))) {
        const name = file.slice(17, 41);
        const { code, output } = await this.run(this.ours, `--repo=${key}`, 'archive-get', name, this.destination);
        expect(code, `${file} in repo${key}\n${output}`).toBe(0);
        this.expectContent(this.destination, name);
        rmSync(this.destination);
      }
    }
  }

  expectContent(path: string, name: string): void {
    expect(readFileSync(path).equals(this.#contents.get(name) ?? Buffer.alloc(0)), `content of ${path}`).toBe(true);
  }

  /** Whoever waits for hours is not there any more: lets what has a temporary name in the archives be old. */
  ageLeftovers(): void {
    const old = Date.now() / 1000 - 7200;
    for (const key of keys) {
      for (const name of this.waits.bed.archived(key).filter(file => file.endsWith('.tmp')))
        utimesSync(this.waits.bed.archivedPath(name, key), old, old);
    }
  }

  /** Temporary names anywhere. */
  leftovers(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.tmp'));
  }

  /** What the spool holds for archive-get under final names. */
  prefetched(): string[] {
    const folder = join(this.folder, 'spool/archive/demo/in');
    return existsSync(folder) ? readdirSync(folder).filter(name => /^[0-9A-F]{24}$/.test(name)) : [];
  }

  async dispose(): Promise<void> {
    await this.waits.backgroundEnds();
    this.waits.dispose();
    this.#project.remove();
    rmSync(this.#photos, { recursive: true, force: true });
  }
}
