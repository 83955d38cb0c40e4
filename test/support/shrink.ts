import type { TestCluster } from './cluster.ts';

/**
 * Makes a running cluster with pgbench's tables small, for suites that look for neither the number of files nor the size of
 * a table. The template databases go too: some administrators drop them, and no backup may need them.
 * @param accounts rows that are left
 */
export async function shrink(cluster: TestCluster, accounts: number): Promise<void> {
  await cluster.sql(`delete from pgbench_accounts where aid > ${accounts}`);
  await cluster.sql('update pg_database set datistemplate = false');
  for (const statement of ['drop database template0', 'drop database template1', 'vacuum full']) {
    await cluster.sql(statement);
  }
}
