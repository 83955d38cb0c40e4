/** What the suites that work with both tools share. */
import { afterAll, beforeAll, expect } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import type { Load } from '../support/cluster-load.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { isSince, requireCompat, skipReason } from '../support/real-pgbackrest.ts';
import { shrink } from '../support/shrink.ts';
import { Archiver, type Tool } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';

/** Debian's real tool knows PostgreSQL up to 15. */
export const binaries = await postgresOf('15', unprivilegedUser());
const judge = requireCompat();
if (binaries === undefined && process.env.PGBACKSTOP_REQUIRE_COMPAT === '1') {
  throw new Error('PGBACKSTOP_REQUIRE_COMPAT is set, but there is no PostgreSQL 15');
}
export const canCompare = judge !== undefined && binaries !== undefined;
if (!canCompare) console.log(judge === undefined ? skipReason : 'compatibility tests skipped: no PostgreSQL 15');

/** The real tool reads and makes backups by blocks: Debian's 2.45 does neither. */
export const judgeKnowsBlocks = isSince(judge, '2.46');
/** The real tool is of the level that we follow: where this is so, both do and say the same. */
export const judgeHasLevel = isSince(judge, '2.59');

/** The real tool's program. Only where `canCompare`. */
export function realTool(): string {
  if (judge === undefined) throw new Error(skipReason);
  return judge.path;
}

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
    await shrink(cluster, 5000);
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

export { comparableInfo } from '../support/comparable-info.ts';
