/** What all parts of a soak work on: a cluster under load, its stanza, and the tools. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TestCluster } from '../../support/cluster.ts';
import type { Load } from '../../support/cluster-load.ts';
import { postgresOf } from '../../support/pg-binaries.ts';
import { Random } from '../../support/random.ts';
import { findRealPgbackrest } from '../../support/real-pgbackrest.ts';
import { Archiver, TestStanza, type Tool } from '../../support/stanza.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { giveTo, type RunResult, unprivilegedUser } from '../../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../../support/unprivileged-project.ts';
import { Journal } from './journal.ts';
import { Ledger } from './ledger.ts';
import { Objects } from './objects.ts';
import { processesOf } from './processes.ts';
import { Turn, until } from './turn.ts';

export type Name = 'ours' | 'real';

export const codecs = ['none', 'gz', 'lz4', 'zst', 'bz2'] as const;

/** How fast it goes. */
export interface Pace {
  /** How long it goes on. */
  readonly seconds: number;
  /** Transactions a second. */
  readonly rate: number;
  /** Milliseconds between two rows of the ledger. */
  readonly ledger: number;
  /** Milliseconds between two steps on the server. */
  readonly server: number;
  /** In about 90 steps on the server, so many restarts of both kinds. */
  readonly restarts: number;
  /** For each second that a step on the repository takes, so many seconds are waited. */
  readonly rest: number;
  /** Milliseconds between two restores. */
  readonly restores: number;
}

export interface Attempt {
  /** Milliseconds until the process is killed. */
  readonly killAfter?: number;
  /** Another configuration than the stanza's. */
  readonly config?: string;
}

export class SoakBed {
  readonly random: Random;
  readonly journal: Journal;
  readonly pace: Pace;
  readonly tools: ReadonlyMap<Name, Tool>;
  readonly cluster: TestCluster;
  readonly archiver: Archiver;
  readonly stanza: TestStanza;
  readonly objects: Objects;
  /** Who takes it may stop the server, or wants that it runs. */
  readonly server = new Turn();
  /** How often the server was stopped: a backup may fail when it was stopped meanwhile. */
  stops = 0;
  /** How many commands were run. */
  attempts = 0;
  readonly #project: RunnableProject;
  #ledger: Ledger | undefined;
  #load: Load | undefined;

