/** Real servers of every version that the machine has, asked the way a backup asks them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Cluster, type ClusterConfig, type OpenClusterOptions, openCluster } from '../../src/postgres/cluster.ts';
import { checkArchiving, checkSameCluster } from '../../src/postgres/cluster-check.ts';
import { findClusters } from '../../src/postgres/find-cluster.ts';
import { compareLsn, parseLsn } from '../../src/postgres/lsn.ts';
import { versionOf } from '../../src/postgres/versions.ts';
import { nextWalName, parseWalName, walNameAt } from '../../src/postgres/wal.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import { TestCluster } from '../support/cluster.ts';
import { findPostgres } from '../support/pg-binaries.ts';

const installations = await findPostgres();
const storage = openPosixStorage({ label: 'pg' });
const warnings: string[] = [];

const options: OpenClusterOptions = {
  command: 'backup',
  timeout: 30_000,
  storage,
  warn: message => warnings.push(message),
};

const configOf = (server: TestCluster, key = 1): ClusterConfig => ({
  key,
  path: server.dataDirectory,
  port: server.port,
  socketPath: server.socketDirectory,
  user: server.user.name,
  database: 'postgres',
});

const open = (server: TestCluster, more: Partial<OpenClusterOptions> = {}): Promise<Cluster> =>
  openCluster(configOf(server), { ...options, ...more });

describe.each(installations)('PostgreSQL $version', binaries => {
  let server: TestCluster;
  let archive: string;
  const exclusive = binaries.key < 90600;

  beforeAll(async () => {
    server = await TestCluster.create({ binaries });
    archive = server.makeFolder('archive');
    server.configure({
      archive_mode: 'on',
      archive_command: `cp %p ${archive}/%f # pgbackrest`,
      checkpoint_timeout: 120,
    });
    await server.start();
  }, 60_000);

  afterAll(async () => {
    await server.dispose();
  });

  test('says what it is', async () => {
    const cluster = await open(server);
    try {
      expect(cluster).toMatchObject({
        key: 1,
        version: versionOf(binaries.version),
        dataDirectory: server.dataDirectory,
        isStandby: false,
        archiveMode: 'on',
        archiveCommand: `cp %p ${archive}/%f # pgbackrest`,
        checkpointTimeout: 120,
      });
      expect(cluster.control).toMatchObject({ version: versionOf(binaries.version), timeline: 1, checksums: true });
      checkSameCluster(cluster, configOf(server));
      checkArchiving(cluster, { modeCheck: true });
      await cluster.checkRole();
      expect(
        await server.value("select count(*)::int from pg_stat_activity where application_name = 'pgBackRest [backup]'"),
      ).toBe(1);
      expect(Math.abs((await cluster.time()) - Date.now())).toBeLessThan(5000);
    } finally {
      await cluster.close();
    }
  });

  test('lists its databases and tablespaces', async () => {
    const place = server.makeFolder('space', 0o700);
    await server.sql('create database "Größe ""1"""');
    await server.sql(`create tablespace "space two" location '${place}'`);
    const cluster = await open(server);
    try {
      const databases = await cluster.databases();
      expect(databases.map(({ name }) => name).sort()).toEqual(['Größe "1"', 'postgres', 'template0', 'template1']);
      const template = databases.find(({ name }) => name === 'template0');
      expect(databases.every(({ lastSystemOid }) => lastSystemOid === template?.oid)).toBe(true);
      const tablespaces = await cluster.tablespaces();
      expect(tablespaces.map(({ name }) => name).sort()).toEqual(['pg_default', 'pg_global', 'space two']);
      expect(tablespaces.find(({ name }) => name === 'pg_default')).toEqual({ oid: 1663, name: 'pg_default' });
    } finally {
      await cluster.close();
    }
  });

  test('starts and stops a backup', { timeout: 60_000 }, async () => {
    const cluster = await open(server);
    try {
      const before = await cluster.currentWal();
      const start = await cluster.startBackup({ fast: true, archiveCheck: true });
      expect(start.walNameBefore).toBe(before);
      const { walSegmentSize, timeline } = cluster.control;
      expect(start.walName).toBe(walNameAt(timeline, parseLsn(start.lsn), walSegmentSize));
      // the segment before the start, or the start's own one that was switched, must come to the archive
      await arrives(join(archive, before));
      await server.sql('create table if not exists written ()');
      const stop = await cluster.stopBackup();
      expect(compareLsn(parseLsn(start.lsn), parseLsn(stop.lsn))).toBeLessThan(0);
      expect(parseWalName(stop.walName).timeline).toBe(timeline);
      expect(stop.walName >= start.walName).toBe(true);
      if (exclusive) {
        expect(stop).toEqual({ lsn: stop.lsn, walName: stop.walName });
      } else {
        expect(stop.backupLabel).toMatch(/^START WAL LOCATION: /);
        expect(stop.backupLabel).toContain(`START WAL LOCATION: ${start.lsn} (file ${start.walName})`);
        expect(stop.backupLabel).toContain('LABEL: pgBackRest backup started at ');
        expect(stop.tablespaceMap).toMatch(/^\d+ .*space\n/);
      }
      expect(existsSync(join(server.dataDirectory, 'backup_label'))).toBe(false);
    } finally {
      await cluster.close();
    }
  });

  test('switches a segment also when nothing was written to it', async () => {
    const cluster = await open(server);
    try {
      const first = await cluster.switchWal();
      const second = await cluster.switchWal();
      expect(second).toBe(nextWalName(first, cluster.control.walSegmentSize));
      expect(await cluster.currentWal()).toBe(nextWalName(second, cluster.control.walSegmentSize));
    } finally {
      await cluster.close();
    }
  });

  test('a start in a fresh segment switches once more for the archive check', { timeout: 60_000 }, async () => {
    const cluster = await open(server);
    try {
      // after these the start finds the segment unused and stays in it
      await server.sql('checkpoint');
      await cluster.switchWal();
      const start = await cluster.startBackup({ fast: true, archiveCheck: true });
      await arrives(join(archive, start.walNameBefore ?? 'none'));
      await cluster.stopBackup();
    } finally {
      await cluster.close();
    }
  });

  test('a backup that is given up leaves nothing behind', { timeout: 60_000 }, async () => {
    const cluster = await open(server);
    await cluster.startBackup({ fast: true, archiveCheck: false });
    if (exclusive) expect(existsSync(join(server.dataDirectory, 'backup_label'))).toBe(true);
    await cluster.abortBackup();
    await cluster.abortBackup();
    await cluster.close();
    await cluster.close();
    expect(existsSync(join(server.dataDirectory, 'backup_label'))).toBe(false);
    const again = await open(server);
    await again.startBackup({ fast: true, archiveCheck: false });
    await again.stopBackup();
    await again.close();
  });

  test('stopping what was not started, or starting twice, is our mistake', { timeout: 60_000 }, async () => {
    const cluster = await open(server);
    await expect(cluster.stopBackup()).rejects.toMatchObject({ kind: 'assert' });
    await cluster.startBackup({ fast: true, archiveCheck: false });
    await expect(cluster.startBackup({ fast: true, archiveCheck: false })).rejects.toMatchObject({ kind: 'assert' });
    await cluster.stopBackup();
    await cluster.close();
  });

  test('files of another cluster are noticed', { timeout: 60_000 }, async () => {
    const other = await TestCluster.create({ binaries });
    try {
      const cluster = await openCluster({ ...configOf(server), path: other.dataDirectory }, options);
      expect(() => checkSameCluster(cluster, { ...configOf(server), path: other.dataDirectory })).toThrow(
        expect.objectContaining({ kind: 'db-mismatch', message: expect.stringContaining(other.dataDirectory) }),
      );
      await expect(cluster.startBackup({ fast: true, archiveCheck: false })).rejects.toMatchObject({
        kind: 'db-mismatch',
        message: expect.stringMatching(/current checkpoint '.*' is less than backup start/),
      });
      await cluster.close();
    } finally {
      await other.dispose();
    }
  });

  test('a regular checkpoint that may take longer than the time limit is a warning', { timeout: 60_000 }, async () => {
    warnings.length = 0;
    const cluster = await open(server, { timeout: 120_000 });
    // a slow checkpoint of an idle cluster still takes a while: end it from another session
    const started = cluster.startBackup({ fast: false, archiveCheck: false });
    await new Promise(resolve => setTimeout(resolve, 500));
    await server.sql('checkpoint');
    await started;
    await cluster.close();
    expect(warnings).toEqual([
      'start-fast is disabled and db-timeout (120s) is smaller than the PostgreSQL checkpoint_timeout (120s) - timeout may occur before the backup starts',
    ]);
  });

  describe('before 9.6', () => {
    test.runIf(exclusive)('only one tool may run a backup', { timeout: 60_000 }, async () => {
      const [one, two] = [await open(server), await open(server)];
      await one.startBackup({ fast: true, archiveCheck: false });
      await expect(two.startBackup({ fast: true, archiveCheck: false })).rejects.toMatchObject({
        kind: 'lock-acquire',
      });
      // what the other one did not start it does not stop
      await two.close();
      expect(existsSync(join(server.dataDirectory, 'backup_label'))).toBe(true);
      await one.stopBackup();
      await one.close();
    });

    test.runIf(exclusive)('stop-auto ends a backup that was left behind', { timeout: 60_000 }, async () => {
      await server.sql("select pg_start_backup('left behind', true)");
      const cluster = await open(server);
      await expect(cluster.startBackup({ fast: true, archiveCheck: false })).rejects.toMatchObject({
        kind: 'db-query',
        message: expect.stringContaining('a backup is already in progress'),
      });
      warnings.length = 0;
      const second = await open(server);
      await cluster.close();
      await server.sql("select case when pg_is_in_backup() then null else pg_start_backup('left behind', true) end");
      await second.startBackup({ fast: true, archiveCheck: false, stopAuto: true });
      expect(warnings.join()).toContain('the cluster is already in backup mode');
      await second.stopBackup();
      await second.close();
    });
  });

  describe('with a standby', () => {
    let standby: TestCluster;
    beforeAll(async () => {
      standby = await server.createStandby();
    }, 60_000);
    afterAll(async () => {
      await standby.dispose();
    });

    const find = (keys: readonly TestCluster[], wanted: 'y' | 'n' | 'prefer' | 'any', primaryRequired = true) =>
      findClusters(
        keys.map((each, index) => configOf(each, index + 1)),
        { ...options, storageOf: () => storage, standby: wanted, primaryRequired },
      );

    test('both are found, whatever their order', async () => {
      for (const keys of [
        [server, standby],
        [standby, server],
      ]) {
        const found = await find(keys, 'y');
        expect(found.primary).toMatchObject({ isStandby: false, key: keys.indexOf(server) + 1 });
        expect(found.standby).toMatchObject({ isStandby: true, key: keys.indexOf(standby) + 1 });
        await found.primary?.close();
        await found.standby?.close();
      }
    });

    test('a standby that is not wanted is not kept', async () => {
      const found = await find([standby, server], 'n');
      expect(found.standby).toBeUndefined();
      expect(found.primary?.key).toBe(2);
      await found.primary?.close();
    });

    test('no standby', async () => {
      await expect(find([server], 'y')).rejects.toMatchObject({
        kind: 'db-connect',
        message: 'unable to find standby cluster - cannot proceed',
      });
      warnings.length = 0;
      await (await find([server], 'prefer')).primary?.close();
      expect(warnings).toEqual(['unable to find a standby to perform the backup, using primary instead']);
      warnings.length = 0;
      await (await find([server], 'any')).primary?.close();
      expect(warnings).toEqual([]);
    });

    test('no primary', async () => {
      await expect(find([standby], 'y')).rejects.toMatchObject({
        kind: 'db-connect',
        message: 'unable to find primary cluster - cannot proceed',
      });
      const found = await find([standby], 'any', false);
      expect(found.primary).toBeUndefined();
      await found.standby?.close();
    });

    test('two primaries', async () => {
      await expect(find([server, standby, server], 'y')).rejects.toMatchObject({
        kind: 'db-connect',
        message: 'more than one primary cluster found',
      });
      await server.waitFor("select count(*) = 0 from pg_stat_activity where application_name like 'pgBackRest%'");
    });

    test('a cluster that cannot be asked is a warning', async () => {
      warnings.length = 0;
      const away = { ...configOf(server, 1), socketPath: '/nonexistent' };
      const found = await findClusters([away, configOf(server, 2)], {
        ...options,
        storageOf: () => storage,
        standby: 'n',
      });
      expect(found.primary?.key).toBe(2);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(
        /^unable to check pg1: \[DbConnectError\] unable to connect to 'dbname='postgres' port=/,
      );
      await found.primary?.close();
    });

    test('the standby waits until it has replayed the start of a backup', { timeout: 60_000 }, async () => {
      const found = await find([server, standby], 'y');
      const { primary, standby: follower } = found;
      if (primary === undefined || follower === undefined) throw new Error('not found');
      try {
        const { lsn } = await primary.startBackup({ fast: true, archiveCheck: false });
        // replay must go beyond the start
        await server.sql('create table replayed as select 1');
        await follower.waitForReplay(lsn, 1, 20_000);
        expect(compareLsn(follower.control.checkpoint, parseLsn(lsn))).toBeGreaterThanOrEqual(0);
        await primary.stopBackup();
        await expect(follower.waitForReplay('FFFF/0', 1, 300)).rejects.toMatchObject({
          kind: 'archive-timeout',
          message: expect.stringContaining('timeout before standby replayed to FFFF/0 - only reached'),
        });
        await expect(follower.waitForReplay('0/1', 1, 300)).rejects.toMatchObject({ kind: 'db-mismatch' });
        await expect(primary.waitForReplay('FFFF/0', 1, 300)).rejects.toMatchObject({
          kind: 'archive-timeout',
          hints: ['is this a standby?'],
        });
      } finally {
        await primary.close();
        await follower.close();
      }
    });

    test('a promotion is noticed', { timeout: 60_000 }, async () => {
      const found = await find([server, standby], 'y');
      await found.standby?.checkRole();
      await standby.promote();
      await expect(found.standby?.checkRole()).rejects.toMatchObject({
        kind: 'db-mismatch',
        message: 'standby is no longer in recovery',
      });
      await found.primary?.close();
      await found.standby?.close();
    });
  });

  test('a server that dies ends the backup with an error, and giving up stays quiet', { timeout: 60_000 }, async () => {
    warnings.length = 0;
    const cluster = await open(server);
    await cluster.startBackup({ fast: true, archiveCheck: false });
    await server.stop('immediate');
    await expect(cluster.stopBackup()).rejects.toMatchObject({ kind: 'db-query' });
    await cluster.abortBackup();
    await cluster.close();
    expect(warnings).toHaveLength(exclusive ? 1 : 0);
    await server.start();
    if (exclusive) await server.sql('select case when pg_is_in_backup() then pg_stop_backup() end');
  });
});

async function arrives(path: string): Promise<void> {
  await vi.waitFor(() => expect(existsSync(path)).toBe(true), { timeout: 20_000 });
}
