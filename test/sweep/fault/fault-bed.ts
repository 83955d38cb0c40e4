/**
 * A tiny cluster and all that our commands keep files in (repository, lock folder, spool, target of restores), which is brought
 * back to what it was before every case.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf, OfflineBed, type Outcome } from '../../integration/offline-bed.ts';
import { findRealPgbackrest, isSince } from '../../support/real-pgbackrest.ts';
import type { OptionValues, Tool } from '../../support/stanza.ts';
import { type Injection, Injector, type PreparedRun } from '../../support/sweep/injector.ts';
import { type RunOptions, unprivilegedUser } from '../../support/unprivileged.ts';

/** Where faults happen; one at a time. */
export type Place = 'repo' | 'data' | 'lock' | 'spool' | 'target';

/** How a repository is written. */
export type Layout = 'plain' | 'bundles';

const layouts: Readonly<Record<Layout, OptionValues>> = {
  plain: { 'compress-type': 'gz', 'compress-level': 1 },
  bundles: {
    'compress-type': 'zst',
    'repo1-bundle': 'y',
    'repo1-block': 'y',
    'repo1-cipher-type': 'aes-256-cbc',
    'repo1-cipher-pass': 'a passphrase',
  },
};

export const real = findRealPgbackrest();

export class FaultBed extends OfflineBed {
  readonly layout: Layout;
  readonly #state: string;
  readonly #saved: string;
  readonly #injector: Injector;

  constructor(layout: Layout = 'plain', options: OptionValues = {}) {
    super();
    this.layout = layout;
    this.#state = this.newFolder();
    this.#saved = this.newFolder();
    const [node = '', launcher = ''] = this.ours;
    this.#injector = new Injector(unprivilegedUser(), this.newFolder(), [node, launcher]);
    this.makeFolders(...(['repo', 'lock', 'spool', 'target'] as const).map(place => this.at(place)));
    this.configure({
      'repo1-path': this.at('repo'),
      'lock-path': this.at('lock'),
      'spool-path': this.at('spool'),
      // one more try, at once
      'job-retry': 1,
      ...layouts[layout],
      ...options,
    });
  }

  at(place: Place, ...names: readonly string[]): string {
    return join(place === 'data' ? this.cluster.data : join(this.#state, place), ...names);
  }

  /** Keeps all as it is now. */
  save(): void {
    rmSync(this.#saved, { recursive: true });
    mkdirSync(this.#saved);
    execFileSync('cp', ['-a', this.#state, join(this.#saved, 'state')]);
    execFileSync('cp', ['-a', this.cluster.folder, join(this.#saved, 'cluster')]);
  }

  /** Brings back what was kept. */
  reset(): void {
    this.#bringBack('state', this.#state);
    this.resetCluster();
  }

  /** The cluster alone. */
  resetCluster(): void {
    this.#bringBack('cluster', this.cluster.folder);
  }

  #bringBack(name: string, path: string): void {
    rmSync(path, { recursive: true });
    execFileSync('cp', ['-a', join(this.#saved, name), path]);
  }

  /** Where something of a place is kept. */
  kept(place: Exclude<Place, 'data'>, ...names: readonly string[]): string {
    return join(this.#saved, 'state', place, ...names);
  }

  inject(injection: Injection): PreparedRun {
    return this.#injector.prepare(injection);
  }

  /** The real tool where it is installed and can read the repository. */
  get judge(): Tool | undefined {
    if (real === undefined || (this.layout === 'bundles' && !isSince(real, '2.46'))) return undefined;
    return [real.path];
  }

  /** What the tool restores. @param set the latest backup when absent */
  async contentBy(tool: Tool, set?: string): Promise<Record<string, string>> {
    const [target, space] = [join(this.#saved, 'restored'), join(this.#saved, 'space')];
    for (const path of [target, space]) rmSync(path, { recursive: true, force: true });
    this.makeFolders(target, space);
    const args = [`--pg1-path=${target}`, `--tablespace-map-all=${space}`, '--type=none'];
    const { code, output } = await this.attempt('restore', set === undefined ? args : [...args, `--set=${set}`], tool);
    if (code !== 0) throw new Error(`restore by ${tool[0]} ended with ${code}\n${output}`);
    return contentOf(target);
  }

  /** Nothing is wrong in the repository. @param byBoth ask both tools, and not only the real one, which is quick */
  async verifySound(byBoth: boolean): Promise<void> {
    const judge = this.judge === undefined ? [] : [this.judge];
    const tools = byBoth || judge.length === 0 ? [this.ours, ...judge] : judge;
    await Promise.all(
      tools.map(async tool => {
        const args = ['--output=text', '--verbose', '--log-level-console=warn', '--process-max=1'];
        const { code, output } = await this.attempt('verify', args, tool);
        const wrong = /ERROR|status: (error|invalid)|(missing|invalid|other): [1-9]/.exec(output);
        if (code !== 0 || wrong !== null) throw new Error(`verify by ${tool[0]} ended with ${code}\n${output}`);
      }),
    );
  }

  /** Labels of the backups, as the real tool lists them where it can. */
  async listed(): Promise<string[]> {
    const { stdout } = await this.attempt('info', ['--output=json'], this.judge ?? this.ours);
    const [stanza] = JSON.parse(stdout) as { backup?: { label: string }[] }[];
    return (stanza?.backup ?? []).map(({ label }) => label);
  }

  /** Runs a command with the injection, and says what became of it. */
  async met(
    command: string,
    args: readonly string[],
    injection: Injection,
    options: RunOptions = {},
  ): Promise<FaultedRun> {
    const run = this.inject(injection);
    const outcome = await this.attempt(command, args, run.tool, options);
    return { outcome, run };
  }

  /** Directories of backups, complete or not. */
  backupFolders(): string[] {
    const folder = this.at('repo', 'backup/demo');
    return existsSync(folder) ? readdirSync(folder).filter(name => /^\d{8}-\d{6}F/.test(name)) : [];
  }
}

export interface FaultedRun {
  readonly outcome: Outcome;
  readonly run: PreparedRun;
}
