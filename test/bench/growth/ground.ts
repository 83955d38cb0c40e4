/** A data directory that no server runs on, and the tools' repositories of it, in a folder in memory. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chownTree } from '../../support/cluster.ts';
import { giveTo, runAsOrThrow } from '../../support/unprivileged.ts';
import type { Tool } from '../bed.ts';
import type { Command, Runner } from '../measure.ts';

const stanza = 'growth';

export class Ground {
  readonly root: string;
  readonly dataDirectory: string;
  readonly #runner: Runner;

  private constructor(root: string, runner: Runner) {
    this.root = root;
    this.dataDirectory = join(root, 'data');
    this.#runner = runner;
  }

  /**
   * @param folder where the ground is made; nothing of it stays there
   * @param initial data directory as initdb left it, with page checksums
   * @param fill adds to a copy of it
   */
  static async create(
    folder: string,
    initial: string,
    runner: Runner,
    fill: (dataDirectory: string) => void,
  ): Promise<Ground> {
    const root = mkdtempSync(join(folder, 'pgbackstop-growth-'));
    giveTo(runner.user, root);
    const ground = new Ground(root, runner);
    try {
      cpSync(initial, ground.dataDirectory, { recursive: true });
      fill(ground.dataDirectory);
      await chownTree(runner.user, ground.dataDirectory);
    } catch (error) {
      ground.dispose();
      throw error;
    }
    return ground;
  }

  /** Files and bytes of the data directory. */
  size(): { readonly files: number; readonly bytes: number } {
    const files = readdirSync(this.dataDirectory, { recursive: true, withFileTypes: true }).filter(each =>
      each.isFile(),
    );
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
    return { files: files.length, bytes };
  }

  /** Writes a small file of the data directory anew. */
  changeOne(): void {
    const path = join(this.dataDirectory, 'changed');
    writeFileSync(path, `${Date.now()}\n`, { mode: 0o600 });
    giveTo(this.#runner.user, path);
  }

  repository(tool: Tool): string {
    return join(this.root, `${tool.name}-repo`);
  }

  /** Where a tool restores to; it is there, and empty. */
  emptyTarget(tool: Tool): string {
    const path = this.target(tool);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { mode: 0o700 });
    giveTo(this.#runner.user, path);
    return path;
  }

  target(tool: Tool): string {
    return join(this.root, `${tool.name}-restored`);
  }

  /** Begins the tool's repository anew. @param settings lines of its configuration */
  async freshRepository(tool: Tool, settings: readonly string[]): Promise<void> {
    const repo = this.repository(tool);
    this.removeAllOf(tool);
    for (const path of [repo, ...['log', 'lock', 'spool'].map(kind => join(this.root, `${tool.name}-${kind}`))]) {
      mkdirSync(path, { recursive: true, mode: 0o750 });
      giveTo(this.#runner.user, path);
    }
    const lines = [
      '[global]',
      `repo1-path=${repo}`,
      ...['log', 'lock', 'spool'].map(kind => `${kind}-path=${join(this.root, `${tool.name}-${kind}`)}`),
      'log-level-console=error',
      'compress-type=lz4',
      'process-max=2',
      ...settings,
      `[${stanza}]`,
      `pg1-path=${this.dataDirectory}`,
    ];
    writeFileSync(this.#config(tool), `${lines.join('\n')}\n`);
    await this.run(this.command(tool, 'stanza-create', '--no-online'));
  }

  /** Repository and restored files go: memory is what they lie in. */
  removeAllOf(tool: Tool): void {
    // faster than Node's own for a million files
    execFileSync('rm', ['-rf', this.repository(tool), this.target(tool)]);
  }

  command(tool: Tool, ...args: readonly string[]): Command {
    return [...tool.command, `--config=${this.#config(tool)}`, `--stanza=${stanza}`, ...args];
  }

  #config(tool: Tool): string {
    return join(this.root, `${tool.name}.conf`);
  }

  /** Labels of the tool's backups, oldest first. */
  labels(tool: Tool): string[] {
    return readdirSync(join(this.repository(tool), 'backup', stanza))
      .filter(name => /^\d{8}-\d{6}F/.test(name))
      .sort();
  }

  /** Runs a command that is not measured. */
  async run(command: Command): Promise<void> {
    await runAsOrThrow(this.#runner.user, command, { env: this.#runner.env, timeout: 3_600_000 });
  }

  dispose(): void {
    execFileSync('rm', ['-rf', this.root]);
  }
}
