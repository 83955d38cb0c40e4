/**
 * The story of one stanza: backups of all kinds by our tool and the real one (where there is one) in turns, with settings
 * that change, expiry, processes that are killed, and restores to moments whose rows are known, all under load.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Target, TestCluster } from '../support/cluster.ts';
import type { Load } from '../support/cluster-load.ts';
import { comparableInfo } from '../support/comparable-info.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { Random } from '../support/random.ts';
import { findRealPgbackrest, isSince } from '../support/real-pgbackrest.ts';
import { shrink } from '../support/shrink.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

type Name = 'ours' | 'real';

const judgeKnowsBlocks = isSince(findRealPgbackrest(), '2.46');
type BackupType = 'full' | 'diff' | 'incr';

/** What `info` says of a backup. */
interface Listed {
  readonly label: string;
  readonly type: BackupType;
  readonly reference: readonly string[] | null;
  readonly lsn: { readonly start: string; readonly stop: string };
  readonly timestamp: { readonly start: number; readonly stop: number };
}

const codecs = ['none', 'gz', 'lz4', 'zst', 'bz2'] as const;

/** Changes to the tables under load, beside the load. */
const changes = [
  'update pgbench_accounts set abalance = abalance + 1 where aid % 7 = 3',
  'truncate pgbench_history',
  'vacuum full pgbench_accounts',
  'reindex table pgbench_accounts',
  'vacuum pgbench_accounts',
  'checkpoint',
  'create table if not exists extra as select * from pgbench_accounts',
  'drop table if exists extra',
  'create unlogged table if not exists passing as select 1 as n',
];

export class Story {
  /** What happened, and when. */
  readonly lines: string[] = [];
  readonly #random: Random;
  readonly #project: RunnableProject;
  readonly #tools: ReadonlyMap<Name, Tool>;
  readonly #cluster: TestCluster;
  readonly #archiver: Archiver;
  readonly #stanza: TestStanza;
  readonly #targets: Target[] = [];
  /** Labels of backups with block maps, which Debian's real tool does not know. */
  readonly #blocks = new Set<string>();
  #hasBundles = false;
  /** Labels of backups on a timeline that the cluster has left before they ended. */
  readonly #left = new Set<string>();
  #marks = 0;
  readonly #counts = new Map<string, number>();
  readonly #began = performance.now();
  #load: Load | undefined;

  private constructor(random: Random, project: RunnableProject, tools: ReadonlyMap<Name, Tool>, cluster: TestCluster) {
    this.#random = random;
    this.#project = project;
    this.#tools = tools;
    this.#cluster = cluster;
    this.#archiver = new Archiver(cluster);
    this.#stanza = new TestStanza(cluster, 'story', {
      'compress-type': random.pick(codecs),
      'compress-level': 1,
      'repo1-retention-full': random.between(2, 3),
      'repo1-retention-diff': random.between(2, 4),
      ...(random.chance(50) ? { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x+y/z#1;2==' } : {}),
    });
  }

  /** Makes the cluster and its stanza, and starts the load. */
  static async begin(seed: number): Promise<Story> {
    const user = unprivilegedUser();
    const debian = await postgresOf('15', user);
    // Debian's real tool knows PostgreSQL up to 15
    const judge = debian === undefined ? undefined : findRealPgbackrest();
    const project = runnableProject(user);
    const tools = new Map<Name, Tool>([['ours', project.command]]);
    if (judge !== undefined) tools.set('real', [judge.path]);
    const cluster = await TestCluster.create({ ...(debian === undefined ? {} : { binaries: debian }) });
    const story = new Story(new Random(seed), project, tools, cluster);
    try {
      await cluster.start();
      await cluster.createLoadTables();
      await shrink(cluster, 20_000);
      await story.#succeed('ours', ['stanza-create']);
      story.#load = await cluster.startLoad(2);
    } catch (error) {
      await story.end();
      throw error;
    }
    return story;
  }

  /** Ends the load and removes everything. */
  async end(): Promise<void> {
    await this.#stanza.dispose();
    // a server that is stopped at once leaves its archive_command behind, which writes into the folder
    await this.#cluster.stop();
    await this.#cluster.dispose();
    this.#project.remove();
  }

