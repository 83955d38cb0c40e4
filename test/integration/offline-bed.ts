/** Our command line on a tiny cluster. No server: backups are offline. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgeSegment, systemId } from '../command/archive/archive-bed.ts';
import { sha1 } from '../command/restore/backup-bed.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import type { OptionValues, Tool } from '../support/stanza.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunOptions, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

export interface Outcome extends RunResult {
  /** Both outputs. */
  readonly output: string;
}

/** A command under way. */
export interface Running {
  readonly pid: number;
  readonly done: Promise<Outcome>;
}

export class OfflineBed {
  readonly cluster: TinyCluster;
  readonly ours: Tool;
  readonly #user = unprivilegedUser();
  readonly #root: string;
  readonly #project: RunnableProject;
  #config = '';
  #folders = 0;

  constructor() {
    this.#root = makeTemporaryFolder(this.#user, 'offline-');
    this.#project = runnableProject(this.#user);
    this.ours = this.#project.command;
    this.cluster = new TinyCluster(join(this.#root, 'pg'), this.#user, systemId);
  }

  /** Takes other repositories from here on. @param options lines of `[global]` */
  configure(options: OptionValues): void {
    const folder = this.newFolder();
    const lines = Object.entries({
      'lock-path': join(folder, 'lock'),
      'log-path': folder,
      'log-level-console': 'detail',
      'log-level-file': 'off',
      'log-timestamp': 'n',
      'process-max': 2,
      'repo1-retention-full': 9,
      'compress-type': 'none',
      ...options,
    }).map(([name, value]) => `${name}=${value}\n`);
    this.#config = join(folder, 'pgbackrest.conf');
    writeFileSync(this.#config, `[global]\n${lines.join('')}[demo]\npg1-path=${this.cluster.data}\n`, { mode: 0o600 });
    giveTo(this.#user, this.#config);
  }

  async attempt(
    command: string,
    args: readonly string[] = [],
    tool: Tool = this.ours,
    options: RunOptions = {},
  ): Promise<Outcome> {
    return await this.start(command, args, tool, options).done;
  }

  /** Starts a command and goes on at once. @param tool may have a program before it that watches */
  start(command: string, args: readonly string[] = [], tool: Tool = this.ours, options: RunOptions = {}): Running {
    const offline = /^(backup|stanza-create)$/.test(command) ? ['--no-online'] : [];
    const quiet = /^(info|repo-get|repo-ls|archive-get)$/.test(command)
      ? ['--log-level-console=off', '--log-level-stderr=error']
      : [];
    const argv = [...tool, `--config=${this.#config}`, '--stanza=demo', ...offline, ...quiet, command, ...args];
    let pid = 0;
    const running = runAs(this.#user, argv, {
      ...options,
      onStart: started => {
        pid = started;
      },
    });
    return { pid, done: running.then(result => ({ ...result, output: result.stdout + result.stderr })) };
  }

  /** @returns what it said @throws with that when it does not end well */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const { code, signal, output } = await this.attempt(command, args);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}\n${output}`);
    return output;
  }

  /** Archives a segment of made-up content. */
  async push(name: string): Promise<string> {
    this.cluster.write(`pg_wal/${name}`, forgeSegment(name));
    return await this.run('archive-push', join(this.cluster.data, 'pg_wal', name));
  }

  /** Labels that info lists. */
  async labels(...args: readonly string[]): Promise<string[]> {
    const [stanza] = JSON.parse(await this.run('info', '--output=json', ...args)) as { backup: { label: string }[] }[];
    return (stanza?.backup ?? []).map(({ label }) => label);
  }

  /** @returns the checksum of each restored file, by its name */
  async restore(args: readonly string[] = [], tool: Tool = this.ours): Promise<Record<string, string>> {
    const [target, space] = [this.newFolder(), this.newFolder()];
    const all = [`--pg1-path=${target}`, `--tablespace-map-all=${space}`, ...args];
    const { code, output } = await this.attempt('restore', all, tool);
    if (code !== 0) throw new Error(`restore ended with ${code}\n${output}`);
    const content = contentOf(target);
    for (const folder of [target, space]) rmSync(folder, { recursive: true });
    return content;
  }

  /** As a restore should bring it back. */
  content(): Record<string, string> {
    return contentOf(this.cluster.data);
  }

  /** Makes folders that the user may write to. */
  makeFolders(...paths: readonly string[]): void {
    for (const path of paths) {
      mkdirSync(path, { mode: 0o700, recursive: true });
      giveTo(this.#user, path);
    }
  }

  dispose(): void {
    this.#project.remove();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** An empty folder of the user's. */
  newFolder(): string {
    const folder = join(this.#root, String(++this.#folders));
    mkdirSync(folder, { mode: 0o700 });
    giveTo(this.#user, folder);
    return folder;
  }
}

/** @returns the checksums of the files of a data directory and its tablespaces, but for WAL and what a restore makes its own */
export function contentOf(data: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (folder: string, name: string): void => {
    for (const entry of readdirSync(folder).sort()) {
      const path = join(folder, entry);
      if (statSync(path).isDirectory()) visit(path, `${name}${entry}/`);
      else if (!/^(pg_wal\/.*|postgresql\.auto\.conf|recovery\.signal)$/.test(name + entry))
        found[name + entry] = sha1(readFileSync(path));
    }
  };
  visit(data, '');
  return found;
}
