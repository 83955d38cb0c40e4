/** archive_command and restore_command of a real server. */

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { readControl } from '../../src/postgres/control.ts';
import { type WalName, walNamesBetween } from '../../src/postgres/wal.ts';
import type { ArchiveId } from '../../src/repo/history.ts';
import { StanzaRepo } from '../../src/repo/stanza-repo.ts';
import { waitForWal } from '../../src/repo/wal-store.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import { TestCluster } from '../support/cluster.ts';
import { giveTo } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const cipherPass = 'sekret';

describe.each([
  { version: '18', compress: 'zst', walSegmentSize: 16 },
  { version: '18', compress: 'lz4', walSegmentSize: 1 },
])('PostgreSQL $version, $compress, segments of $walSegmentSize MB', ({ version, compress, walSegmentSize }) => {
  let cluster: TestCluster;
  let project: RunnableProject;
  let repo: StanzaRepo;
  let archiveId: ArchiveId;
  let copy: string;

  /** Our command line as the server runs it. @param options for archive-get of another data directory */
  const shell = (command: string, ...options: string[]): string =>
    [...project.command, `--config=${cluster.root}/pgbackrest.conf`, '--stanza=demo', ...options, command].join(' ');

  beforeAll(async () => {
    cluster = await TestCluster.create({ version, walSegmentSize, settings: { archive_mode: true } });
    project = runnableProject(cluster.user);
    cluster.configure({ archive_command: shell('archive-push %p') });
    for (const name of ['repo', 'lock', 'logs']) cluster.makeFolder(name);
    cluster.writeFile(
      'pgbackrest.conf',
      `[demo]\npg1-path=${cluster.dataDirectory}\n[global]\nrepo1-path=${cluster.root}/repo\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=${cipherPass}\nlock-path=${cluster.root}/lock\nlog-path=${cluster.root}/logs\ncompress-type=${compress}\n`,
    );
    const control = await readControl(openPosixStorage({ label: 'pg1' }), cluster.dataDirectory);
    archiveId = `${control.version.text}-1` as ArchiveId;
    const path = join(cluster.root, 'repo');
    repo = new StanzaRepo(
      { key: 1, type: 'posix', path, cipherPass },
      openPosixStorage({ label: 'repo1', base: path }),
      'demo',
    );
    await repo.saveArchiveInfo(
      {
        currentId: 1,
        history: [{ id: 1, version: control.version.text, systemId: control.systemId }],
        cipherPass: 'archive key',
      },
      '2.59.1',
    );
    if (cluster.user.foreign) execFileSync('chown', ['-R', `${cluster.user.uid}:${cluster.user.gid}`, path]);
    copy = join(cluster.root, 'copy');
    // the first start writes our settings into pg_control: a copy from before it could not follow the server's WAL
    await cluster.start();
    await cluster.stop();
    // a cold copy: all that comes later must come out of the archive
    execFileSync('cp', ['-a', cluster.dataDirectory, copy]);
    await cluster.start();
  });

  afterAll(async () => {
    await cluster?.dispose();
    project?.remove();
  });

  test('every segment that the server ends is archived, and none fails', async () => {
    const first = await cluster.walName();
    await cluster.createLoadTables();
    const load = await cluster.startLoad();
    for (let switches = 0; switches < 4; switches++) {
      await new Promise(resolve => setTimeout(resolve, 300));
      await cluster.switchWal();
    }
    await load.stop();
    const last = await cluster.walName();
    await cluster.switchWal();
    const names = [...walNamesBetween(first, last, walSegmentSize * 1024 * 1024)];
    const archived = await waitForWal(repo, archiveId, names as WalName[], { timeout: 60_000, clock: systemClock });
    expect(archived.map(({ segment }) => segment)).toEqual(names);
    expect(new Set(archived.map(({ compression }) => compression))).toEqual(new Set([compress]));
    const [stats] = await cluster.sql<{ failed_count: string }>('select failed_count from pg_stat_archiver');
    expect(Number(stats?.failed_count)).toBe(0);
  });

  test('a server recovers from the archive to a target, and archives its new timeline', async () => {
    const target = await cluster.markTarget('here');
    await cluster.sql("insert into target_mark values ('too late')");
    await cluster.switchWal();
    await cluster.waitFor("select count(*) = 0 from pg_ls_dir('pg_wal/archive_status') s where s like '%.ready'");
    await cluster.stop();

    writeFileSync(join(copy, 'recovery.signal'), '');
    giveTo(cluster.user, join(copy, 'recovery.signal'));
    const restored = await TestCluster.open(copy, { version });
    try {
      restored.configure({
        restore_command: shell('archive-get %f %p', `--pg1-path=${copy}`),
        archive_command: shell('archive-push %p', `--pg1-path=${copy}`),
        recovery_target_name: 'here',
        recovery_target_action: 'promote',
      });
      await restored.start(120);
      await restored.waitFor('select not pg_is_in_recovery()');
      expect(await restored.fingerprint()).toBe(target.fingerprint);
      expect(await restored.value("select count(*)::int from target_mark where name = 'too late'")).toBe(0);
      expect(restored.log).toMatch(/restored log file "[0-9A-F]{24}" from archive/);
      await restored.switchWal();
      await restored.waitFor(
        "select last_archived_wal like '00000002%' from pg_stat_archiver where last_archived_wal is not null",
      );
      const [stats] = await restored.sql<{ failed_count: string }>('select failed_count from pg_stat_archiver');
      expect(Number(stats?.failed_count)).toBe(0);
      expect(existsSync(join(cluster.root, 'repo/archive/demo', archiveId, '00000002.history'))).toBe(true);
    } finally {
      await restored.dispose();
    }
  });
});
