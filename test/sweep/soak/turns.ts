/** What changes the cluster itself: it is stopped and started, goes back to the past, and is followed by its standby. */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { expect } from 'vitest';
import { TestCluster } from '../../support/cluster.ts';
import type { SoakBed } from './bed.ts';
import type { Catalog, Listed } from './catalog.ts';
import { Ledger } from './ledger.ts';
import { positionOf } from './position.ts';
import { expectMoment, type Restores } from './restores.ts';
import { until } from './turn.ts';

export class Turns {
  readonly #bed: SoakBed;
  readonly #catalog: Catalog;
  readonly #restores: Restores;
  readonly #backup: () => Promise<void>;

  constructor(bed: SoakBed, catalog: Catalog, restores: Restores, backup: () => Promise<void>) {
    this.#bed = bed;
    this.#catalog = catalog;
    this.#restores = restores;
    this.#backup = backup;
  }

  /** Under load, and in whatever the tools are at. Who calls it has the turn of the server. */
  async restart(mode: 'fast' | 'immediate'): Promise<void> {
    this.#bed.journal.note(`restart`, mode);
    this.#bed.stops++;
    await this.#bed.cluster.stop(mode);
    await this.#bed.abandonLoad();
    await this.#bed.cluster.start(600);
    await this.#bed.startLoad();
  }

  /**
   * The cluster itself goes back to a known moment, and lives on from there on a timeline of its own. What was backed up or
   * marked later belongs to a past that nobody can follow to a later moment.
   */
  async goBack(): Promise<void> {
    const { cluster, ledger, server, journal, objects, random } = this.#bed;
    const choice = await this.#restores.choose(false);
    if (choice === undefined) return journal.add('no way back: nothing to aim at');
    const { moment, backup, name } = choice;
    await server.take(async () => {
      await this.#restores.reachable(moment);
      await ledger.still(async () => {
        const target = this.#restores.target(choice);
        journal.note(
          'promote',
          `after going back to row ${moment.rows} from ${backup.label} by ${name}: ${target.join(' ')}`,
        );
        this.#bed.stops++;
        await this.#bed.stopLoad();
        await cluster.stop(random.pick(['fast', 'immediate']));
        const delta = random.chance(70);
        if (!delta) this.#bed.emptyDirectory(cluster.dataDirectory);
        if (!delta) objects.empty();
        await this.#restores.into(cluster.dataDirectory, name, target, {
          delta,
          config: this.#restores.config(name, false),
        });
        objects.tidy();
        await this.#startPromoted();
        await expectMoment(cluster, moment);
        const position = positionOf(moment.lsn);
        await this.#catalog.rewind(position);
        objects.rewind(position);
        ledger.rewind(moment);
        await this.#bed.startLoad();
      });
    });
  }

  async #startPromoted(): Promise<void> {
    const { cluster } = this.#bed;
    await cluster.start(600);
    await cluster.waitFor('select not pg_is_in_recovery()', 600_000);
  }

  /** A standby follows by the archive alone, takes over, and is the cluster from then on. */
  async switchOver(): Promise<void> {
    const { cluster, ledger, server, journal, objects, random, stanza } = this.#bed;
    const folder = join(stanza.folder, 'standby');
    await server.take(async () => {
      objects.keepsSpaces = true;
    });
    try {
      if ((await this.#toFollow()).length === 0) await this.#backup();
      const following = random.pick(await this.#toFollow());
      this.#bed.emptyDirectory(folder);
      const name = this.#bed.anyTool(this.#catalog.readers(following));
      const spaces = `--tablespace-map-all=${objects.newFolder()}`;
      const args = ['--type=standby', `--set=${following.label}`, spaces];
      const config = this.#restores.config(name, true);
      journal.note('promote', `of a standby from ${following.label} by ${name}: ${args.join(' ')}`);
      await this.#restores.into(folder, name, args, { delta: false, config });
      const standby = await TestCluster.open(folder, { binaries: cluster.binaries });
      try {
        await standby.start(600);
        await after(random.between(0, 5000));
        await server.take(() => ledger.still(held => this.#takeOver(standby, held.rows)));
      } catch (error) {
        throw new Error(`the standby says:\n${standby.log.slice(-6000)}`, { cause: error });
      } finally {
        await standby.dispose();
      }
    } finally {
      objects.keepsSpaces = false;
    }
  }

  /** Backups that a standby can begin with. */
  async #toFollow(): Promise<Listed[]> {
    const { objects } = this.#bed;
    return (await this.#catalog.list()).filter(
      backup => !this.#catalog.isLeft(backup) && !objects.changesSpaces(positionOf(backup.lsn.start)),
    );
  }

  /** Nothing that was committed is lost: all of it is archived before the old primary ends. */
  async #takeOver(standby: TestCluster, rows: number): Promise<void> {
    const { cluster, objects } = this.#bed;
    await this.#bed.stopLoad();
    const held = await Ledger.read(cluster);
    expect(held.rows).toBe(rows);
    const fingerprint = await cluster.fingerprint();
    await this.#bed.archived(String(await cluster.value('select pg_current_wal_insert_lsn()')));
    await until(
      'the standby has replayed all',
      async () => Number(await standby.value('select coalesce(max(n), 0) from ledger')) >= rows,
    );
    this.#bed.stops++;
    await cluster.stop('fast');
    await standby.promote();
    await standby.stop('fast');
    const old = `${cluster.dataDirectory}-old`;
    renameSync(cluster.dataDirectory, old);
    renameSync(standby.dataDirectory, cluster.dataDirectory);
    rmSync(old, { recursive: true });
    objects.tidy();
    await this.#startPromoted();
    expect(await Ledger.read(cluster)).toEqual(held);
    expect(await cluster.fingerprint()).toBe(fingerprint);
    await this.#bed.startLoad();
  }
}
