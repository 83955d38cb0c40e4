/**
 * Rows whose set is known for any moment. One connection appends a row in a transaction of its own, and looks at the clock and
 * the WAL before it begins the next: between the two moments nothing can be committed, so whoever restores to what was seen there
 * must find exactly the rows up to that one. Each row carries the checksum of itself and the row before.
 */
import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Target, TestCluster } from '../../support/cluster.ts';
import { Random } from '../../support/random.ts';
import { positionOf } from './position.ts';
import { sleep, Turn } from './turn.ts';

/** A moment that a restore can aim at. */
export interface Moment {
  /** How many rows there are. */
  readonly rows: number;
  /** Checksum of the last one, and by it of all. */
  readonly chain: string;
  readonly lsn: string;
  readonly time: string;
  readonly xid: string;
  /** Of a restore point, where there is one. */
  readonly name?: string;
  /** Checksum of pgbench's tables, where all writers have waited. */
  readonly fingerprint?: string;
  /** All other objects, see `Objects.picture`. */
  readonly picture?: string;
}

/** What a ledger that was restored holds. */
export interface Held {
  readonly rows: number;
  readonly chain: string;
}

export class Ledger {
  readonly #cluster: TestCluster;
  readonly #random: Random;
  readonly #pause: number;
  readonly #turn = new Turn();
  #moments: Moment[] = [];
  /** What was last known to be committed. */
  #known: Held = { rows: 0, chain: '' };
  /** A row on its way. */
  #pending: Held | undefined;
  #client: Client | undefined;
  #isEnding = false;
  #position: bigint | undefined;
  #names = 0;
  /** Bytes of WAL up to the last row. */
  walBytes = 0n;
  /** Rejects when the ledger finds something wrong. */
  readonly running: Promise<void>;

  /** @param pause milliseconds between two rows, about */
  private constructor(cluster: TestCluster, seed: number, pause: number) {
    this.#cluster = cluster;
    this.#random = new Random(seed);
    this.#pause = pause;
    this.running = this.#run();
    this.running.catch(() => undefined);
  }

  static async begin(cluster: TestCluster, seed: number, pause: number): Promise<Ledger> {
    await cluster.sql('create table ledger (n bigint primary key, payload text not null, chain text not null)');
    return new Ledger(cluster, seed, pause);
  }

  /** Oldest first. */
  get moments(): readonly Moment[] {
    return this.#moments;
  }

  /** No row is on its way while `run` is at work. It is told what is committed. */
  still<Result>(run: (held: Held) => Promise<Result>): Promise<Result> {
    return this.#turn.take(() => run(this.#known));
  }

  /** All who write wait, and everything is looked at. Not while the server goes down. */
  mark(picture: () => Promise<string>): Promise<Target> {
    return this.still(async held => {
      const seen = await picture();
      const target = await this.#cluster.markTarget(`mark ${++this.#names}`);
      const { name, time, xid, lsn, fingerprint } = target;
      this.#moments.push({ ...held, name, time, xid, lsn, fingerprint, picture: seen });
      return target;
    });
  }

  /** The cluster is at this moment again, and goes on from there another way. Call it when all is still. */
  rewind(to: Moment): void {
    this.#moments = this.#moments.slice(0, this.#moments.indexOf(to) + 1);
    // the transaction that marked it has not ended here
    if (to.fingerprint !== undefined) this.#moments.pop();
    this.#known = { rows: to.rows, chain: to.chain };
    this.#pending = undefined;
    this.#position = undefined;
    this.#drop();
  }

  /** What lies before this is of no use any more. */
  forget(isOld: (moment: Moment) => boolean): void {
    this.#moments = this.#moments.filter(moment => !isOld(moment));
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.running;
  }

  /** @throws when rows are missing, or are not those that were written */
  static async read(cluster: TestCluster): Promise<Held> {
    const [found] = await cluster.sql<{ rows: string; last: string; right: boolean; chain: string }>(
      `select count(*) as rows, coalesce(max(n), 0) as last,
         coalesce(bool_and(chain = md5(before || n || payload)), true) as right,
         coalesce((array_agg(chain order by n desc))[1], '') as chain
       from (select *, lag(chain, 1, '') over (order by n) as before from ledger) rows`,
    );
    if (found === undefined || found.rows !== found.last || !found.right) {
      throw new Error(`the ledger has not all of its rows, or others: ${JSON.stringify(found)}`);
    }
    return { rows: Number(found.rows), chain: found.chain };
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isEnding) {
        await this.#turn.take(() => this.#write());
        await sleep(this.#pause * (0.5 + this.#random.next()));
      }
    } finally {
      this.#drop();
    }
  }

  #drop(): void {
    void this.#client?.end().catch(() => undefined);
    this.#client = undefined;
  }

  async #write(): Promise<void> {
    try {
      this.#client ??= await this.#open();
      const { rows, chain: before } = this.#known;
      const n = rows + 1;
      const payload = this.#random.next().toString(36).repeat(this.#random.between(1, 150));
      const chain = createHash('md5').update(`${before}${n}${payload}`).digest('hex');
      this.#pending = { rows: n, chain };
      const inserted = await this.#client.query(
        'insert into ledger values ($1, $2, $3) returning txid_current()::text as xid',
        [n, payload, chain],
      );
      this.#known = this.#pending;
      this.#pending = undefined;
      const seen = await this.#client.query(
        'select pg_current_wal_insert_lsn()::text as lsn, clock_timestamp()::text as time',
      );
      const name = this.#random.chance(15) ? `row ${++this.#names}` : undefined;
      if (name !== undefined) await this.#client.query('select pg_create_restore_point($1)', [name]);
      const { lsn, time } = seen.rows[0] as { lsn: string; time: string };
      const position = positionOf(lsn);
      this.walBytes += position - (this.#position ?? position);
      this.#position = position;
      this.#moments.push({
        ...this.#known,
        lsn,
        time,
        xid: (inserted.rows[0] as { xid: string }).xid,
        ...(name === undefined ? {} : { name }),
      });
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.#drop();
    }
  }

  /** The server has come back: what was committed is there, and what was on its way may be. */
  async #open(): Promise<Client> {
    const client = await this.#cluster.connect();
    const { rows } = await client.query('select n::int as rows, chain from ledger order by n desc limit 1');
    const found = (rows[0] ?? { rows: 0, chain: '' }) as Held;
    const fits = (held: Held | undefined): boolean => held?.rows === found.rows && held.chain === found.chain;
    if (!fits(this.#known) && !fits(this.#pending)) {
      await client.end();
      const [known, there] = [this.#known, found].map(held => JSON.stringify(held));
      throw new Error(`the server had committed ${known} and holds ${there}`);
    }
    this.#known = found;
    this.#pending = undefined;
    return client;
  }
}

/** The server is stopped, or on its way up or down. */
function isAbsence(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined) return /^(57P0[123]|08...|ECONN\w+|ENOENT|EPIPE)$/.test(code);
  return /connection terminated|client has encountered a connection error|not queryable/i.test(error.message);
}
