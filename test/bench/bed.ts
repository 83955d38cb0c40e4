/** The clusters the bench backs up, and the folders, settings and archived WAL that its rows share. */
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { segmentName } from '../command/expire/synthetic-repo.ts';
import { TestCluster } from '../support/cluster.ts';
import { giveTo, runAsOrThrow } from '../support/unprivileged.ts';
import { backupsPerFull, fillBySize, fillBySmallFiles, fillByTables, fillRepository, largeTables } from './bed-fill.ts';
import type { Command, Runner } from './measure.ts';
import type { BucketRepository, DistantRepository, ObjectStore } from './object-store.ts';

/** One of the two programs that are compared. */
export interface Tool {
  readonly name: 'ours' | 'theirs';
  /** As it is started. */
  readonly command: Command;
  /** What `version` says. */
  readonly version: string;
}

/** A folder of the bed, or a bucket so far away. */
export type Repository = string | DistantRepository;

export interface BedOptions {
  /** Megabytes of the cluster `size`. */
  readonly size: number;
  /** Tables of the cluster `tables`. */
  readonly tables: number;
  /** Small files of the cluster `files`. */
  readonly files: number;
  /** Small files of the cluster `s3files`. */
  readonly s3Files: number;
  /** Segments that the rows of S3 push and get. */
  readonly s3Segments: number;
  /** Segments that a background process pushes. */
  readonly pushSegments: number;
  /** Segments that a recovery replays. */
  readonly replaySegments: number;
  /** Calls of which the latency is measured. */
  readonly calls: number;
  /** Segments in the synthetic repository of `wal`. */
  readonly segments: number;
  /** Backups in it. */
  readonly backups: number;
}

const fill = {
  size: bed => fillBySize(bed.cluster, bed.options.size),
  tables: bed => fillByTables(bed.cluster, bed.options.tables),
  files: bed => fillBySmallFiles(bed.cluster, bed.options.files),
  s3files: bed => fillBySmallFiles(bed.cluster, bed.options.s3Files),
  wal: bed => fillRepository(bed),
  recovery: async () => undefined,
} satisfies Record<string, (bed: Bed) => Promise<void>>;

export type BedName = keyof typeof fill;

/** WAL segments kept for the archive rows. */
const keptSegments = 10;

/** One cluster with its surroundings, all in the cluster's folder. */
export class Bed {
  readonly name: BedName;
  readonly cluster: TestCluster;
  readonly options: BedOptions;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #made = new Set<string>();
  readonly #buckets = new Map<string, BucketRepository>();
  #objectStore: ObjectStore | undefined;
  #counted = false;

  private constructor(
    name: BedName,
    cluster: TestCluster,
    options: BedOptions,
    env: Readonly<Record<string, string | undefined>>,
  ) {
    this.name = name;
    this.cluster = cluster;
    this.options = options;
    this.#env = env;
  }

  /**
   * Makes, fills and starts the cluster.
   * @param version of PostgreSQL, the newest there is when undefined
   */
  static async create(
    name: BedName,
    version: string | undefined,
    options: BedOptions,
    env: Readonly<Record<string, string | undefined>>,
  ): Promise<Bed> {
    const cluster = await TestCluster.create({
      ...(version === undefined ? {} : { version }),
      settings: {
        archive_mode: 'on',
        archive_command: '/bin/false',
        shared_buffers: '128MB',
        max_wal_size: '4GB',
        autovacuum: false,
      },
    });
    const bed = new Bed(name, cluster, options, env);
    try {
      cluster.configure({ archive_command: `sh ${bed.#archiveScript} %p` });
      bed.#archiveBy(
        `n=$(ls ${bed.folder('wal')} | wc -l); [ "$n" -ge ${keptSegments} ] || cp "$1" ${bed.folder('wal')}/`,
      );
      await cluster.start();
      await fill[name](bed);
      await cluster.sql('checkpoint');
      await cluster.switchWal();
      await cluster.waitFor(
        'select last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) from pg_stat_archiver',
      );
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
    return bed;
  }

  get runner(): Runner {
    return { user: this.cluster.user, env: this.#env };
  }

  /** The real tool wants its own name in archive_command. */
  get #archiveScript(): string {
    return join(this.cluster.root, 'pgbackrest-archive.sh');
  }

