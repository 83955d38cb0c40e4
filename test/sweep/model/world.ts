/** A stanza to which things happen: our commands on real repositories, and the model beside them. */
import { utimesSync } from 'node:fs';
import { formatLabelTime } from '../../../src/base/clock.ts';
import type { RunCommand } from '../../../src/config/command.ts';
import type { CommandResult } from '../../support/command-run.ts';
import type { Random } from '../../support/random.ts';
import { CommandBed } from '../../support/sweep/command-bed.ts';
import { type Break, Changes, Killed } from './breaking-storage.ts';
import { ModelCluster } from './cluster.ts';
import { FakeClock } from './fake-clock.ts';
import type { OnlineBackup } from './fake-server.ts';
import type { ModelBackup, ModelDb, ModelRepo, Retention } from './model.ts';
import { RepoOnDisk } from './on-disk.ts';
import type { Setting } from './steps.ts';

/** What the modules in this thread that stand for others look at: one command runs at a time, but for pushes within it. */
export const current: { changes: Changes; online: OnlineBackup | undefined } = {
  changes: new Changes(),
  online: undefined,
};

/** A repository and what it should hold. */
export interface RepoState {
  readonly key: number;
  readonly disk: RepoOnDisk;
  retention: Retention;
  backups: readonly ModelBackup[];
  archive: ReadonlyMap<string, ReadonlySet<string>>;
  history: ReadonlySet<string>;
  /** Backups whose removal was cut off: they lack the copy of their manifest. */
  torn: ReadonlySet<string>;
  /** A command was cut off, so that the link `latest` may name another backup until the next one is made. */
  isLinkStale: boolean;
  /** A command was cut off: what backup.info says may be behind the directories until the next one has looked at them. */
  isUnsettled: boolean;
}

export interface Ended {
  readonly result: CommandResult | undefined;
  /** The break came, and the command may have ended anywhere. */
  readonly isBroken: boolean;
}

export class World {
  readonly bed: CommandBed;
  readonly clock: FakeClock;
  readonly cluster: ModelCluster;
  readonly repos: readonly RepoState[];
  readonly setting: Setting;
  readonly dbs: ModelDb[] = [{ id: 1, version: '15' }];

  constructor(setting: Setting, random: Random) {
    this.setting = setting;
    this.bed = new CommandBed('model');
    // past what real clocks have stamped files with, so that all that is older looks so
    this.clock = new FakeClock(Date.UTC(2031, 0, 1) / 1000 + random.between(0, 365 * 86_400));
    this.cluster = new ModelCluster(this.bed, random);
    this.repos = setting.retention.map((retention, index) => ({
      key: index + 1,
      disk: new RepoOnDisk(index + 1, this.bed.repoPath(index + 1), setting.options[`repo${index + 1}-cipher-pass`]),
      retention,
      backups: [],
      archive: new Map(),
      history: new Set(),
      torn: new Set(),
      isLinkStale: false,
      isUnsettled: false,
    }));
  }

  async create(): Promise<void> {
    this.configure();
    this.cluster.change(this.clock.seconds);
    await this.run('stanza-create', ['--no-online']);
  }

  /** Writes the configuration anew. */
  configure(): void {
    const retention = this.repos.flatMap(
      ({ key, retention: { full, fullType, diff, archive, archiveType, history } }) =>
        Object.entries({ full, 'full-type': fullType, diff, archive, 'archive-type': archiveType, history }).flatMap(
          ([name, value]) => (value === undefined ? [] : [[`repo${key}-retention-${name}`, value]]),
        ),
    );
    const options = { ...this.setting.options, ...Object.fromEntries(retention), 'job-retry': 0 };
    this.bed.configure(options, this.repos.length);
  }

  get archiveId(): string {
    const { id, version } = this.dbs.at(-1) as ModelDb;
    return `${version}-${id}`;
  }

  /** The repositories that a step is about. */
  chosen(repo: number | 'all'): readonly RepoState[] {
    return this.repos.filter(({ key }) => repo === 'all' || key === repo);
  }

  /** The backup that an expire asks for. */
  setOf({ repo, set }: { readonly repo: number | 'all'; readonly set?: number }): string | undefined {
    const labels = new Set(this.chosen(repo).flatMap(({ backups }) => backups.map(({ label }) => label)));
    return pick([...labels].sort(), set);
  }

  modelOf({ retention, backups, archive, history }: RepoState): ModelRepo {
    return { retention, backups, archive, history, dbs: this.dbs };
  }

  /** Runs a command that is cut off, or is not. What else goes wrong is part of the answer. */
  async attempt(command: RunCommand, args: readonly string[], at?: Break, followUp = false): Promise<Ended> {
    const before = current.changes;
    const changes = new Changes(at);
    current.changes = changes;
    try {
      const result = await this.bed.attempt(command, args, { clock: this.clock, followUp });
      return { result, isBroken: changes.isBroken };
    } catch (error) {
      if (!(error instanceof Killed) && !changes.isDead) throw error;
      return { result: undefined, isBroken: true };
    } finally {
      await changes.settle();
      current.changes = before;
    }
  }

  /** @throws what kept the command from ending well */
  async run(command: RunCommand, args: readonly string[] = []): Promise<CommandResult> {
    const { result } = await this.attempt(command, args);
    if (result?.error !== undefined) throw result.error;
    if (result === undefined) throw new Error(`${command} was killed`);
    return result;
  }

  /** Archives a file in all repositories. One that is cut off is tried again, as PostgreSQL does. */
  async archive(name: string, text?: string, at?: Break): Promise<void> {
    const path = this.cluster.walFile(name, text);
    utimesSync(path, this.clock.seconds, this.clock.seconds);
    const { result, isBroken } = await this.attempt('archive-push', [path], at);
    if (isBroken) await this.run('archive-push', [path]);
    else if (result?.error !== undefined) throw result.error;
    for (const repo of this.repos) {
      const files = new Set(repo.archive.get(this.archiveId));
      repo.archive = new Map(repo.archive).set(this.archiveId, files.add(name));
    }
  }

  /** The segment that is being written is full. */
  async switchWal(at?: Break): Promise<void> {
    const { position } = this.cluster;
    await this.archive(position.name(), undefined, at);
    position.segment++;
  }

  /** `20261121-020956`, local time. */
  labelTime(seconds = this.clock.seconds): string {
    return formatLabelTime(Math.floor(seconds));
  }

  /** Restores a backup. @returns its files */
  async restore({ key }: RepoState, { label, wal }: ModelBackup): Promise<Record<string, string>> {
    const [target, space] = [this.bed.newFolder(), this.bed.newFolder()];
    const args = [`--repo=${key}`, `--set=${label}`, `--pg1-path=${target}`, `--tablespace-map-all=${space}`];
    await this.run('restore', [...args, ...(wal === undefined ? ['--type=none'] : ['--type=immediate'])]);
    return this.cluster.content(target);
  }

  dispose(): void {
    this.bed.dispose();
  }
}

/** @param at in parts of a thousand of the list; absent: none */
export function pick<Value>(list: readonly Value[], at: number | undefined): Value | undefined {
  return at === undefined ? undefined : list[Math.floor((at * list.length) / 1000)];
}
