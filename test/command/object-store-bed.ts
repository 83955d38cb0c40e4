/**
 * Commands in this thread, on a tiny cluster and repositories in object stores that count what they are asked for. A test
 * that uses it mocks two modules with it:
 *
 *     vi.mock('../../src/storage/drivers.ts', async original => mockDrivers(await original()));
 *     vi.mock('../../src/parallel/pool.ts', () => import('../support/one-thread-pool.ts'));
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { commandModules } from '../../src/command/index.ts';
import type { CommandModule } from '../../src/command/session.ts';
import type { RunCommand } from '../../src/config/command.ts';
import type { RepoSettings } from '../../src/storage/drivers.ts';
import { type CommandResult, runCommand } from '../support/command-run.ts';
import { openObjectStorage, RequestLog } from '../support/object-storage.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';
import { forgeSegment, systemId } from './archive/archive-bed.ts';

/** What all storages that `mockDrivers` opens write to. */
export const requestLog = new RequestLog();

/** The drivers with every repository in an object store. */
export const mockDrivers = <T extends object>(drivers: T): T => ({
  ...drivers,
  openRepoStorage: async ({ key, path }: RepoSettings) => openObjectStorage(`repo${key}`, path, requestLog),
});

const isOneOf = (command: RunCommand, ...commands: readonly RunCommand[]): boolean => commands.includes(command);

export class ObjectStoreBed {
  readonly root = mkdtempSync(join(tmpdir(), 'pgbackstop-store-'));
  readonly cluster: TinyCluster;
  readonly #backupOptions: readonly string[];
  #restores = 0;

  /** @param backupOptions options of every backup */
  constructor(backupOptions: readonly string[] = []) {
    const { uid = 0, gid = 0 } = { uid: process.getuid?.(), gid: process.getgid?.() };
    this.cluster = new TinyCluster(join(this.root, 'pg'), { uid, gid, foreign: false } as never, systemId);
    this.#backupOptions = backupOptions;
  }

  /** A command that must end well. Counts begin anew. @returns what it did */
  async run(command: RunCommand, ...args: readonly string[]): Promise<CommandResult> {
    const result = await this.attempt(command, ...args);
    if (result.error !== undefined) throw result.error;
    return result;
  }

  async attempt(command: RunCommand, ...args: readonly string[]): Promise<CommandResult> {
    const load = commandModules[command] as (() => Promise<CommandModule<RunCommand>>) | undefined;
    if (load === undefined) throw new TypeError(`there is no ${command}`);
    requestLog.reset();
    return await runCommand(await load(), [command, ...this.#optionsFor(command, args), ...args]);
  }

  #optionsFor(command: RunCommand, given: readonly string[]): string[] {
    const { root, cluster } = this;
    const options = command === 'info' || given.some(arg => arg.startsWith('--stanza=')) ? [] : ['--stanza=demo'];
    if (!isOneOf(command, 'start', 'stop')) options.push(`--repo1-path=${root}/repo1`);
    if (!isOneOf(command, 'manifest', 'repo-get', 'repo-ls', 'repo-put', 'repo-rm', 'verify')) {
      options.push(`--lock-path=${root}/lock`);
    }
    if (isOneOf(command, 'archive-get', 'archive-push', 'backup', 'stanza-create', 'stanza-delete', 'stanza-upgrade')) {
      options.push(`--pg1-path=${cluster.data}`);
    }
    if (isOneOf(command, 'backup', 'stanza-create', 'stanza-upgrade')) options.push('--no-online');
    if (isOneOf(command, 'backup', 'restore', 'verify')) options.push('--process-max=2');
    // the pages of the tiny cluster have no checksums
    if (command === 'backup') options.push('--no-checksum-page', ...this.#backupOptions);
    return options;
  }

  /** Restores into a folder of its own. */
  async restore(...args: readonly string[]): Promise<string> {
    const target = join(this.root, `restored-${++this.#restores}`);
    for (const path of [target, `${target}-space`]) mkdirSync(path, { mode: 0o700 });
    await this.run('restore', `--pg1-path=${target}`, `--tablespace-map-all=${target}-space`, ...args);
    return target;
  }

  /** Writes a file of the cluster. @param aged an hour ago, so that it is known not to have changed since a backup */
  write(name: string, content: Uint8Array | string, { aged = false } = {}): void {
    const path = join(this.cluster.data, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { mode: 0o600 });
    const hourAgo = Math.floor(Date.now() / 1000) - 3600;
    if (aged) utimesSync(path, hourAgo, hourAgo);
  }

  /** A WAL segment in pg_wal. @returns its path */
  segment(name: string): string {
    this.write(`pg_wal/${name}`, forgeSegment(name));
    return join(this.cluster.data, 'pg_wal', name);
  }

  /** Keys of the repository. */
  keys(key = 1): string[] {
    const base = join(this.root, `repo${key}`);
    return readdirSync(base, { recursive: true, encoding: 'utf8' })
      .filter(name => statSync(join(base, name)).isFile())
      .sort();
  }

  dispose(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
