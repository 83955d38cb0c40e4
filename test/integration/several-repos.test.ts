/** What info and check tell of archives that are behind, and of WAL that was dropped. */
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordDroppedWal } from '../../src/command/dropped-wal.ts';
import { nextWalName } from '../../src/postgres/wal.ts';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const segmentSize = 1024 * 1024;

interface RepoJson {
  readonly key: number;
  readonly lag?: {
    readonly segments: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly oldest: string | null;
  };
  readonly dropped?: readonly {
    readonly first: string;
    readonly last: string;
    readonly segments: number;
    readonly bytes: number;
  }[];
}

describe('an archive that is behind', () => {
  let cluster: TestCluster;
  let project: RunnableProject;
  let stanza: TestStanza;
  let archiver: Archiver;
  let ours: Tool;

  beforeAll(async () => {
    cluster = await TestCluster.create({ walSegmentSize: 1 });
    project = runnableProject(cluster.user);
    ours = project.command;
    stanza = new TestStanza(cluster, 'a', {
      'log-level-console': 'info',
      'log-level-stderr': 'off',
      'archive-timeout': 2,
      'repo1-bundle': 'y',
      'repo3-path': join(cluster.root, 'a/repo3'),
      'repo3-cipher-type': 'aes-256-cbc',
      'repo3-cipher-pass': 'sekret',
      'repo3-bundle': 'y',
      'repo3-retention-full': 1,
      // a section that only archive-push heeds
      'spool-path': '/nowhere',
    });
    cluster.writeFile(
      'a/pgbackrest.conf',
      `${readFileSync(stanza.config, 'utf8')}\n[global:archive-push]\nspool-path=${stanza.folder}/spool\n`,
    );
    archiver = new Archiver(cluster);
    archiver.use(stanza, ours);
    await stanza.run(ours, 'stanza-create', '--no-online');
    await cluster.start();
    await cluster.sql('create table t (i int)');
    await stanza.run(ours, 'backup', '--type=full');
    await stanza.run(ours, 'backup', '--type=full', '--repo=3');
  });

  afterAll(async () => {
    await stanza?.dispose();
    await cluster?.dispose();
    project?.remove();
  });

  /** Ends a segment. @returns its name */
  async function endSegment(): Promise<string> {
    await cluster.sql('insert into t values (1)');
    return String(await cluster.value('select pg_walfile_name(pg_switch_wal())'));
  }

  async function repos(...args: string[]): Promise<RepoJson[]> {
    const [info] = JSON.parse(await stanza.run(ours, 'info', '--output=json', ...args)) as { repo: RepoJson[] }[];
    return info?.repo ?? [];
  }

  const archiveFolder = (key: number): string => {
    const id = join(stanza.folder, key === 1 ? 'repo' : `repo${key}`, 'archive/demo');
    const [version] = readdirSync(id).filter(name => !name.startsWith('archive.info'));
    return join(id, version ?? '', '0000000100000000');
  };

  test('nothing waits: zeros for those who ask, and no line', async () => {
    await cluster.waitFor(
      "select last_archived_wal is not null and (select count(*) from pg_ls_archive_statusdir() where name like '%.ready') = 0 from pg_stat_archiver",
    );
    const none = { segments: 0, bytes: 0, seconds: 0, oldest: null };
    expect(await repos()).toMatchObject([
      { key: 1, lag: none },
      { key: 3, lag: none },
    ]);
    expect(await stanza.run(ours, 'info')).not.toMatch(/waiting|dropped/);
    expect(await stanza.run(ours, 'check')).not.toMatch(/wait|WARN/);
  });

  test('archive_command fails: info and check tell how far each repository is behind', async () => {
    archiver.pause();
    const first = await endSegment();
    const second = await endSegment();
    // one repository gets the first of them all the same
    await stanza.run(ours, 'archive-push', join(cluster.dataDirectory, 'pg_wal', first));
    for (const name of readdirSync(archiveFolder(3))) if (name.startsWith(first)) rmSync(join(archiveFolder(3), name));

    const lag = (segments: number, oldest: string) => ({ segments, bytes: segments * segmentSize, oldest });
    expect(await repos()).toMatchObject([
      { key: 1, lag: lag(1, second) },
      { key: 3, lag: lag(2, first) },
    ]);
    expect(await repos('--repo=3')).toMatchObject([{ key: 3, lag: lag(2, first) }]);
    expect(await stanza.run(ours, 'info')).toMatch(
      new RegExp(
        `    wal waiting to be archived:\n        repo1: 1 segment \\(1MB\\), oldest ${second} for \\d+s\n        repo3: 2 segments \\(2MB\\), oldest ${first} for \\d+s\n`,
      ),
    );
    // without a stanza on the command line it is found in the configuration
    const { stdout } = await cluster.run([...ours, `--config=${stanza.config}`, 'info', '--output=json']);
    expect(JSON.parse(stdout)[0].repo).toMatchObject([{ lag: { segments: 1 } }, { lag: { segments: 2 } }]);

    await cluster.waitFor('select failed_count > 0 from pg_stat_archiver');
    const { code, stdout: said } = await stanza.attempt(ours, ['check']);
    expect(code).toBe(82);
    expect(said).toContain(
      `INFO: repo3: 2 WAL segment(s) (2MB) wait to be archived, the oldest of them, ${first}, for `,
    );
    expect(said).toMatch(
      new RegExp(
        `WARN: archive_command has failed for '${first}' at .* \\d+ time\\(s\\) in all; the last that was archived is `,
      ),
    );
  });

  test('a repository that cannot be read lacks all that waits', async () => {
    const path = join(stanza.folder, 'repo');
    renameSync(path, `${path}-away`);
    const [one, three] = await repos();
    expect(one?.lag?.segments).toBe(three?.lag?.segments ?? 0);
    renameSync(`${path}-away`, path);
    chmodSync(join(path, 'backup'), 0);
    expect(await stanza.run(ours, 'info', '--repo=1')).toMatch(
      /status: error \(other\)\n[\s\S]*wal waiting to be archived:\n {8}repo1: 3 seg/,
    );
    chmodSync(join(path, 'backup'), 0o750);
  });

  test('a cluster that cannot be read is no reason for info to fail, nor a spool that holds nonsense', async () => {
    const status = join(cluster.dataDirectory, 'pg_wal/archive_status');
    chmodSync(status, 0);
    const [one] = await repos();
    expect([one?.key, one?.lag]).toEqual([1, undefined]);
    expect(await stanza.run(ours, 'info')).not.toContain('waiting');
    chmodSync(status, 0o700);
  });

  test('the archive catches up: check passes without a warning', async () => {
    archiver.use(stanza, ours);
    await endSegment();
    await cluster.waitFor("select count(*) = 0 from pg_ls_archive_statusdir() where name like '%.ready'");
    expect(await stanza.run(ours, 'check')).not.toMatch(/wait to be|WARN/);
    expect(await repos()).toMatchObject([{ lag: { segments: 0 } }, { lag: { segments: 0 } }]);
  });

  test('what the queue limit dropped is told until the backups before it are gone', async () => {
    const first = await endSegment();
    const last = await endSegment();
    await cluster.waitFor("select count(*) = 0 from pg_ls_archive_statusdir() where name like '%.ready'");
    expect(last).toBe(nextWalName(first, segmentSize));
    const spool = join(stanza.folder, 'spool/archive/demo');
    const files = [first, last].map(name => ({ name, size: segmentSize }));
    recordDroppedWal(spool, files, segmentSize, Math.floor(Date.now() / 1000));
    for (const path of ['spool', 'spool/archive', 'spool/archive/demo', 'spool/archive/demo/dropped.json']) {
      giveTo(cluster.user, join(stanza.folder, path));
    }
    // both have the segments all the same: no gap
    expect((await repos()).map(repo => repo.dropped)).toEqual([undefined, undefined]);
    for (const name of readdirSync(archiveFolder(3))) {
      if (name.startsWith(first) || name.startsWith(last)) rmSync(join(archiveFolder(3), name));
    }
    const gap = { first, last, segments: 2, bytes: 2 * segmentSize };
    expect((await repos()).map(repo => repo.dropped)).toMatchObject([undefined, [gap]]);
    expect(await stanza.run(ours, 'info')).toMatch(
      new RegExp(
        `    wal dropped by archive-push-queue-max:\n        repo3: 2 segments \\(2MB\\), ${first} to ${last}, `,
      ),
    );
    expect(await stanza.run(ours, 'check')).toMatch(
      new RegExp(
        `WARN: repo3: 2 WAL segment\\(s\\) \\(2MB\\), ${first} to ${last}, were dropped because of archive-push-queue-max, the last at `,
      ),
    );
    await stanza.run(ours, 'backup', '--type=full', '--repo=3');
    expect((await repos()).map(repo => repo.dropped)).toEqual([undefined, undefined]);
    expect(await stanza.run(ours, 'check')).not.toContain('WARN');
  });

  test('a damaged record is no end of info, and check warns of it', async () => {
    cluster.writeFile('a/spool/archive/demo/dropped.json', '{"dropped": [');
    expect((await repos()).map(repo => repo.dropped)).toEqual([undefined, undefined]);
    expect(await stanza.run(ours, 'check')).toContain('WARN: invalid record of dropped WAL ');
  });
});
