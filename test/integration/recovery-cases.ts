/**
 * Every way to recover from backups that were taken under load, for one version of PostgreSQL. One cluster serves all:
 * a full backup, the mark `early`, an incr, the mark `late`, and the mark `end` when the load has ended.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Target, TestCluster } from '../support/cluster.ts';
import type { PostgresBinaries } from '../support/pg-binaries.ts';
import { Archiver, listTree, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, runAsOrThrow, spawnOptionsFor, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

/** What pgbench keeps true at every moment, as true. */
const invariant = `select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)
  and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)
  and (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)`;

const isRoot = process.getuid?.() === 0;

/** @param scope `targets` leaves out what does not depend on the version: places, owners, timelines */
export function describeRecovery(binaries: PostgresBinaries, scope: 'all' | 'targets' = 'all'): void {
  // as postgresql.conf of each version knows them
  const hasLsn = binaries.key >= 100000;
  const hasShutdown = binaries.key >= 90500;
  let project: RunnableProject;
  let tool: Tool;
  let cluster: TestCluster;
  let stanza: TestStanza;
  let full: string;
  let incr: string;
  let early: Target;
  let late: Target;
  let end: Target;
  /** Rows in the tablespace when the load had ended. */
  let inTablespace: unknown;

  beforeAll(async () => {
    project = runnableProject(unprivilegedUser());
    tool = project.command;
    cluster = await TestCluster.create({ binaries });
    const archiver = new Archiver(cluster);
    placeLinks(cluster);
    await cluster.start();
    await cluster.createLoadTables();
    await cluster.sql(`create tablespace ts1 location '${cluster.makeFolder('ts1', 0o700)}'`);
    await cluster.sql('create table spaced tablespace ts1 as select n from generate_series(1, 5000) n');
    stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'lz4' });
    archiver.use(stanza, tool);
    const load = await cluster.startLoad();
    await stanza.run(tool, 'stanza-create');
    await stanza.run(tool, 'check');
    await stanza.run(tool, 'backup', '--type=full');
    full = await stanza.latest(tool);
    early = await archiver.markTarget('early');
    await cluster.sql('insert into spaced select n from generate_series(1, 5000) n');
    await stanza.run(tool, 'backup', '--type=incr');
    incr = await stanza.latest(tool);
    late = await archiver.markTarget('late');
    expect(await load.stop()).toBeGreaterThan(100);
    end = await archiver.markTarget('end');
    inTablespace = await cluster.value('select count(*) from spaced');
  });
  afterEach(() => stanza.dispose());
  afterAll(async () => {
    await cluster.dispose();
    project.remove();
  });

  /** Restores beside the running original; the tablespace goes beside the data directory. */
  const restore = async (args: readonly string[], data = stanza.newDataDirectory()): Promise<TestCluster> =>
    await stanza.restore(tool, [`--tablespace-map-all=${data}-ts`, ...args], data);

  const restoreAndStart = async (...args: string[]): Promise<TestCluster> => {
    const restored = await restore(args);
    await restored.start();
    return restored;
  };

  /** What the log of the last restore says was restored. */
  const restoredSet = (): string | undefined => {
    const log = readFileSync(join(stanza.folder, 'log', 'demo-restore.log'), 'utf8');
    return [...log.matchAll(/restore backup set (\S+?),/g)].at(-1)?.[1];
  };

  const marks = async (restored: TestCluster): Promise<string[]> =>
    (await restored.sql<{ name: string }>('select name from target_mark')).map(({ name }) => name);

  const isPaused = (restored: TestCluster): Promise<unknown> =>
    restored.value(
      `select pg_is_in_recovery() and pg_is_${binaries.key >= 100000 ? 'wal' : 'xlog'}_replay_paused() as paused`,
    );

  /** Before 13 a paused server does not hear of a promotion: it is told to go on, which ends recovery at a target. */
  const goOn = async (restored: TestCluster): Promise<void> => {
    if (binaries.key >= 130000) return await restored.promote();
    await restored.sql(`select pg_${hasLsn ? 'wal' : 'xlog'}_replay_resume()`);
    await restored.waitFor(promoted);
  };

  const promoted = 'select not pg_is_in_recovery()';

  /** PostgreSQL's own checks; the cluster is stopped after them. */
  const expectSound = async (restored: TestCluster): Promise<void> => {
    const amcheck = await restored.checkAmcheck();
    expect(amcheck, amcheck.output).toMatchObject({ passed: true });
    await restored.stop();
    const pages = await restored.checkPageChecksums();
    expect(pages, pages.output).toMatchObject({ passed: true });
  };

  test('default: to the end of the archive', async () => {
    const restored = await restoreAndStart();
    await restored.waitFor(promoted);
    expect(restoredSet()).toBe(incr);
    expect(await restored.fingerprint()).toBe(end.fingerprint);
    expect(await restored.value('select count(*) from spaced')).toBe(inTablespace);
    await restored.sql('insert into spaced values (0)');
    await expectSound(restored);
  });

  test('immediate: to the first consistent moment, and pauses there', async () => {
    const restored = await restoreAndStart('--type=immediate');
    expect(await restored.value(invariant)).toBe(true);
    expect(await marks(restored)).toContain('early');
    expect(await marks(restored)).not.toContain('late');
    await expect.poll(() => isPaused(restored)).toBe(true);
    await goOn(restored);
    await expectSound(restored);
  });

  const targets = ['name', 'time', 'xid', 'lsn'] as const;
  test.for(targets.filter(type => hasLsn || type !== 'lsn'))('%s: to the mark, from the set before it', async type => {
    const target = { name: late.name, time: late.time, xid: late.xid, lsn: late.lsn }[type];
    const restored = await restoreAndStart(`--type=${type}`, `--target=${target}`, '--target-action=promote');
    expect(restoredSet()).toBe(incr);
    await restored.waitFor(promoted);
    expect(await restored.fingerprint()).toBe(late.fingerprint);
    await expectSound(restored);
  });

  test.for((['time', 'lsn'] as const).filter(type => hasLsn || type !== 'lsn'))(
    '%s: chooses an older set when the newest is after the target',
    async type => {
      const restored = await restoreAndStart(`--type=${type}`, `--target=${early[type]}`, '--target-action=promote');
      expect(restoredSet()).toBe(full);
      await restored.waitFor(promoted);
      expect(await restored.fingerprint()).toBe(early.fingerprint);
      await expectSound(restored);
    },
  );

  test('time: no set is before the first one', async () => {
    const data = stanza.newDataDirectory();
    const args = ['restore', `--pg1-path=${data}`, '--type=time', '--target=2020-01-01 00:00:00+00'];
    const { code, stderr } = await stanza.attempt(tool, args);
    expect(code).toBe(75);
    expect(stderr).toMatch(/unable to find backup set with stop time less than '2020-01-01 00:00:00\+00'/);
    expect(existsSync(data)).toBe(false);
  });

  test('set: an older one reaches a name that the newest is past', async () => {
    const restored = await restoreAndStart(
      `--set=${full}`,
      '--type=name',
      `--target=${early.name}`,
      '--target-action=promote',
    );
    expect(restoredSet()).toBe(full);
    await restored.waitFor(promoted);
    expect(await restored.fingerprint()).toBe(early.fingerprint);
    expect(await restored.value('select count(*) from spaced')).toBe('5000');
    await expectSound(restored);
  });

  test('target-exclusive leaves the transaction out', async () => {
    const args = ['--type=xid', `--target=${late.xid}`, '--target-action=promote'];
    const inclusive = await restoreAndStart(...args);
    await inclusive.waitFor(promoted);
    expect(await marks(inclusive)).toContain('late');
    const exclusive = await restoreAndStart(...args, '--target-exclusive');
    await exclusive.waitFor(promoted);
    expect(await marks(exclusive)).not.toContain('late');
    expect(await exclusive.fingerprint()).toBe(late.fingerprint);
  });

  test('target-action pause lets look before going on', async () => {
    const restored = await restoreAndStart('--type=name', `--target=${late.name}`, '--target-action=pause');
    await expect.poll(() => isPaused(restored), { timeout: 30_000 }).toBe(true);
    expect(await restored.fingerprint()).toBe(late.fingerprint);
    await goOn(restored);
    expect(await restored.fingerprint()).toBe(late.fingerprint);
  });

  test.runIf(hasShutdown)('target-action shutdown ends the server at the target', async () => {
    const restored = await restore(['--type=name', `--target=${late.name}`, '--target-action=shutdown']);
    // it may be gone before pg_ctl has seen it
    await restored.start().catch((error: Error) => expect(error.message).toMatch(/did not start/));
    await expect.poll(() => restored.running, { timeout: 30_000 }).toBe(false);
    expect(restored.log).toMatch(/recovery stopping at restore point "late"/);
    expect(restored.log).toMatch(/shutdown at recovery target/);
  });

  test('standby: follows the archive until it is promoted', async () => {
    const restored = await restoreAndStart('--type=standby');
    await restored.waitFor("select exists (select from target_mark where name = 'end')");
    expect(await restored.value('select pg_is_in_recovery()')).toBe(true);
    await cluster.sql("create table if not exists came_later (); insert into target_mark values ('later')");
    await cluster.switchWal();
    await restored.waitFor("select exists (select from target_mark where name = 'later')");
    await restored.promote();
    expect(await restored.fingerprint()).toBe(end.fingerprint);
    await expectSound(restored);
  });

  test('preserve: keeps the recovery settings that are there', async () => {
    const data = stanza.newDataDirectory();
    await restore([`--type=name`, `--target=${late.name}`, '--target-action=promote'], data);
    const file = join(data, binaries.key >= 120000 ? 'postgresql.auto.conf' : 'recovery.conf');
    appendFileSync(file, '# kept by the user\n');
    const before = readFileSync(file, 'utf8');
    expect(before).toMatch(/recovery_target_name = 'late'/);
    const restored = await restore(['--type=preserve', '--delta'], data);
    expect(readFileSync(file, 'utf8')).toBe(before);
    await restored.start();
    await restored.waitFor(promoted);
    expect(await restored.fingerprint()).toBe(late.fingerprint);
  });

  test.runIf(!hasLsn)('lsn: not with this version', async () => {
    const args = ['restore', `--pg1-path=${stanza.newDataDirectory()}`, '--type=lsn', `--target=${late.lsn}`];
    const { code, stderr } = await stanza.attempt(tool, args);
    expect(code).toBe(31);
    expect(stderr).toMatch(/recovery type 'lsn' is not available in PostgreSQL < 10/);
  });

  if (scope === 'targets') return;

  describe('into a data directory that is in use', () => {
    let clean: string;
    let pristine: string[];
    let data: string;
    beforeAll(async () => {
      clean = (await restore(['--type=none'])).dataDirectory;
      pristine = listed(clean);
      data = stanza.newDataDirectory();
      const used = await restore(['--type=immediate', '--target-action=promote'], data);
      await used.start();
      await used.waitFor(promoted);
      await used.sql('create table unwanted as select n from generate_series(1, 1000) n; drop table spaced');
      await used.sql('update pgbench_accounts set abalance = 7 where aid < 100');
      await used.sql("alter system set work_mem = '5MB'");
      await used.stop();
    });
    // the tests append to postgresql.conf, and each restore has its own place for the tablespace
    const listed = (directory: string): string[] =>
      listTree(directory, name => (/^postgresql\.conf$|^pg_tblspc\/\d+$/.test(name) ? 'name only' : 'all'));
    const as = (...argv: string[]) => runAsOrThrow(cluster.user, argv);
    const relation = async (): Promise<string> =>
      String(await cluster.value("select pg_relation_filepath('pgbench_branches')"));

    test('nothing is touched unless it is asked for', async () => {
      const before = listed(data);
      const { code, stderr } = await stanza.attempt(tool, [
        'restore',
        `--pg1-path=${data}`,
        `--tablespace-map-all=${data}-ts`,
      ]);
      expect(code).toBe(40);
      expect(stderr).toMatch(/because it contains files/);
      expect(listed(data)).toEqual(before);
    });

    test('--delta brings back changed and removed files, and removes others', async () => {
      rmSync(join(data, 'postgresql.conf'));
      await as('mkdir', join(data, 'base', 'stray'));
      await as('touch', join(data, 'base', 'stray', 'file'));
      await as('ln', '-s', '/nowhere', join(data, 'stray-link'));
      const name = await relation();
      const path = join(data, name);
      const { mtime } = statSync(join(clean, name));
      const { ino } = statSync(path);
      // size and time of the backup, other content
      writeFileSync(path, readFileSync(path).fill(0xee, 100, 200));
      utimesSync(path, mtime, mtime);
      const untouched = statSync(join(data, 'PG_VERSION')).ino;

      await restore(['--type=none', '--delta'], data);
      expect(listed(data)).toEqual(pristine);
      expect(statSync(path).ino).toBe(ino);
      expect(statSync(join(data, 'PG_VERSION')).ino).toBe(untouched);
      expect(statSync(path).mtime).toEqual(mtime);
    });

    test('--force goes by size and time, not by content', async () => {
      const path = join(data, await relation());
      const { mtime } = statSync(path);
      const good = readFileSync(path);
      const bad = Buffer.from(good).fill(0xee, 100, 200);
      writeFileSync(join(data, 'PG_VERSION'), 'no\n');
      writeFileSync(path, bad);
      utimesSync(path, mtime, mtime);
      await restore(['--type=none', '--force'], data);
      expect(readFileSync(join(data, 'PG_VERSION'), 'utf8')).toBe(`${binaries.version}\n`);
      expect(readFileSync(path)).toEqual(bad);

      writeFileSync(path, bad);
      await restore(['--type=none', '--force'], data);
      expect(listed(data)).toEqual(pristine);
    });
  });

  describe('tablespaces and links', () => {
    test('--tablespace-map puts one where it is wanted', async () => {
      const data = stanza.newDataDirectory();
      const place = join(stanza.folder, 'mapped space');
      const restored = await stanza.restore(
        tool,
        [`--tablespace-map=ts1=${place}`, '--type=immediate', '--target-action=promote'],
        data,
      );
      const [oid = ''] = readdirSync(join(data, 'pg_tblspc'));
      expect(readlinkSync(join(data, 'pg_tblspc', oid))).toBe(place);
      await restored.start();
      await restored.waitFor(promoted);
      expect(await restored.value('select count(*) from spaced')).toBe(inTablespace);
      expect(await restored.value("select pg_tablespace_location(oid) from pg_tablespace where spcname = 'ts1'")).toBe(
        place,
      );
    });

    test('a tablespace that the backup does not have is an error', async () => {
      const data = stanza.newDataDirectory();
      const result = await stanza.attempt(tool, ['restore', `--pg1-path=${data}`, '--tablespace-map=ts9=/nowhere']);
      expect(result.code).toBe(76);
      expect(result.stderr).toMatch(/unable to remap invalid tablespace 'ts9'/);
    });

    test('links become files and directories', async () => {
      const { dataDirectory } = await restore(['--type=none']);
      expect(lstatSync(join(dataDirectory, 'conf.d')).isDirectory()).toBe(true);
      expect(readFileSync(join(dataDirectory, 'conf.d', 'one.conf'), 'utf8')).toBe("work_mem = '3MB'\n");
      expect(lstatSync(join(dataDirectory, 'pg_hba.conf')).isFile()).toBe(true);
    });

    test('--link-map points them elsewhere', async () => {
      const [folder, file] = [join(stanza.folder, 'linked', 'folder'), join(stanza.folder, 'linked', 'file')];
      const { dataDirectory } = await restore([
        '--type=none',
        `--link-map=conf.d=${folder}`,
        `--link-map=pg_hba.conf=${file}`,
      ]);
      expect(readlinkSync(join(dataDirectory, 'conf.d'))).toBe(folder);
      expect(readFileSync(join(folder, 'one.conf'), 'utf8')).toBe("work_mem = '3MB'\n");
      expect(readlinkSync(join(dataDirectory, 'pg_hba.conf'))).toBe(file);
      expect(readFileSync(file)).toEqual(readFileSync(join(cluster.root, 'etc', 'pg_hba.conf')));
    });

    test('--link-all keeps them, and does not write over what they lead to', async () => {
      const data = stanza.newDataDirectory();
      const args = ['--type=none', '--link-all', `--tablespace-map-all=${data}-ts`];
      const refused = await stanza.attempt(tool, ['restore', `--pg1-path=${data}`, ...args]);
      expect(refused.code, refused.stderr).toBe(40);
      const etc = join(cluster.root, 'etc');
      renameSync(etc, `${etc}.away`);
      try {
        const restored = await stanza.restore(tool, args, data);
        expect(readlinkSync(join(restored.dataDirectory, 'conf.d'))).toBe(join(etc, 'conf.d'));
        expect(readlinkSync(join(restored.dataDirectory, 'pg_hba.conf'))).toBe(join(etc, 'pg_hba.conf'));
        expect(listTree(etc)).toEqual(listTree(`${etc}.away`));
      } finally {
        rmSync(etc, { recursive: true, force: true });
        renameSync(`${etc}.away`, etc);
      }
    });
  });

  test.runIf(isRoot && unprivilegedUser().foreign)('root gives the files back to their owners', async () => {
    const data = stanza.newDataDirectory();
    const { env } = spawnOptionsFor(unprivilegedUser());
    const args = ['restore', `--pg1-path=${data}`, `--tablespace-map-all=${data}-ts`, '--type=immediate'];
    const [program = '', ...line] = stanza.commandLine(tool, ...args, '--target-action=promote');
    execFileSync(program, line, { env, stdio: 'pipe' });
    const { uid, gid } = cluster.user;
    for (const root of [data, `${data}-ts`]) {
      for (const name of ['', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]) {
        expect(lstatSync(join(root, name)), join(root, name)).toMatchObject({ uid, gid });
      }
    }
    const restored = await stanza.open(data);
    await restored.start();
    await restored.waitFor(promoted);
    expect(await restored.value(invariant)).toBe(true);
  });

  describe('timelines', () => {
    let afterFork: Target;
    beforeAll(async () => {
      const forked = await restore([
        `--set=${full}`,
        '--type=name',
        `--target=${early.name}`,
        '--target-action=promote',
      ]);
      const push = stanza.commandLine(tool, `--pg1-path=${forked.dataDirectory}`, 'archive-push', '%p');
      forked.configure({ archive_mode: 'on', archive_command: push.join(' ') });
      await forked.start();
      await forked.waitFor(promoted);
      await forked.sql('insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, 1, 0, now())');
      afterFork = await forked.markTarget('fork');
      await forked.waitFor(
        `select count(*) = 0 from pg_ls_dir('pg_${binaries.key >= 100000 ? 'wal' : 'xlog'}/archive_status') f where f like '%.ready'`,
      );
      await forked.stop();
    });

    test.for(['latest', '2', '0x2'])('target-timeline %s crosses the fork', async timeline => {
      const restored = await restoreAndStart(
        `--set=${full}`,
        ...['--type=name', '--target=fork', '--target-action=promote', `--target-timeline=${timeline}`],
      );
      await restored.waitFor(promoted);
      expect(await restored.fingerprint()).toBe(afterFork.fingerprint);
      await expectSound(restored);
    });

    test('target-timeline current stays on that of the backup', async () => {
      const restored = await restoreAndStart(`--set=${full}`, '--target-timeline=current');
      await restored.waitFor(promoted);
      expect(await restored.fingerprint()).toBe(end.fingerprint);
    });

    test('a backup that was made after the fork cannot reach the other timeline', async () => {
      const data = stanza.newDataDirectory();
      const { code, stderr } = await stanza.attempt(tool, [
        ...['restore', `--set=${incr}`, '--target-timeline=2'],
        ...[`--pg1-path=${data}`, `--tablespace-map-all=${data}-ts`],
      ]);
      expect(code, stderr).not.toBe(0);
      expect(stderr).toMatch(/timeline/);
      expect(existsSync(join(data, 'PG_VERSION'))).toBe(false);
    });
  });

  describe('offline', () => {
    test('a backup of the stopped cluster starts without recovery', async () => {
      await cluster.stop();
      await stanza.run(tool, 'backup', '--no-online', '--type=full');
      const restored = await restore([]);
      expect(restoredSet() ?? (await stanza.latest(tool))).not.toBe(incr);
      for (const signal of ['recovery.signal', 'recovery.conf']) {
        expect(existsSync(join(restored.dataDirectory, signal))).toBe(false);
      }
      await restored.start();
      expect(restored.log).not.toMatch(/recovery/);
      expect(await restored.fingerprint()).toBe(end.fingerprint);
      expect(await restored.value('select count(*) from spaced')).toBe(inTablespace);
      await expectSound(restored);
    });
  });
}

/** Puts configuration of a cluster that was not started behind a link to a directory and one to a file. */
function placeLinks(cluster: TestCluster): void {
  cluster.makeFolder('etc', 0o700);
  cluster.makeFolder(join('etc', 'conf.d'), 0o700);
  cluster.writeFile(join('etc', 'conf.d', 'one.conf'), "work_mem = '3MB'\n");
  renameSync(join(cluster.dataDirectory, 'pg_hba.conf'), join(cluster.root, 'etc', 'pg_hba.conf'));
  for (const name of ['conf.d', 'pg_hba.conf']) {
    symlinkSync(join(cluster.root, 'etc', name), join(cluster.dataDirectory, name));
  }
  appendFileSync(join(cluster.dataDirectory, 'postgresql.conf'), "include_dir = 'conf.d'\n");
  giveTo(cluster.user, cluster.dataDirectory);
}
