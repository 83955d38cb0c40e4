/** The data of the demo: a ledger that is dropped and must come back, and the traffic that goes on beside it. */
import type { Cluster } from './postgres.ts';

/** Rows the ledger starts with. */
const openingRows = 100_000;

/** Writers at once while the backup runs. */
const writers = 2;

export interface Fingerprint {
  readonly rows: number;
  /** MD5 over all rows in order. */
  readonly digest: string;
}

export async function createLedger(cluster: Cluster): Promise<void> {
  await cluster.ask(
    'create table ledger (id bigserial primary key, account int not null, amount numeric not null, note text not null)',
  );
  await cluster.ask(`insert into ledger (account, amount, note)
    select n % 1000, (n * 7919 % 100000) / 100.0, md5(n::text) from generate_series(1, ${openingRows}) n`);
  await cluster.ask(
    'create table visit (id bigserial primary key, at timestamptz not null default clock_timestamp(), page text not null)',
  );
}

/** Rows that only WAL holds when they are written after the backup. */
export async function bookMore(cluster: Cluster, rows: number): Promise<void> {
  await cluster.ask(`insert into ledger (account, amount, note)
    select n % 1000, n / 100.0, 'after the backup ' || n from generate_series(1, ${rows}) n`);
}

export async function fingerprint(cluster: Cluster): Promise<Fingerprint> {
  const answer = await cluster.ask(
    `select count(*) || ' ' || md5(string_agg(md5(l::text), '' order by id)) from ledger l`,
  );
  const [rows = '', digest = ''] = answer.split(' ');
  return { rows: Number(rows), digest };
}

export interface Load {
  /** Stops the writers. @returns transactions committed, and since the start in seconds */
  stop(): Promise<{ transactions: number; seconds: number }>;
}

/** Starts writers that book and visit until they are stopped. A failure of one shows when it is stopped. */
export async function startLoad(cluster: Cluster): Promise<Load> {
  const begin = performance.now();
  let going = true;
  let transactions = 0;
  const write = async (writer: number): Promise<void> => {
    const client = await cluster.connect();
    try {
      while (going) {
        await client.query('begin');
        await client.query(
          'insert into ledger (account, amount, note) select $1, n, md5(random()::text) from generate_series(1, 20) n',
          [writer],
        );
        const id = 1 + Math.floor(Math.random() * openingRows);
        await client.query('update ledger set amount = amount + 1 where id = $1', [id]);
        await client.query("insert into visit (page) values ('/account/' || $1::int)", [writer]);
        await client.query('commit');
        transactions++;
      }
    } finally {
      await client.end();
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  // Observed at once, so that a failure before stop() is not an unhandled rejection; stop() reports it.
  all.catch(() => undefined);
  return {
    async stop() {
      going = false;
      await all;
      return { transactions, seconds: (performance.now() - begin) / 1000 };
    },
  };
}