  private constructor(
    sweep: Sweep,
    pace: Pace,
    project: RunnableProject,
    tools: ReadonlyMap<Name, Tool>,
    cluster: TestCluster,
  ) {
    const { random } = sweep;
    this.random = random;
    this.pace = pace;
    this.journal = new Journal(sweep, pace.seconds);
    this.#project = project;
    this.tools = tools;
    this.cluster = cluster;
    this.archiver = new Archiver(cluster);
    this.objects = new Objects(cluster, new Random(sweep.seed + 1));
    this.stanza = new TestStanza(cluster, 'soak', {
      'archive-async': 'y',
      'archive-timeout': 120,
      'archive-get-queue-max': random.pick(['4MiB', '32MiB', '128MiB']),
      'compress-type': random.pick(codecs),
      'compress-level': 1,
      'repo1-retention-full': random.between(2, 3),
      'repo1-retention-diff': random.between(2, 4),
      ...(random.chance(50) ? { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x+y/z#1;2==' } : {}),
    });
  }

  /** Makes the cluster and its stanza, and starts the load. */
  static async begin(sweep: Sweep, pace: Pace): Promise<SoakBed> {
    const user = unprivilegedUser();
    const debian = await postgresOf('15', user);
    // Debian's real tool knows PostgreSQL up to 15
    const judge = debian === undefined ? undefined : findRealPgbackrest();
    const project = runnableProject(user);
    const tools = new Map<Name, Tool>([['ours', project.command]]);
    if (judge !== undefined) tools.set('real', [judge.path]);
    const walSegmentSize = sweep.random.pick([1, 1, 4, 16]);
    const cluster = await TestCluster.create({
      walSegmentSize,
      ...(debian === undefined ? {} : { binaries: debian }),
      settings: { max_wal_size: '64MB', wal_retrieve_retry_interval: '500ms' },
    });
    const bed = new SoakBed(sweep, pace, project, tools, cluster);
    bed.journal.add(
      `PostgreSQL ${cluster.binaries.version}, WAL segments of ${walSegmentSize} MB, judge ${judge?.version}`,
    );
    try {
      await cluster.start();
      await cluster.createLoadTables();
      await cluster.sql('delete from pgbench_accounts where aid > 20000');
      await cluster.sql('vacuum full pgbench_accounts');
      await cluster.sql('update pg_database set datistemplate = false');
      await cluster.sql('drop database template1');
      await bed.succeed('ours', ['stanza-create']);
      bed.changeArchiver();
      bed.#ledger = await Ledger.begin(cluster, sweep.seed + 2, pace.ledger);
      await bed.startLoad();
    } catch (error) {
      await bed.dispose();
      throw error;
    }
    return bed;
  }

  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Error('there is no ledger yet');
    return this.#ledger;
  }

  async startLoad(): Promise<void> {
    this.#load = await this.cluster.startLoad(2, this.pace.rate);
  }

  /** @throws when it had failed before */
  async stopLoad(): Promise<void> {
    const load = this.#load;
    this.#load = undefined;
    await load?.stop();
  }

  /** The server is gone, and with it the load. */
  async abandonLoad(): Promise<void> {
    const load = this.#load;
    this.#load = undefined;
    await load?.abandon();
  }

  /** Waits until the server has been started again, where it is just being restarted. */
  async up(): Promise<void> {
    await this.server.take(async () => undefined);
  }

  tool(name: Name): Tool {
    const tool = this.tools.get(name);
    if (tool === undefined) throw new Error(`there is no tool ${name}`);
    return tool;
  }

  anyTool(among: readonly Name[] = [...this.tools.keys()]): Name {
    return among.includes('ours') && this.random.chance(60) ? 'ours' : this.random.pick(among);
  }

  /** Who pushes WAL now, and how: not always the one that makes the backup, and asynchronously most of the time. */
  changeArchiver(isAsync = this.random.chance(85), name = this.anyTool()): void {
    const options = [`--compress-type=${this.random.pick(codecs)}`];
    if (!isAsync) options.push('--no-archive-async');
    this.archiver.use(this.stanza, this.tool(name), ...options);
    this.journal.add(`    WAL by ${name} ${options.join(' ')}`);
  }

  /** Runs a command of the stanza to its end. */
  async attempt(name: Name, args: readonly string[], { killAfter, config }: Attempt = {}): Promise<RunResult> {
    this.attempts++;
    let timer: NodeJS.Timeout | undefined;
    const line = this.stanza.commandLine(this.tool(name), ...args);
    // a second --config would be an error
    const argv =
      config === undefined ? line : line.map(arg => (arg.startsWith('--config=') ? `--config=${config}` : arg));
    const result = await this.cluster.run(argv, {
      timeout: 1_200_000,
      onStart: pid => {
        if (killAfter !== undefined) timer = setTimeout(() => process.kill(pid, 'SIGKILL'), killAfter);
      },
    });
    clearTimeout(timer);
    // its other processes hold its lock until they have ended what they do
    if (result.signal === 'SIGKILL' && name === 'real') {
      await until(
        'end of its processes',
        () => !processesOf(this.stanza.folder).some(({ line }) => line.includes(':local')),
      );
    }
    return result;
  }

  /** @throws with all that the command said when it does not end well */
  async succeed(name: Name, args: readonly string[], attempt: Attempt = {}): Promise<string> {
    const { code, signal, stdout, stderr } = await this.attempt(name, args, attempt);
    if (code === 0) return stdout;
    throw new Error(`${name} ${args.join(' ')} ended with ${code ?? signal}\n${stdout}${stderr}`);
  }

  /** Waits until the WAL up to a position is in the repository. Who calls it has the turn of the server. */
  async archived(lsn: string): Promise<void> {
    const name = String(await this.cluster.value(`select pg_walfile_name('${lsn}')`));
    if ((await this.cluster.walName()) <= name) await this.cluster.switchWal();
    const folder = join(this.cluster.dataDirectory, 'pg_wal', 'archive_status');
    await until(`${name} is archived`, () =>
      readdirSync(folder).every(file => !file.endsWith('.ready') || file.slice(0, 24) > name),
    );
  }

  emptyDirectory(path: string): void {
    if (existsSync(path)) rmSync(path, { recursive: true });
    mkdirSync(path, { mode: 0o700 });
    giveTo(this.cluster.user, path);
  }

  /** Ends the load and removes everything. */
  async dispose(): Promise<void> {
    try {
      await this.abandonLoad();
      await this.stanza.dispose();
      await this.#ledger?.end();
    } finally {
      // a server that is stopped at once leaves its archive_command behind, which writes into the folder
      await this.cluster.stop();
      await this.cluster.dispose();
      this.#project.remove();
    }
  }
}
