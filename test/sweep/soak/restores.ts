/** Restores to moments of the past, which are known. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TestCluster } from '../../support/cluster.ts';
import type { Name, SoakBed } from './bed.ts';
import type { Catalog, Listed } from './catalog.ts';
import { Ledger, type Moment } from './ledger.ts';
import { Objects } from './objects.ts';
import { positionOf, secondsOf } from './position.ts';

/** A moment, and a backup from which a recovery gets there. */
export interface Choice {
  readonly moment: Moment;
  readonly backup: Listed;
  readonly name: Name;
  /** May the tool look for the backup? Not where one is listed that it cannot read, or that leads elsewhere. */
  readonly finds: boolean;
}

export class Restores {
  readonly #bed: SoakBed;
  readonly #catalog: Catalog;
  /** Configurations by which a recovery gets its WAL: asynchronously or not. */
  readonly #inPlace: readonly string[];
  /** For clusters beside the stanza's, with a spool, locks and logs of their own. */
  readonly #beside: readonly string[];

  constructor(bed: SoakBed, catalog: Catalog) {
    this.#bed = bed;
    this.#catalog = catalog;
    this.#inPlace = ['y', 'n'].map(isAsync => variant(bed, isAsync, ''));
    this.#beside = ['y', 'n'].map(isAsync => variant(bed, isAsync, 'beside-'));
  }

  /**
   * A configuration for a restore.
   * @param name the real tool of 2.45 does not get WAL asynchronously here: where a timeline begins its foreground may miss that
   * the background works for another segment, and waits for archive-timeout
   */
  config(name: Name, isBeside: boolean): string {
    const [isAsync = '', isNot = ''] = isBeside ? this.#beside : this.#inPlace;
    return name === 'ours' && this.#bed.random.chance(60) ? isAsync : isNot;
  }

