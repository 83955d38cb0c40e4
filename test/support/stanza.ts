/**
 * A repository with a stanza `demo` of a test cluster, worked on by command lines of our tool or of the real one.
 *
 *     const archiver = new Archiver(cluster);            // before the cluster starts
 *     const stanza = new TestStanza(cluster, 'a', { 'compress-type': 'zst' });
 *     archiver.use(stanza, ours);
 *     await stanza.run(ours, 'stanza-create');
 *     await stanza.run(ours, 'backup', '--type=full');
 *     const restored = await stanza.restore(ours, '--type=immediate');
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type Target, TestCluster } from './cluster.ts';
import { giveTo, type RunOptions, type RunResult, runAs } from './unprivileged.ts';

/** How a tool is started: program, and what comes before its own arguments. */
export type Tool = readonly string[];

export type OptionValues = Readonly<Record<string, string | number>>;

export class TestStanza {
  readonly cluster: TestCluster;
  /** Holds everything of the stanza: repository, configuration, restored clusters. */
  readonly folder: string;
  readonly repo: string;
  readonly config: string;
  readonly #opened: TestCluster[] = [];
  #restores = 0;

  /** @param options lines of `[global]`, added to and before what every stanza of the tests has */
  constructor(cluster: TestCluster, name: string, options: OptionValues = {}) {
    this.cluster = cluster;
    this.folder = cluster.makeFolder(name);
    this.repo = join(this.folder, 'repo');
    const lines = Object.entries({
      'repo1-path': this.repo,
      'log-level-console': 'off',
      'log-level-stderr': 'error',
      'log-path': join(this.folder, 'log'),
      'lock-path': join(this.folder, 'lock'),
      'spool-path': join(this.folder, 'spool'),
      'start-fast': 'y',
      'archive-timeout': 60,
      'process-max': 2,
      'repo1-retention-full': 9,
      ...options,
    }).map(([key, value]) => `${key}=${value}`);
    this.config = cluster.writeFile(
      join(name, 'pgbackrest.conf'),
      `[global]\n${lines.join('\n')}\n[demo]\npg1-path=${cluster.dataDirectory}\npg1-port=${cluster.port}\n` +
        `pg1-socket-path=${cluster.socketDirectory}\n`,
    );
  }

  /** Command line of a tool for this stanza. */
  commandLine(tool: Tool, ...args: readonly string[]): string[] {
    return [...tool, `--config=${this.config}`, '--stanza=demo', ...args];
  }

  /** Runs a command to its end as the cluster's user; its exit code is for the test to judge. */
  async attempt(tool: Tool, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return await runAs(this.cluster.user, this.commandLine(tool, ...args), options);
  }

  /** @returns what the command printed @throws with all it said when it does not end well */
  async run(tool: Tool, ...args: readonly string[]): Promise<string> {
    const { code, signal, stdout, stderr } = await this.attempt(tool, args);
    if (code === 0) return stdout;
    throw new Error(
      `${[...tool, ...args].join(' ')} ended with ${code ?? signal}\n${stdout}${stderr}${this.#lastLog()}`,
    );
  }

  #lastLog(): string {
    const folder = join(this.folder, 'log');
    const logs = existsSync(folder) ? readdirSync(folder).map(name => readFileSync(join(folder, name), 'utf8')) : [];
    return logs.map(text => text.slice(-3000)).join('\n---\n');
  }

  /** A folder for a restore that does not exist yet. */
  newDataDirectory(): string {
    return join(this.folder, `restored-${++this.#restores}`);
  }

  /**
   * Restores into a data directory of its own, which must exist when it is given.
   * @returns the cluster, not started, that does not archive
   */
  async restore(tool: Tool, args: readonly string[], dataDirectory?: string): Promise<TestCluster> {
    const data = dataDirectory ?? this.newDataDirectory();
    if (!existsSync(data)) {
      mkdirSync(data, { mode: 0o700 });
      giveTo(this.cluster.user, data);
    }
    await this.run(tool, 'restore', `--pg1-path=${data}`, ...args);
    return await this.open(data);
  }

  /** A restored data directory as a cluster. It does not archive, for its WAL would mix with the original's. */
  async open(data: string): Promise<TestCluster> {
    const restored = await TestCluster.open(data, { binaries: this.cluster.binaries });
    this.#opened.push(restored);
    restored.configure({ archive_mode: 'off' });
    return restored;
  }

  /** Label of the newest backup. */
  async latest(tool: Tool): Promise<string> {
    const [stanza] = JSON.parse(await this.run(tool, 'info', '--output=json')) as { backup: { label: string }[] }[];
    const label = stanza?.backup.at(-1)?.label;
    if (label === undefined) throw new Error('there is no backup');
    return label;
  }

  /** Ends the clusters that were restored. The folder goes with the original cluster. */
  async dispose(): Promise<void> {
    for (const cluster of this.#opened.splice(0)) await cluster.dispose();
  }
}

/**
 * archive_command of a cluster, which can be pointed at another stanza or tool while the cluster runs.
 */
export class Archiver {
  readonly #cluster: TestCluster;
  readonly #script: string;

  /** Sets up a cluster that was not started yet. */
  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    // the real tool wants its name in archive_command
    this.#script = join(cluster.root, 'pgbackrest-archive');
    this.#write('exit 1');
    cluster.configure({ archive_mode: 'on', archive_command: `sh ${this.#script} %p` });
  }

  use(stanza: TestStanza, tool: Tool, ...options: readonly string[]): void {
    const line = stanza.commandLine(tool, 'archive-push', ...options).map(word => `'${word}'`);
    this.#write(`exec ${line.join(' ')} "$1"`);
  }

  /** As the cluster's own, and waits until the WAL up to the mark is in the repository. */
  async markTarget(name: string): Promise<Target> {
    const target = await this.#cluster.markTarget(name);
    const wal = this.#cluster.binaries.key >= 100000 ? 'wal' : 'xlog';
    await this.#cluster.waitFor(
      `select last_archived_wal >= pg_${wal}file_name('${target.lsn}') from pg_stat_archiver`,
    );
    return target;
  }

  /** WAL stays where it is until the next use(). */
  pause(): void {
    this.#write('exit 1');
  }

  #write(line: string): void {
    const made = this.#cluster.writeFile('archive.new', `${line}\n`);
    renameSync(made, this.#script);
  }
}

/** How much of a file is compared. */
export type Compared = 'all' | 'name only' | 'nothing';

/** Every name below a directory, with what it is and holds: to compare two trees. */
export function listTree(directory: string, comparedOf: (name: string) => Compared = () => 'all'): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .flatMap(entry => {
      const path = join(entry.parentPath, entry.name);
      const name = path.slice(directory.length + 1);
      const compared = comparedOf(name);
      if (compared === 'nothing') return [];
      if (entry.isDirectory()) return [`${name}/`];
      if (compared === 'name only') return [name];
      if (entry.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
      return [`${name} ${sha1(path)}`];
    })
    .sort();
}

const sha1 = (path: string): string => createHash('sha1').update(readFileSync(path)).digest('hex');
