/** Our command line on a tiny cluster, with repositories in buckets of the lab. No server: backups are offline. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgeSegment, systemId } from '../command/archive/archive-bed.ts';
import { sha1 } from '../command/restore/backup-bed.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import type { S3Lab } from '../support/s3/lab.ts';
import { type RepoOptions, repoOptions } from '../support/s3/repo-options.ts';
import type { OptionValues, Tool } from '../support/stanza.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

export interface Outcome extends RunResult {
  /** Both outputs. */
  readonly output: string;
}

export class BucketBed {
  readonly cluster: TinyCluster;
  readonly ours: Tool;
  readonly #lab: S3Lab;
  readonly #user = unprivilegedUser();
  readonly #root: string;
  readonly #project: RunnableProject;
  #config = '';
  #folders = 0;

  constructor(lab: S3Lab) {
    this.#lab = lab;
    this.#root = makeTemporaryFolder(this.#user, 'bucket-');
    this.#project = runnableProject(this.#user);
    this.ours = this.#project.command;
    this.cluster = new TinyCluster(join(this.#root, 'pg'), this.#user, systemId);
  }

  /** Takes another repository from here on. @param more lines of `[global]` */
  use(repo: RepoOptions, more: OptionValues = {}): void {
    const folder = this.#newFolder();
    const lines = Object.entries({
      ...repoOptions(this.#lab, repo),
      'lock-path': join(folder, 'lock'),
      'log-path': folder,
      'log-level-console': 'detail',
      'log-level-file': 'off',
      'log-timestamp': 'n',
      'process-max': 2,
      'repo1-retention-full': 9,
      'compress-type': 'none',
      ...more,
    }).map(([name, value]) => `${name}=${value}\n`);
    this.#config = join(folder, 'pgbackrest.conf');
    writeFileSync(this.#config, `[global]\n${lines.join('')}[demo]\npg1-path=${this.cluster.data}\n`, { mode: 0o600 });
    giveTo(this.#user, this.#config);
  }

  async attempt(command: string, args: readonly string[] = [], tool: Tool = this.ours): Promise<Outcome> {
    const offline = /^(backup|stanza-create)$/.test(command) ? ['--no-online'] : [];
    const quiet = /^(info|repo-get|repo-ls|archive-get)$/.test(command)
      ? ['--log-level-console=off', '--log-level-stderr=error']
      : [];
    const argv = [...tool, `--config=${this.#config}`, '--stanza=demo', ...offline, ...quiet, command, ...args];
    const result = await runAs(this.#user, argv);
    return { ...result, output: result.stdout + result.stderr };
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
    const [target, space] = [this.#newFolder(), this.#newFolder()];
    const all = [`--pg1-path=${target}`, `--tablespace-map-all=${space}`, ...args];
    const { code, output } = await this.attempt('restore', all, tool);
    if (code !== 0) throw new Error(`restore ended with ${code}\n${output}`);
    return contentOf(target);
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

  #newFolder(): string {
    const folder = join(this.#root, String(++this.#folders));
    mkdirSync(folder, { mode: 0o700 });
    giveTo(this.#user, folder);
    return folder;
  }
}

/** Files of a data directory and its tablespaces, but for WAL and what a restore makes its own. */
function contentOf(data: string): Record<string, string> {
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