  /**
   * A moment and a backup to start from.
   * @param elsewhere the restored cluster is not in the place of the stanza's
   */
  async choose(elsewhere: boolean): Promise<Choice | undefined> {
    const { random, ledger, objects } = this.#bed;
    const list = (await this.#catalog.list()).filter(backup => !this.#catalog.isLeft(backup));
    const [oldest] = list;
    if (oldest === undefined) return undefined;
    ledger.forget(({ lsn }) => positionOf(lsn) < positionOf(oldest.lsn.stop));
    const marks = ledger.moments.filter(({ fingerprint }) => fingerprint !== undefined);
    for (let tries = 0; tries < 50; tries++) {
      const among = random.chance(40) && marks.length > 0 ? marks : ledger.moments;
      if (among.length === 0) return undefined;
      const moment = random.pick(among);
      if (this.#nextRow(moment) === undefined) continue;
      const position = positionOf(moment.lsn);
      const backups = list.filter(
        ({ lsn }) =>
          positionOf(lsn.stop) <= position && !(elsewhere && objects.changesSpaces(positionOf(lsn.start), position)),
      );
      if (backups.length === 0) continue;
      const backup = random.pick(backups);
      const all = await this.#catalog.list();
      return {
        moment,
        backup,
        name: this.#bed.anyTool(this.#catalog.readers(backup)),
        finds: all.every(one => this.#catalog.knows('real', one) && !this.#catalog.isLeft(one)),
      };
    }
    return undefined;
  }

  /** Options that lead to a moment. */
  target({ moment, backup, finds }: Choice): string[] {
    const { random } = this.#bed;
    const types = ['time', 'lsn', 'xid', ...(moment.name === undefined ? [] : ['name', 'name'])] as const;
    const type = random.pick(types) as 'time' | 'lsn' | 'xid' | 'name';
    const args = [`--type=${type}`, `--target=${moment[type]}`, '--target-action=promote'];
    // the tool finds the set itself for a time or an LSN
    const able = finds && (type === 'lsn' || (type === 'time' && backup.timestamp.stop < secondsOf(moment.time) - 1));
    if (!able || random.chance(50)) args.push(`--set=${backup.label}`);
    if (random.chance(30)) args.push('--process-max=1');
    return args;
  }

  /** What was written after it: a recovery to a time ends at the first later commit. */
  #nextRow(moment: Moment): Moment | undefined {
    const { moments } = this.#bed.ledger;
    const index = moments.indexOf(moment);
    return moments.find(({ fingerprint }, other) => other > index && fingerprint === undefined);
  }

  /** Waits until the WAL that a recovery to the moment reads is archived. Who calls it has the turn of the server. */
  async reachable(moment: Moment): Promise<void> {
    const next = this.#nextRow(moment);
    if (next === undefined) throw new Error('this moment was not chosen');
    await this.#bed.archived(next.lsn);
  }

  /** To a folder beside: to a moment, or to the end of all WAL. */
  async restore(): Promise<void> {
    const { random, journal, ledger, stanza, server, objects } = this.#bed;
    const choice = await this.choose(true);
    if (choice === undefined) return journal.add('no restore: nothing to aim at');
    const { moment, backup, name } = choice;
    const last = ledger.moments.at(-1) ?? moment;
    const end = last.lsn;
    const toEnd = await server.take(async () => {
      if (!random.chance(15) || objects.changesSpaces(positionOf(backup.lsn.start))) {
        await this.reachable(moment);
        return false;
      }
      objects.keepsSpaces = true;
      await this.#bed.archived(end);
      return true;
    });
    const args = toEnd ? [`--set=${backup.label}`] : this.target(choice);
    const config = this.config(name, true);
    const data = join(stanza.folder, 'restored');
    const spaces = join(stanza.folder, 'restored-spaces');
    const delta = existsSync(data) && random.chance(50);
    if (!delta) for (const folder of [data, spaces]) this.#bed.emptyDirectory(folder);
    const where = `row ${moment.rows}${moment.fingerprint === undefined ? '' : ' (mark)'}`;
    const how = `${config.endsWith('-y.conf') ? 'async ' : ''}${args.join(' ')}${delta ? ' --delta' : ''}`;
    journal.note('restore', `of ${backup.label} by ${name} to ${toEnd ? 'the end' : where}: ${how}`);
    await this.into(data, name, [`--tablespace-map-all=${spaces}`, ...args], { delta, config });

    const restored = await stanza.open(data);
    try {
      await restored.start(600);
      await restored.waitFor('select not pg_is_in_recovery()', 600_000);
      if (toEnd) expect((await Ledger.read(restored)).rows).toBeGreaterThanOrEqual(last.rows);
      else await expectMoment(restored, moment);
      expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
      await restored.stop();
      expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
    } catch (error) {
      throw new Error(`the restored cluster says:\n${restored.log.slice(-6000)}`, { cause: error });
    } finally {
      objects.keepsSpaces = false;
      await stanza.dispose();
    }
  }

  /** Restores to its end, now and then in two tries. */
  async into(
    data: string,
    name: Name,
    args: readonly string[],
    { delta, config }: { readonly delta: boolean; readonly config: string },
  ): Promise<void> {
    const { random, journal } = this.#bed;
    const common = ['restore', `--pg1-path=${data}`, ...args];
    if (random.chance(80)) {
      await this.#bed.succeed(name, delta ? [...common, '--delta'] : common, { config });
      return;
    }
    const killAfter = random.between(50, 600);
    const { signal } = await this.#bed.attempt(name, delta ? [...common, '--delta'] : common, {
      config,
      killAfter,
    });
    journal.note('kill', `of a restore by ${name} after ${killAfter} ms (${signal ?? 'too late'})`);
    const begun = ['PG_VERSION', 'backup.manifest'].some(file => existsSync(join(data, file)));
    // the real tool makes directories before it leaves a sign that they are of a restore
    if (!begun && name === 'real') this.#bed.emptyDirectory(data);
    await this.#bed.succeed(name, begun || name === 'ours' ? [...common, '--delta'] : common, { config });
  }
}

/** The cluster holds what was committed then: neither less nor more. */
export async function expectMoment(restored: TestCluster, moment: Moment): Promise<void> {
  expect(await Ledger.read(restored)).toEqual({ rows: moment.rows, chain: moment.chain });
  if (moment.fingerprint !== undefined) expect(await restored.fingerprint()).toBe(moment.fingerprint);
  if (moment.picture !== undefined) expect(await Objects.picture(restored)).toBe(moment.picture);
  // each transaction of the load changes both by the same amount
  const sums = 'select (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)';
  expect(await restored.value(sums), 'half of a transaction').toBe(true);
}

/** A configuration as the stanza's, but for some things. */
function variant({ cluster, stanza }: SoakBed, isAsync: string, prefix: string): string {
  const text = readFileSync(stanza.config, 'utf8')
    .replace(/^archive-async=.*$/m, `archive-async=${isAsync}`)
    .replace(/^(log|lock|spool)-path=.*$/gm, (_, what: string) => `${what}-path=${join(stanza.folder, prefix + what)}`);
  return cluster.writeFile(join('soak', `${prefix}restore-${isAsync}.conf`), text);
}