  /** Says what the server does with a finished segment: a shell text, `$1` is the segment. */
  #archiveBy(script: string): void {
    // the tools are found, and the Node they run on, as in what is measured
    const text = `set -e\nPATH='${this.#env.PATH ?? process.env.PATH}'\n${script}\n`;
    writeFileSync(this.#archiveScript, text, { mode: 0o755 });
  }

  /** A folder of the bed, made when first asked for. */
  folder(name: string, mode = 0o750): string {
    const path = join(this.cluster.root, name);
    if (!existsSync(path)) this.cluster.makeFolder(name, mode);
    return path;
  }

  /** The folder, empty. */
  emptyFolder(name: string, mode = 0o750): string {
    const path = join(this.cluster.root, name);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    giveTo(this.cluster.user, path);
    chmodSync(path, mode);
    return path;
  }

  /** The segments that were kept, absolute, oldest first. */
  get segments(): string[] {
    const folder = this.folder('wal');
    return readdirSync(folder)
      .filter(name => /^[0-9A-F]{24}$/.test(name))
      .sort()
      .map(name => join(folder, name));
  }

  /** As many segments as are asked for, absolute: the kept ones under further names. */
  manySegments(count: number): string[] {
    const kept = this.segments;
    const folder = this.folder('many-wal');
    return Array.from({ length: count }, (_, index) => {
      // of a later timeline's number, which no backup asks for
      const path = join(folder, segmentName(2, index + 1));
      const source = kept[index % kept.length];
      if (source === undefined) throw new Error('no segment was kept');
      if (!existsSync(path)) linkSync(source, path);
      return path;
    });
  }

  /** As manySegments(), waiting to be archived in the pg_wal of a data directory that has nothing else. */
  waitingSegments(count: number): { readonly dataDirectory: string; readonly names: readonly string[] } {
    const root = `waiting-${count}`;
    const dataDirectory = this.folder(root, 0o700);
    const wal = this.folder(join(root, 'pg_wal'));
    const status = this.folder(join(root, 'pg_wal', 'archive_status'));
    for (const file of ['PG_VERSION', 'global/pg_control', 'postmaster.pid']) {
      this.folder(join(root, dirname(file)));
      if (!existsSync(join(dataDirectory, file))) {
        this.cluster.writeFile(join(root, file), readFileSync(join(this.cluster.dataDirectory, file)));
      }
    }
    const names = this.manySegments(count).map(segment => {
      const name = basename(segment);
      if (!existsSync(join(wal, name))) {
        linkSync(segment, join(wal, name));
        writeFileSync(join(status, `${name}.ready`), '');
      }
      return name;
    });
    return { dataDirectory, names };
  }

  /** The server for rows of S3. */
  useObjectStore(store: ObjectStore): void {
    this.#objectStore = store;
  }

  /** A repository in a bucket, by its name. */
  bucket(name: string): BucketRepository {
    if (this.#objectStore === undefined) throw new Error('there is no S3 server');
    const bucket = this.#buckets.get(name) ?? this.#objectStore.repository(name);
    this.#buckets.set(name, bucket);
    return bucket;
  }

  /** Commands made meanwhile go where requests to buckets are counted. */
  counted<T>(make: () => T): T {
    this.#counted = true;
    try {
      return make();
    } finally {
      this.#counted = false;
    }
  }

  /** The beginning of every command of a tool: program, settings and stanza. Without a bucket the repository is a folder of the bed. */
  base(tool: Tool, repo: Repository, stanza = 'bench'): string[] {
    const [global, ...options] = this.#place(repo);
    return [...tool.command, `--config=${this.#config(tool, repo, global)}`, `--stanza=${stanza}`, ...options];
  }

  /**
   * The same with further settings, in a configuration that lies in a folder of its own and is written once.
   * @param name of the folder, for each set of settings another one
   * @param settings lines of the configuration
   */
  baseWith(tool: Tool, repo: Repository, name: string, settings: readonly string[], dataDirectory?: string): string[] {
    const [global, ...options] = this.#place(repo);
    const text = this.#settings(tool, `${settings.join('\n')}\n${global}`, dataDirectory);
    const folder = `${tool.name}-${name}`;
    const file = join(this.folder(folder), 'pgbackrest.conf');
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text)
      this.cluster.writeFile(join(folder, 'pgbackrest.conf'), text);
    return [...tool.command, `--config=${file}`, '--stanza=bench', ...options];
  }

