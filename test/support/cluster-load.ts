/** Concurrent writes for a test cluster: pgbench where the machine has it, else the same transactions by ourselves. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { TestCluster } from './cluster.ts';
import { findTool } from './pg-binaries.ts';
import { spawnOptionsFor } from './unprivileged.ts';

export interface Load {
  /** `pgbench` or `own`. */
  readonly kind: 'pgbench' | 'own';
  /**
   * Ends the load.
   * @returns how many transactions were committed meanwhile, as the tables say
   * @throws when the load had failed before
   */
  stop(): Promise<number>;
  /** Ends the load whatever has become of it: its server may be gone. */
  abandon(): Promise<void>;
}

export const loadTables = ['pgbench_accounts', 'pgbench_branches', 'pgbench_tellers', 'pgbench_history'] as const;

/** Everything in the tables, in an order that does not depend on where rows lie. */
export const loadFingerprintQuery = `
  select 1 as t, aid as a, bid as b, abalance as c, null::timestamp as d from pgbench_accounts
  union all select 2, tid, bid, tbalance, null from pgbench_tellers
  union all select 3, bid, null, bbalance, null from pgbench_branches
  union all select 4, aid, tid, delta, mtime from pgbench_history
  order by 1, 2, 3, 4, 5`;

/** SQL that makes pgbench's tables at a scale: 100,000 accounts for 1. */
export function loadSchema(scale: number): string {
  return `
    drop table if exists ${loadTables.join(', ')};
    create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    create table pgbench_tellers (tid int not null, bid int, tbalance int, filler char(84)) with (fillfactor = 100);
    create table pgbench_accounts (aid int not null, bid int, abalance int, filler char(84)) with (fillfactor = 100);
    create table pgbench_branches (bid int not null, bbalance int, filler char(88)) with (fillfactor = 100);
    insert into pgbench_branches (bid, bbalance) select n, 0 from generate_series(1, ${scale}) n;
    insert into pgbench_tellers (tid, bid, tbalance) select n, (n - 1) / 10 + 1, 0 from generate_series(1, ${scale * 10}) n;
    insert into pgbench_accounts (aid, bid, abalance, filler)
      select n, (n - 1) / 100000 + 1, 0, '' from generate_series(1, ${scale * 100000}) n;
    alter table pgbench_branches add primary key (bid);
    alter table pgbench_tellers add primary key (tid);
    alter table pgbench_accounts add primary key (aid)`;
}

/** @param rate transactions a second, of all clients together */
export async function startLoad(cluster: TestCluster, clients: number, rate = clients * 200): Promise<Load> {
  const before = await countTransactions(cluster);
  const pgbench = await findTool(cluster.binaries, 'pgbench', () => true, cluster.user);
  const running =
    pgbench === undefined ? await startOwn(cluster, clients, rate) : startPgbench(cluster, clients, rate, pgbench);
  return {
    kind: pgbench === undefined ? 'own' : 'pgbench',
    async stop() {
      await running();
      return (await countTransactions(cluster)) - before;
    },
    async abandon() {
      // what it says of a server that went away under it is no news
      await running().catch(() => undefined);
    },
  };
}

async function countTransactions(cluster: TestCluster): Promise<number> {
  return Number(await cluster.value('select count(*) from pgbench_history'));
}

/** @returns a function that stops it */
function startPgbench(cluster: TestCluster, clients: number, rate: number, pgbench: string): () => Promise<void> {
  const child: ChildProcess = spawn(
    pgbench,
    ['-n', '-c', String(clients), '-j', '1', '-T', '86400', '-R', String(rate), 'postgres'],
    { ...spawnOptionsFor(cluster.user, cluster.libpqEnvironment), stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr?.on('data', chunk => {
    said = `${said}${chunk}`.slice(-4000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGTERM') resolve();
      else reject(new Error(`pgbench ended by itself with ${code}: ${said}`));
    });
  });
  // whoever stops the load hears of it
  ended.catch(() => undefined);
  return async () => {
    child.kill('SIGTERM');
    await ended;
  };
}

async function startOwn(cluster: TestCluster, clients: number, rate: number): Promise<() => Promise<void>> {
  const scale = Number(await cluster.value('select count(*) from pgbench_branches'));
  const random = (below: number): number => 1 + Math.floor(Math.random() * below);
  let stopping = false;
  const write = async (): Promise<void> => {
    const client = await cluster.connect();
    try {
      while (!stopping) {
        const [aid, bid, tid, delta] = [
          random(scale * 100000),
          random(scale),
          random(scale * 10),
          random(10000) - 5000,
        ];
        await client.query(
          `begin;
           update pgbench_accounts set abalance = abalance + ${delta} where aid = ${aid};
           update pgbench_tellers set tbalance = tbalance + ${delta} where tid = ${tid};
           update pgbench_branches set bbalance = bbalance + ${delta} where bid = ${bid};
           insert into pgbench_history (tid, bid, aid, delta, mtime) values (${tid}, ${bid}, ${aid}, ${delta}, now());
           commit`,
        );
        await new Promise(resolve => setTimeout(resolve, (1000 * clients) / rate));
      }
    } finally {
      await client.end();
    }
  };
  const writers = Promise.all(Array.from({ length: clients }, write));
  writers.catch(() => undefined);
  return async () => {
    stopping = true;
    await writers;
  };
}
