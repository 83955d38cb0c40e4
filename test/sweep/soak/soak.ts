/**
 * A long life of one stanza under load. Two lanes go on at once: what works on the repository, and what happens to the server
 * meanwhile. A ledger (`ledger.ts`) knows what every moment's rows were.
 */
import { cpSync } from 'node:fs';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { Backups } from './backups.ts';
import { type Pace, SoakBed } from './bed.ts';
import { Catalog } from './catalog.ts';
import { Harm } from './harm.ts';
import { inspect } from './inspect.ts';
import { expectNothingLeft } from './left-over.ts';
import { Objects } from './objects.ts';
import { MemoryWatch } from './processes.ts';
import { Restores } from './restores.ts';
import { archivedSegments } from './retention.ts';
import { sleep } from './turn.ts';
import { Turns } from './turns.ts';

type Step = () => Promise<void>;
type Chances = readonly (readonly [weight: number, step: Step])[];

export class Soak {
  readonly #bed: SoakBed;
  readonly #backups: Backups;
  readonly #restores: Restores;
  readonly #turns: Turns;
  readonly #harm: Harm;
  readonly #inspect: Step;
  readonly #memory: MemoryWatch;
  readonly #segments = new Set<string>();
  #isEnding = false;

  private constructor(bed: SoakBed) {
    const catalog = new Catalog(bed);
    this.#bed = bed;
    this.#backups = new Backups(bed, catalog);
    this.#restores = new Restores(bed, catalog);
    this.#turns = new Turns(bed, catalog, this.#restores, () => this.#backups.backup('incr'));
    this.#harm = new Harm(bed);
    this.#inspect = () => inspect(bed, catalog);
    this.#memory = new MemoryWatch(bed.stanza.folder, bed.tool('ours')[1] ?? '');
  }

  static async begin(sweep: Sweep, pace: Pace): Promise<Soak> {
    return new Soak(await SoakBed.begin(sweep, pace));
  }

  /** What happened. */
  get journal() {
    return this.#bed.journal;
  }

  /** Some of everything first, then what chance brings until the time is over; then a look at what is left. */
  async run(): Promise<void> {
    const end = performance.now() + this.#bed.pace.seconds * 1000;
    const repository = this.#repositoryLane(() => this.#isEnding || performance.now() > end).finally(() => {
      this.#isEnding = true;
    });
    const server = this.#serverLane();
    try {
      await Promise.race([
        Promise.all([server, repository]),
        // it ends before the others only by an error
        this.#bed.ledger.running.then(() => Promise.all([server, repository])),
      ]);
      await this.#finish();
    } finally {
      this.#isEnding = true;
      await Promise.allSettled([server, repository]);
      await this.#memory.end();
    }
  }

  async #repositoryLane(isOver: () => boolean): Promise<void> {
    const [backups, turns, harm] = [this.#backups, this.#turns, this.#harm];
    const { random, pace } = this.#bed;
    const restore: Step = () => this.#restores.restore();
    const isHurried = pace.restores === 0;
    const first: Step[] = [
      () => backups.backup('full'),
      () => backups.killed(),
      () => backups.backup('incr'),
      restore,
      () => turns.goBack(),
      () => harm.killArchivers(),
      () => backups.expire(),
      ...(isHurried ? [] : [() => turns.switchOver(), () => backups.stopped(), () => harm.spoilSpool(), this.#inspect]),
    ];
    const chances = weighted([
      [30, () => backups.backup(random.pick(['full', 'diff', 'diff', 'incr', 'incr', 'incr']))],
      [isHurried ? 15 : 0, restore],
      [8, () => backups.killed()],
      [6, () => backups.expire()],
      [4, this.#inspect],
      [4, () => harm.killArchivers()],
      [3, () => harm.spoilSpool()],
      [3, () => backups.stopped()],
      [3, () => turns.goBack()],
      [2, () => turns.switchOver()],
    ]);
    let lastRestore = performance.now();
    while ((first.length > 0 && !this.#isEnding) || !isOver()) {
      const begin = performance.now();
      const isDue = !isHurried && begin - lastRestore > pace.restores;
      if (isDue) lastRestore = begin;
      await (isDue ? restore : (first.shift() ?? random.pick(chances)))();
      for (const name of archivedSegments(this.#bed.stanza.repo)) this.#segments.add(name);
      // a busy machine makes steps long: they need not be paid for in full
      const rest = Math.min((performance.now() - begin) * pace.rest, 20_000);
      for (const end = performance.now() + rest; performance.now() < end && !isOver(); ) await sleep(100);
    }
  }

  async #serverLane(): Promise<void> {
    const { random, pace, server, ledger, objects, journal, cluster } = this.#bed;
    const steps = weighted([
      [
        40,
        async () => {
          const { name } = await ledger.mark(() => Objects.picture(cluster));
          journal.note('mark', name);
        },
      ],
      [50, async () => journal.note('change', await objects.change())],
      [pace.restarts, () => this.#turns.restart('fast')],
      [pace.restarts, () => this.#turns.restart('immediate')],
    ]);
    while (!this.#isEnding) {
      await server.take(() => random.pick(steps)());
      await sleep(pace.server * (0.5 + random.next()));
    }
  }

  async #finish(): Promise<void> {
    const { cluster, server, ledger } = this.#bed;
    await this.#backups.backup('incr');
    await this.#inspect();
    await this.#restores.restore();
    await this.#backups.retained();
    await this.#bed.stopLoad();
    await ledger.end();
    await server.take(async () => {
      await this.#bed.archived(String(await cluster.value('select pg_current_wal_insert_lsn()')));
    });
    await cluster.stop('fast');
    for (const name of archivedSegments(this.#bed.stanza.repo)) this.#segments.add(name);
    await expectNothingLeft(this.#bed, this.#memory.peaks, this.#segments.size);
  }

  /** One line of what it came to. */
  get summary(): string {
    const { journal, ledger } = this.#bed;
    const memory = [...this.#memory.peaks].map(([command, peak]) => `${command} ${peak}`).join(', ');
    return [
      `${Math.round(journal.seconds)} s`,
      ...['full', 'diff', 'incr'].map(type => `${type} ${journal.count(`${type} backup`)}`),
      ...['restore', 'kill', 'promote', 'restart', 'expire', 'stop', 'spool', 'change', 'mark'].map(
        what => `${what} ${journal.count(what)}`,
      ),
      `WAL segments ${this.#segments.size}, bytes ${ledger.walBytes}`,
      `MB at most: ${memory}`,
    ].join(', ');
  }

  /** Keeps all files of a soak that has failed. */
  keep(folder: string): void {
    cpSync(this.#bed.cluster.root, folder, {
      recursive: true,
      verbatimSymlinks: true,
      filter: path => !/\/s$/.test(path),
    });
  }

  async dispose(): Promise<void> {
    await this.#bed.dispose();
  }
}

const weighted = (chances: Chances): Step[] =>
  chances.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));