  /** Lines of a configuration that lead to a repository, and options that do. */
  #place(repo: Repository): [global: string, ...options: string[]] {
    if (typeof repo === 'string') return ['', `--repo1-path=${this.folder(repo)}`];
    return [repo.bucket.lines(repo.roundTrip, this.#counted)];
  }

  #config(tool: Tool, repo: Repository, global: string): string {
    const place =
      typeof repo === 'string' ? '' : `-${repo.bucket.name}-${repo.roundTrip}${this.#counted ? '-counted' : ''}`;
    return this.cluster.writeFile(`${tool.name}${place}.conf`, this.#settings(tool, global));
  }

  #settings(tool: Tool, global: string, dataDirectory = this.cluster.dataDirectory): string {
    const lines = [
      '[global]',
      ...['log', 'lock', 'spool'].map(kind => `${kind}-path=${this.folder(`${tool.name}-${kind}`)}`),
      'log-level-console=error',
      'start-fast=y',
      `${global}[bench]`,
      `pg1-path=${dataDirectory}`,
      `pg1-socket-path=${this.cluster.socketDirectory}`,
      `pg1-port=${this.cluster.port}`,
    ];
    return `${lines.join('\n')}\n`;
  }

  /** Runs a command that is not measured. */
  async run(command: Command): Promise<void> {
    await runAsOrThrow(this.cluster.user, command, { env: this.#env, timeout: 3_600_000 });
  }

  /** An empty repository with a stanza that the server archives to. */
  async freshRepository(tool: Tool, repo: Repository, ...options: string[]): Promise<void> {
    await this.#emptyRepository(repo);
    const base = this.base(tool, repo);
    await this.run([...base, 'stanza-create']);
    this.#archiveBy(`exec ${[...base, ...options].join(' ')} archive-push "$1"`);
  }

  /** A repository that continues where another one is; files are shared until a tool replaces them, as both do. */
  async copyRepository(tool: Tool, from: string, to: string, ...options: string[]): Promise<void> {
    await this.#emptyRepository(to);
    await this.copyFolder(from, to);
    this.#archiveBy(`exec ${[...this.base(tool, to), ...options].join(' ')} archive-push "$1"`);
  }

  /** The server may still be archiving into it: it stops, and a segment on its way in is given the time to arrive. */
  async #emptyRepository(repo: Repository): Promise<void> {
    this.#archiveBy('exit 1');
    if (typeof repo !== 'string') return await repo.bucket.empty();
    for (let attempt = 1; ; attempt++) {
      try {
        this.emptyFolder(repo);
        return;
      } catch (error) {
        if (attempt === 10 || (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
        await setTimeout(200);
      }
    }
  }

  /** A folder with the content of another one, as hard links. */
  async copyFolder(from: string, to: string): Promise<void> {
    const target = this.emptyFolder(to);
    await this.run(['cp', '-al', `${join(this.cluster.root, from)}/.`, target]);
  }

  /** Changes a page of a hundred in each table of the cluster `size`, once. */
  async changeTables(): Promise<void> {
    await this.once('change', async () => {
      for (let table = 1; table <= largeTables; table++) {
        // the row stays in its page (fillfactor), so that no other page and no index changes; the count sets hints
        await this.cluster.sql(`update account_${table} set balance = balance + 1
          where (ctid::text::point)[0]::bigint % 100 = 50 and (ctid::text::point)[1] = 1`);
        await this.cluster.sql(`select count(*) from account_${table}`);
      }
    });
  }

  /** Full backups in the synthetic repository. */
  get fullBackups(): number {
    return this.options.backups / backupsPerFull;
  }

  /** Dirty pages of the server and of the disk cache are not the next run's to write. */
  async settle(): Promise<void> {
    await this.cluster.sql('checkpoint');
    await this.run(['sync']);
  }

  /** Does a thing once for this bed. */
  async once(key: string, make: () => Promise<void>): Promise<void> {
    if (this.#made.has(key)) return;
    await make();
    this.#made.add(key);
  }

  async dispose(): Promise<void> {
    await this.cluster.dispose();
    for (const bucket of this.#buckets.values()) await bucket.remove();
  }
}
