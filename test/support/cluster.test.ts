import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { TestCluster } from './cluster.ts';
import { findPostgres } from './pg-binaries.ts';

const installations = await findPostgres();

describe.each(installations)('a test cluster of PostgreSQL $version', binaries => {
  const clusters: TestCluster[] = [];
  afterAll(async () => {
    for (const cluster of clusters) await cluster.dispose();
  });

  test('runs, takes writes, is checked, and leaves nothing', { timeout: 120_000 }, async () => {
    const cluster = await TestCluster.create({ binaries });
    clusters.push(cluster);
    await cluster.start();
    expect(cluster.running).toBe(true);
    expect(await cluster.value("select current_setting('server_version_num')::int / 100 * 100")).toBeGreaterThanOrEqual(
      binaries.key,
    );
    await cluster.createLoadTables();
    const load = await cluster.startLoad();
    const wal = await cluster.walName();
    const target = await cluster.markTarget('here');
    expect(await cluster.walName()).not.toBe(wal);
    await cluster.waitFor('select count(*) > 50 from pgbench_history');
    expect(await load.stop()).toBeGreaterThan(50);
    expect(target.fingerprint).toMatch(/^[0-9a-f]{32}$/);
    expect(await cluster.fingerprint()).not.toBe(target.fingerprint);
    expect(await cluster.fingerprint()).toBe(await cluster.fingerprint());

    const amcheck = await cluster.checkAmcheck();
    expect(amcheck, amcheck.output).toMatchObject({ passed: true });
    await cluster.stop();
    const pages = await cluster.checkPageChecksums();
    expect(pages, pages.output).toMatchObject({ passed: true });

    await cluster.start();
    await cluster.dispose();
    expect(cluster.running).toBe(false);
    expect(existsSync(cluster.root)).toBe(false);
  });

  test('has a standby that follows and can be promoted', { timeout: 120_000 }, async () => {
    const cluster = await TestCluster.create({ binaries });
    clusters.push(cluster);
    await cluster.start();
    const standby = await cluster.createStandby();
    clusters.push(standby);
    await cluster.sql('create table followed as select 42 as answer');
    await standby.waitFor("select to_regclass('followed') is not null");
    expect(await standby.value('select pg_is_in_recovery()')).toBe(true);
    await cluster.stop();
    await standby.promote();
    expect(await standby.value('select answer from followed')).toBe(42);
    expect(existsSync(join(standby.dataDirectory, 'postmaster.pid'))).toBe(true);
  });
});