  count(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  get summary(): string {
    return [...this.#counts].map(([what, count]) => `${what} ${count}`).join(', ');
  }

  /** Some of everything first, then what chance brings until the time is over; then both tools look at what is left. */
  async tell(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    for (const step of [
      () => this.#backup('full'),
      () => this.#mark(),
      () => this.#killedBackup(),
      () => this.#backup('incr'),
      () => this.#mark(),
      () => this.#restore(),
      () => this.#goBack(),
      () => this.#expire(),
    ]) {
      await step();
    }
    const chances: readonly (readonly [weight: number, step: () => Promise<void>])[] = [
      [30, () => this.#backup(this.#random.pick(['full', 'diff', 'diff', 'incr', 'incr', 'incr']))],
      [20, () => this.#mark()],
      [15, () => this.#change()],
      [15, () => this.#restore()],
      [10, () => this.#killedBackup()],
      [5, () => this.#expire()],
      [5, () => this.#inspect()],
      [5, () => this.#goBack()],
    ];
    const steps = chances.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));
    while (performance.now() < end) await this.#random.pick(steps)();
    await this.#mark();
    await this.#inspect();
    await this.#restore();
    await this.#load?.stop();
  }

  #note(what: string, text: string): void {
    this.#counts.set(what, this.count(what) + 1);
    this.lines.push(`${((performance.now() - this.#began) / 1000).toFixed(1)} s: ${what} ${text}`);
  }

  /** Runs a command. @param killAfter milliseconds until the process is killed */
  async #attempt(name: Name, args: readonly string[], killAfter?: number): Promise<RunResult> {
    const tool = this.#tools.get(name) ?? [];
    let timer: NodeJS.Timeout | undefined;
    const result = await this.#stanza.attempt(tool, args, {
      onStart: pid => {
        if (killAfter !== undefined) timer = setTimeout(() => process.kill(pid, 'SIGKILL'), killAfter);
      },
    });
    clearTimeout(timer);
    // its other processes hold its lock until they have ended what they do
    if (result.signal === 'SIGKILL' && name === 'real') {
      await expect.poll(() => isWorkingOn(this.#stanza.config), { timeout: 60_000 }).toBe(false);
    }
    return result;
  }

  async #succeed(name: Name, args: readonly string[]): Promise<string> {
    const { code, signal, stdout, stderr } = await this.#attempt(name, args);
    if (code === 0) return stdout;
    throw new Error(`${name} ${args.join(' ')} ended with ${code ?? signal}\n${stdout}${stderr}`);
  }

  async #list(): Promise<Listed[]> {
    return JSON.parse(await this.#succeed('ours', ['info', '--output=json']))[0].backup;
  }

  /** Can the tool read the backup and all that it refers to? */
  #knows(name: Name, { label, reference }: Listed): boolean {
    return name === 'ours' || judgeKnowsBlocks || ![label, ...(reference ?? [])].some(one => this.#blocks.has(one));
  }

  /** A tool that can make a backup of this type after what is there. */
  async #toolFor(type: BackupType): Promise<Name> {
    const list = await this.#list();
    const prior = type === 'incr' ? list.at(-1) : list.findLast(backup => backup.type === 'full');
    const able = [...this.#tools.keys()].filter(
      name => type === 'full' || prior === undefined || this.#knows(name, prior),
    );
    return this.#random.pick(able);
  }

  #backupArguments(name: Name, type: BackupType): string[] {
    const random = this.#random;
    const args = ['backup', `--type=${type}`, `--compress-type=${random.pick(codecs)}`];
    args.push(`--process-max=${random.between(1, 2)}`);
    if (random.chance(30)) args.push('--delta');
    if (random.chance(50)) {
      args.push('--repo1-bundle', `--repo1-bundle-limit=${random.pick(['16KiB', '1MiB', '2MiB'])}`);
      if ((name === 'ours' || judgeKnowsBlocks) && random.chance(50)) args.push('--repo1-block');
    } else if (random.chance(30) && (name === 'ours' || !this.#hasBundles)) {
      // the real tool looks for a file to link even where an earlier backup has it in a bundle
      args.push('--repo1-hardlink');
    }
    return args;
  }

  /** Whoever pushes WAL now: not always the one that makes the backup. */
  #changeArchiver(): void {
    const [name, tool] = this.#random.pick([...this.#tools]);
    this.#archiver.use(this.#stanza, tool);
    this.lines.push(`    WAL by ${name}`);
  }

  async #backup(type: BackupType): Promise<void> {
    const name = await this.#toolFor(type);
    const args = this.#backupArguments(name, type);
    this.#changeArchiver();
    this.#note('backup', `by ${name}: ${args.join(' ')}`);
    await this.#succeed(name, args);
    await this.#learn();
  }

  /** Looks which of the backups are by blocks. */
  async #learn(): Promise<void> {
    const newest = (await this.#list()).at(-1);
    if (newest === undefined) return;
    const manifest = await this.#succeed('ours', ['manifest', '--output=json', `--set=${newest.label}`]);
    const { block, bundle } = JSON.parse(manifest);
    if (block?.block === true) this.#blocks.add(newest.label);
    if (bundle?.bundle === true) this.#hasBundles = true;
    this.lines.push(`    ${newest.label}${this.#blocks.has(newest.label) ? ' (blocks)' : ''}`);
  }

  /** A backup is killed; the next one of the same kind goes on with it, or removes it, and so does one of another kind. */
  async #killedBackup(): Promise<void> {
    const type = this.#random.pick(['full', 'full', 'diff', 'incr'] as const);
    const name = await this.#toolFor(type);
    const args = [...this.#backupArguments(name, type), '--manifest-save-threshold=1KiB'];
    this.#changeArchiver();
    const before = (await this.#list()).length;
    const after = this.#random.between(100, 1500);
    const { code, signal, stdout, stderr } = await this.#attempt(name, args, after);
    this.#note('kill', `of ${name} after ${after} ms (${signal ?? 'too late'}): ${args.join(' ')}`);
    if (signal === undefined) {
      expect(code, `${stdout}${stderr}`).toBe(0);
      await this.#learn();
    } else {
      const list = await this.#list();
      // it may be listed already while it expires what is too old
      if (list.length > before) await this.#learn();
    }
    if (this.#random.chance(50)) {
      this.#note('backup', `again by ${name}`);
      await this.#succeed(name, args);
      await this.#learn();
    }
  }

  async #mark(): Promise<void> {
    const name = `target ${this.#marks++}`;
    const target = await this.#archiver.markTarget(name);
    this.#targets.push(target);
    this.#note('mark', `${name} at ${target.lsn}`);
  }

  async #change(): Promise<void> {
    const statement = this.#random.pick(changes);
    this.#note('change', statement);
    await this.#cluster.sql(statement);
  }

  async #expire(): Promise<void> {
    const name = this.#random.pick([...this.#tools.keys()]);
    const before = await this.#list();
    const fulls = before.filter(({ type }) => type === 'full');
    const newest = fulls.at(-1);
    const single = before.filter(({ label }) => newest !== undefined && label !== newest.label);
    const args = ['expire'];
    if (this.#random.chance(30) && single.length > 0) {
      args.push(`--set=${this.#random.pick(single).label}`);
    } else {
      // not with a set: WAL would go that the backups that stay need to go further than to their end
      args.push(`--repo1-retention-full=${this.#random.between(1, 3)}`);
      if (this.#random.chance(30)) args.push('--repo1-retention-diff=1');
    }
    if (this.#random.chance(15)) args.push('--dry-run');
    const killAfter = this.#random.chance(30) ? this.#random.between(50, 300) : undefined;
    const { code, signal, stdout, stderr } = await this.#attempt(name, args, killAfter);
    this.#note('expire', `by ${name}: ${args.join(' ')}${signal === undefined ? '' : ` (${signal})`}`);
    if (signal === undefined) expect(code, `${stdout}${stderr}`).toBe(0);
    const after = await this.#list();
    const labels = after.map(({ label }) => label);
    expect(labels).toContain(newest?.label);
    for (const { reference } of after) for (const label of reference ?? []) expect(labels).toContain(label);
    if (args.includes('--dry-run')) expect(labels).toEqual(before.map(({ label }) => label));
  }

  /** Restores to a known moment from any backup that ended before it. */
  async #restore(): Promise<void> {
    const { picked, able, automatic } = await this.#choose();
    if (picked === undefined) return;
    const { target, backup } = picked;
    const name = this.#random.pick(able);
    const type = this.#random.pick(['name', 'time', 'lsn', 'xid'] as const);
    const args = [`--type=${type}`, `--target=${target[type]}`, '--target-action=promote'];
    // the tool finds the set itself for a time or an LSN
    const finds =
      automatic && (type === 'lsn' || (type === 'time' && backup.timestamp.stop < secondsOf(target.time) - 1));
    if (!finds || this.#random.chance(50)) args.push(`--set=${backup.label}`);
    if (this.#random.chance(30)) args.push('--process-max=1');

    const data = join(this.#stanza.folder, 'restored');
    const delta = existsSync(data) && this.#random.chance(50);
    if (!delta) this.#emptyDirectory(data);
    this.#note(
      'restore',
      `of ${backup.label} by ${name} to ${target.name}: ${args.join(' ')}${delta ? ' --delta' : ''}`,
    );
    await this.#restoreInto(data, name, args, delta);

    const restored = await this.#stanza.open(data);
    try {
      await restored.start();
      await restored.waitFor('select not pg_is_in_recovery()');
      expect(await restored.fingerprint()).toBe(target.fingerprint);
      expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
      await restored.stop();
      expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
    } catch (error) {
      throw new Error(`the restored cluster says:\n${restored.log.slice(-4000)}`, { cause: error });
    } finally {
      await this.#stanza.dispose();
    }
  }

  /** Restores to its end, now and then in two tries. */
  async #restoreInto(data: string, name: Name, args: readonly string[], delta: boolean): Promise<void> {
    const common = ['restore', `--pg1-path=${data}`, ...args];
    if (!this.#random.chance(20)) {
      await this.#succeed(name, delta ? [...common, '--delta'] : common);
      return;
    }
    const after = this.#random.between(50, 600);
    const { signal } = await this.#attempt(name, delta ? [...common, '--delta'] : common, after);
    this.#note('kill', `of a restore by ${name} after ${after} ms (${signal ?? 'too late'})`);
    const begun = ['PG_VERSION', 'backup.manifest'].some(file => existsSync(join(data, file)));
    // the real tool makes directories before it leaves a sign that they are of a restore
    if (!begun && name === 'real') this.#emptyDirectory(data);
    await this.#succeed(name, begun || name === 'ours' ? [...common, '--delta'] : common);
  }

  /**
   * The cluster itself goes back to a known moment, and lives on from there on a timeline of its own. What was backed up or
   * marked later belongs to a past that nobody can follow to a later moment.
   */
  async #goBack(): Promise<void> {
    const { picked, able } = await this.#choose();
    if (picked === undefined) return;
    const { target, backup } = picked;
    const name = this.#random.pick(able);
    this.#note('go back', `to ${target.name} from ${backup.label} by ${name}`);
    await this.#load?.stop();
    await this.#cluster.stop();
    const args = ['--type=name', `--target=${target.name}`, '--target-action=promote', `--set=${backup.label}`];
    await this.#restoreInto(this.#cluster.dataDirectory, name, args, true);
    await this.#cluster.start();
    await this.#cluster.waitFor('select not pg_is_in_recovery()');
    expect(await this.#cluster.fingerprint()).toBe(target.fingerprint);
    const now = positionOf(target.lsn);
    for (const { label, lsn } of await this.#list()) if (positionOf(lsn.stop) > now) this.#left.add(label);
    // the transaction that marked the target itself did not end here
    const kept = this.#targets.filter(({ lsn }) => positionOf(lsn) < now);
    this.#targets.splice(0, this.#targets.length, ...kept);
    this.#load = await this.#cluster.startLoad(2);
  }

  /** A target and a backup to start from, who can restore it, and whether any of them may choose the backup. */
  async #choose(): Promise<{ picked?: { target: Target; backup: Listed }; able: Name[]; automatic: boolean }> {
    const list = await this.#list();
    const pairs = this.#targets.map(target => ({
      target,
      backups: list.filter(
        ({ label, lsn }) => !this.#left.has(label) && positionOf(lsn.stop) <= positionOf(target.lsn),
      ),
    }));
    const usable = pairs.filter(({ backups }) => backups.length > 0);
    if (usable.length === 0) return { able: [], automatic: false };
    const { target, backups } = this.#random.pick(usable);
    const backup = this.#random.pick(backups);
    const able = [...this.#tools.keys()].filter(name => this.#knows(name, backup));
    const automatic = list.every(one => this.#knows('real', one) && !this.#left.has(one.label));
    return { picked: { target, backup }, able, automatic };
  }

  #emptyDirectory(path: string): void {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { mode: 0o700 });
    giveTo(this.#cluster.user, path);
  }

  /** Both tools say the same of the repository, and find nothing wrong in it. */
  async #inspect(): Promise<void> {
    this.#note('inspect', '');
    const list = await this.#list();
    const said: unknown[] = [];
    for (const name of this.#tools.keys()) {
      said.push(comparableInfo(await this.#succeed(name, ['info', '--output=json'])));
      if (!list.every(backup => this.#knows(name, backup))) continue;
      const found = await this.#succeed(name, ['verify', '--output=text', '--verbose']);
      expect(
        found.match(/status: .*|(missing|invalid): [1-9].*/g)?.filter(line => !/: (ok|valid|in-progress)\b/.test(line)),
      ).toEqual([]);
      expect(found.match(/status: valid/g)).toHaveLength(list.length);
    }
    for (const other of said) expect(other).toEqual(said[0]);
  }
}

/** Is there a process of the real tool that works for another one with this configuration? */
function isWorkingOn(config: string): boolean {
  return readdirSync('/proc').some(pid => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return line.includes(config) && line.includes(':local');
    } catch (error) {
      // it has gone meanwhile
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  });
}

/** A position in the WAL, such as `0/3000028`. */
function positionOf(lsn: string): bigint {
  const [high = '', low = ''] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** Seconds since 1970 of a time as PostgreSQL writes it. */
const secondsOf = (time: string): number => Date.parse(time.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')) / 1000;
