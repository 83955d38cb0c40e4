/** A cluster with enough in it that a backup can be met in the middle, and command lines that can be interrupted there. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, type OptionValues, TestStanza } from '../support/stanza.ts';
import { type RunResult, runAs } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

/** Slow enough to be met in the middle: one worker, the slowest codec. */
export const slowly = ['--compress-type=bz2', '--compress-level=9', '--process-max=1'];

export interface Running {
  readonly pid: number;
  readonly done: Promise<RunResult & { readonly output: string }>;
}

export class BadInputBed {
  readonly cluster: TestCluster;
  readonly stanza: TestStanza;
  readonly #project: RunnableProject;

  private constructor(cluster: TestCluster, project: RunnableProject, options: OptionValues) {
    this.cluster = cluster;
    this.#project = project;
    const archiver = new Archiver(cluster);
    this.stanza = new TestStanza(cluster, 'a', {
      'log-level-console': 'detail',
      'log-timestamp': 'n',
      'compress-type': 'lz4',
      ...options,
    });
    archiver.use(this.stanza, [...project.command]);
  }

  /** @param megabytes of content that does not compress, in table `big` */
  static async create(megabytes: number, options: OptionValues = {}): Promise<BadInputBed> {
    const cluster = await TestCluster.create({ version: '15' }).catch(() => TestCluster.create());
    try {
      const bed = new BadInputBed(cluster, runnableProject(cluster.user), options);
      await cluster.start();
      await bed.expectOk('stanza-create');
      await cluster.sql(`
        create table big (id int, content text);
        alter table big alter content set storage external;
        insert into big select n, (select string_agg(md5(n::text || i::text), '') from generate_series(1, 1024) i)
          from generate_series(1, ${megabytes * 32}) n;
        checkpoint`);
      return bed;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  get tool(): readonly string[] {
    return this.#project.command;
  }

  /** Starts a command and goes on at once. */
  start(...args: readonly string[]): Running {
    let pid = 0;
    const argv = this.stanza.commandLine(this.tool, ...args);
    const done = runAs(this.cluster.user, argv, {
      onStart: started => {
        pid = started;
      },
    }).then(result => ({ ...result, output: result.stdout + result.stderr }));
    return { pid, done };
  }

  run(...args: readonly string[]): Running['done'] {
    return this.start(...args).done;
  }

  async expectOk(...args: readonly string[]): Promise<string> {
    const { code, signal, output } = await this.run(...args);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? signal}\n${output}`);
    return output;
  }

  get backupFolder(): string {
    return join(this.stanza.repo, 'backup/demo');
  }

  /** Directories of backups, complete or not, oldest first. */
  directories(): string[] {
    if (!existsSync(this.backupFolder)) return [];
    return readdirSync(this.backupFolder)
      .filter(name => /^\d{8}-\d{6}F/.test(name))
      .sort();
  }

  /** Labels that info lists. */
  async listed(): Promise<string[]> {
    const { stdout } = await this.run('info', '--output=json', '--log-level-console=off');
    const [stanza] = JSON.parse(stdout) as { backup: { label: string }[] }[];
    return (stanza?.backup ?? []).map(({ label }) => label);
  }

  /** Waits until a backup that began after `known` directories has stored the start of a large file. */
  async untilCopying(running: Running, known: readonly string[]): Promise<string> {
    const found = (): string | undefined => {
      const label = this.directories().find(name => !known.includes(name));
      return label !== undefined && hasLargeFile(join(this.backupFolder, label)) ? label : undefined;
    };
    return await until(running, found);
  }

  async untilRestoring(running: Running, data: string): Promise<void> {
    await until(running, () => (hasLargeFile(data) ? data : undefined));
  }

  async dispose(): Promise<void> {
    await this.stanza.dispose();
    // a server that is stopped at once leaves its archive_command behind, which writes into the folder
    await this.cluster.stop();
    await this.cluster.dispose();
    this.#project.remove();
  }
}

async function until(running: Running, found: () => string | undefined): Promise<string> {
  let ended: (RunResult & { output: string }) | undefined;
  running.done.then(
    result => {
      ended = result;
    },
    () => undefined,
  );
  for (;;) {
    const value = found();
    if (value !== undefined) return value;
    if (ended !== undefined) throw new Error(`ended before it was met in the middle:\n${ended.output}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** Is there a file of more than a few hundred kilobytes below `base`? */
function hasLargeFile(folder: string): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { recursive: true, withFileTypes: true }).some(
    entry =>
      entry.isFile() &&
      /\/base\//.test(`${entry.parentPath}/`) &&
      (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0) > 300_000,
  );
}
