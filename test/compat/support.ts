/** What the suites that work with both tools share. */
import { afterAll, beforeAll, expect } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import type { Load } from '../support/cluster-load.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { requireCompat, skipReason } from '../support/real-pgbackrest.ts';
import { Archiver, type Tool } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';

/** The real tool of Debian 12 knows PostgreSQL up to 15. */
export const binaries = await postgresOf('15', unprivilegedUser());
const judge = requireCompat();
if (binaries === undefined && process.env.PGBACKSTOP_REQUIRE_COMPAT === '1') {
  throw new Error('PGBACKSTOP_REQUIRE_COMPAT is set, but there is no PostgreSQL 15');
}
export const canCompare = judge !== undefined && binaries !== undefined;
if (!canCompare) console.log(judge === undefined ? skipReason : 'compatibility tests skipped: no PostgreSQL 15');

/** A cluster under load that both tools work on, and the tools. */
export interface Bench {
  readonly cluster: TestCluster;
  readonly archiver: Archiver;
  readonly ours: Tool;
  readonly real: Tool;
}

/** Makes the cluster before the tests of a suite, and removes it after them. */
export function useBench(): () => Bench {
  let bench: Bench | undefined;
  let load: Load | undefined;
  let remove = (): void => undefined;
  beforeAll(async () => {
    const project = runnableProject(unprivilegedUser());
    remove = project.remove;
    if (judge === undefined || binaries === undefined) throw new Error('not to be run');
    const cluster = await TestCluster.create({ binaries });
    bench = { cluster, archiver: new Archiver(cluster), ours: project.command, real: [judge.path] };
    await cluster.start();
    await cluster.createLoadTables();
    await shrink(cluster);
    load = await cluster.startLoad(1);
  });
  afterAll(async () => {
    try {
      expect(await load?.stop()).toBeGreaterThan(0);
    } finally {
      await bench?.cluster.dispose();
      remove();
    }
  });
  return () => {
    if (bench === undefined) throw new Error('used before it was made');
    return bench;
  };
}

/** What these suites look for is not in the number of files or the size of a table. */
async function shrink(cluster: TestCluster): Promise<void> {
  await cluster.sql('delete from pgbench_accounts where aid > 5000');
  await cluster.sql("update pg_database set datistemplate = false where datname = 'template1'");
  for (const statement of ['drop database template1', 'vacuum full']) await cluster.sql(statement);
}

type InfoObject = { [key: string]: unknown };

/** Keys that `info` of level 2.59.1 has and 2.45 has not. */
const newerKeys = ['status.lock.restore'];

/** What `info --output=json` says, without what 2.45 does not know of. */
export function comparableInfo(text: string): unknown {
  const stanzas = JSON.parse(text) as InfoObject[];
  for (const stanza of stanzas) for (const key of newerKeys) remove(stanza, key.split('.'));
  return stanzas;
}

function remove(from: unknown, [key = '', ...rest]: readonly string[]): void {
  if (typeof from !== 'object' || from === null) return;
  const object = from as InfoObject;
  if (rest.length === 0) delete object[key];
  else remove(object[key], rest);
}
