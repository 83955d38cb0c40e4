/** Backups whose relation files come from a standby, and all that can be wrong with the two clusters. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Target, TestCluster } from '../support/cluster.ts';
import { createStandbyPair, type StandbyPair } from '../support/standby-pair.ts';
import type { Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let project: RunnableProject;
let ours: Tool;
let pair: StandbyPair;

beforeAll(async () => {
  project = runnableProject(unprivilegedUser());
  ours = project.command;
  pair = await createStandbyPair(ours, { 'backup-standby': 'y', 'compress-type': 'lz4' });
});
afterAll(async () => {
  await pair?.dispose();
  project?.remove();
});

const attempt = (...args: string[]): Promise<RunResult> =>
  pair.stanza.attempt(ours, [
    'backup',
    ...['--log-level-console=detail', '--log-level-stderr=off', '--no-log-timestamp'],
    ...args,
  ]);

async function backup(...args: string[]): Promise<{ readonly label: string; readonly lines: readonly string[] }> {
  const { code, stdout, stderr } = await attempt(...args);
  expect(code, stdout + stderr).toBe(0);
  return { label: /new backup label = (\S+)/.exec(stdout)?.[1] ?? '', lines: stdout.split('\n') };
}

const manifestOf = (label: string): string =>
  readFileSync(join(pair.stanza.repo, 'backup', 'demo', label, 'backup.manifest'), 'utf8');

/** The files that were copied, as `worker path`. */
const copied = (lines: readonly string[]): string[] =>
  lines.flatMap(line => {
    const [, worker, path] = /^P(\d+) DETAIL: (?:backup|match) file (?:from prior backup )?(\S+) \(/.exec(line) ?? [];
    return worker === undefined || path === undefined ? [] : `${worker} ${path}`;
  });

async function expectRestored(label: string, target: Target): Promise<void> {
  const restored = await pair.stanza.restore(ours, [
    `--set=${label}`,
    `--tablespace-map-all=${pair.stanza.folder}/spaces-${target.name}`,
    '--type=name',
    `--target=${target.name}`,
    '--target-action=promote',
  ]);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.fingerprint()).toBe(target.fingerprint);
  expect(await restored.value('select sum(n)::int from spaced')).toBe(200_010_000);
  expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
}

describe('a backup from the standby', () => {
  it('copies relation files there and the others here, and is restored with the rows of its moment', async () => {
    const { primary, standby, archiver } = pair;
    const load = await primary.startLoad(2);
    const { label, lines } = await backup('--type=full');
    const target = await archiver.markTarget('full');
    expect(await load.stop()).toBeGreaterThan(0);

    const said = lines.filter(line => line.startsWith('P00   INFO: ')).map(line => line.slice(12));
    const lsn = /lsn = (\S+)/.exec(said.find(line => line.startsWith('backup start')) ?? '')?.[1];
    const at = said.findIndex(line => line.startsWith('backup start archive = '));
    expect(said.slice(at - 1, at + 4)).toEqual([
      'execute backup start: backup begins after the requested immediate checkpoint completes',
      expect.stringMatching(/^backup start archive = [0-9A-F]{24}, lsn = [0-9A-F]+\/[0-9A-F]+$/),
      `wait for replay on the standby to reach ${lsn}`,
      `replay on the standby reached ${lsn}`,
      expect.stringMatching(/^check archive for (prior )?segment [0-9A-F]{24}$/),
    ]);

    const here = copied(lines).filter(line => line.startsWith('01 '));
    const there = copied(lines).filter(line => !line.startsWith('01 '));
    expect(here).toContain(`01 ${primary.dataDirectory}/global/pg_control`);
    for (const line of here) {
      expect(line).toMatch(/^01 \S+\/data\/(?!base|pg_tblspc|pg_xact|pg_multixact|global\/(?!pg_control))/);
    }
    expect(there.some(line => line.includes('/pg_tblspc/'))).toBe(true);
    expect(there.length).toBeGreaterThan(700);
    for (const line of there) {
      expect(line.slice(3)).toMatch(
        new RegExp(`^${standby.dataDirectory}/(base|global|pg_tblspc|pg_xact|pg_multixact)/`),
      );
    }

    const manifest = manifestOf(label);
    expect(manifest).toContain('\noption-backup-standby=true\n');
    // paths and owners are those of the primary
    expect(manifest).toContain(`\npg_data={"path":"${primary.dataDirectory}","type":"path"}\n`);
    expect(manifest).toContain(`"path":"${primary.root}/ts1","tablespace-id":"`);
    expect(manifest).not.toMatch(/standby\.signal|primary_conninfo/);
    const info = JSON.parse(await pair.stanza.run(ours, 'info', '--output=json', `--set=${label}`));
    expect(info[0].backup[0]).toMatchObject({ label, error: false });
    await expectRestored(label, target);
  });

  it('goes into bundles and blocks too, and an incr follows it, preferred from there', async () => {
    const { primary, archiver } = pair;
    const how = ['--repo1-bundle', '--repo1-block', '--process-max=3'];
    const load = await primary.startLoad(1);
    await backup('--type=full', ...how);
    await primary.sql('update pgbench_accounts set abalance = abalance + 1 where aid % 1000 = 0; checkpoint');
    const { label, lines } = await backup('--type=incr', '--backup-standby=prefer', ...how);
    const target = await archiver.markTarget('incr');
    expect(await load.stop()).toBeGreaterThan(0);
    expect(manifestOf(label)).toContain('\noption-backup-standby=true\n');
    expect(copied(lines).some(line => line.includes(`${pair.standby.dataDirectory}/base/`))).toBe(true);
    await expectRestored(label, target);
  });

  it('is not trusted with what the primary wrote before the standby did', async () => {
    const { primary, standby, stanza } = pair;
    await primary.sql(`create table slow (n int) with (autovacuum_enabled = off);
      insert into slow values (0); create table other (n int); checkpoint`);
    await pair.caughtUp();
    await standby.sql('select pg_wal_replay_pause()');
    // replay will stop before the next commit, and so before what comes after that
    standby.configure({ recovery_min_apply_delay: '1h' });
    await standby.reload();
    const running = backup('--type=full');
    await standby.waitFor(
      "select exists (select from pg_stat_activity where query ~ 'replay_lsn' and query !~ 'exists')",
    );
    await primary.sql('insert into other values (1)');
    await primary.sql('update slow set n = 1');
    // the primary has it in its file before the list of files is made, the standby after its file was copied
    await primary.sql('checkpoint');
    await standby.sql('select pg_wal_replay_resume()');
    const { label } = await running;
    standby.configure({ recovery_min_apply_delay: 0 });
    await standby.reload();
    await pair.caughtUp();

    const path = String(await primary.value("select pg_relation_filepath('slow')"));
    const fileOf = (name: string): { checksum: string; timestamp: number } => {
      const line = manifestOf(name)
        .split('\n')
        .find(text => text.startsWith(`pg_data/${path}=`));
      return JSON.parse(line?.slice(line.indexOf('=') + 1) ?? '');
    };
    const behind = fileOf(label);
    const next = await backup('--type=incr');
    const current = fileOf(next.label);
    // by time and size the file is what the backup has
    expect(current.timestamp).toBe(behind.timestamp);
    expect(current.checksum).not.toBe(behind.checksum);
    const restored = await stanza.restore(ours, [
      `--set=${next.label}`,
      `--tablespace-map-all=${stanza.folder}/spaces-slow`,
      '--type=immediate',
      '--target-action=promote',
    ]);
    await restored.start();
    await restored.waitFor('select not pg_is_in_recovery()');
    expect(await restored.sql('select n from slow')).toEqual([{ n: 1 }]);
    await restored.stop();

    // nor when the backup did not end and the next one goes on with it
    await stanza.run(ours, 'expire', `--set=${next.label}`);
    const folder = join(stanza.repo, 'backup', 'demo', label);
    rmSync(join(folder, 'backup.manifest'));
    const resumed = await backup('--type=full');
    expect(resumed.label).toBe(label);
    expect(resumed.lines.filter(line => line.includes('checksum resumed file')).length).toBeGreaterThan(500);
    expect(resumed.lines).toContain(
      `P00 DETAIL: remove file '${folder}/pg_data/${path}.lz4' from resumed backup (written after the resumed backup began)`,
    );
    expect(fileOf(label)).toMatchObject({ checksum: current.checksum });
  });

  it('offline it is taken from the primary, with a warning', async () => {
    const { code, stdout } = await attempt('--type=full', '--no-online');
    expect(code).toBe(38);
    expect(stdout).toContain(
      'WARN: option backup-standby is enabled but backup is offline - backups will be performed from the primary',
    );
  });
});

describe('check', () => {
  const check = (...args: string[]): Promise<RunResult> =>
    runAs(pair.primary.user, [
      ...ours,
      'check',
      `--config=${pair.stanza.config}`,
      ...['--log-level-stderr=off', '--no-log-timestamp', ...args],
    ]);

  it('takes the stanzas of the configuration, and both clusters of each', async () => {
    const { code, stdout } = await check('--log-level-console=info');
    expect(code, stdout).toBe(0);
    expect(stdout.split('\n').slice(1, -2)).toEqual([
      "P00   INFO: check stanza 'demo'",
      'P00   INFO: check repo1 (standby)',
      'P00   INFO: switch wal not performed because this is a standby',
      'P00   INFO: check repo1 configuration (primary)',
      'P00   INFO: check repo1 archive for WAL (primary)',
      expect.stringMatching(/^P00 {3}INFO: WAL segment [0-9A-F]{24} successfully archived to '.*' on repo1$/),
    ]);
  });

  it('--report prints what is configured and asks nobody', async () => {
    const { code, stdout } = await check('--report', '--log-level-console=off');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).cfg.file).toMatchObject({
      global: { 'backup-standby': { val: 'y' }, 'repo1-path': { val: pair.stanza.repo } },
      demo: { 'pg1-path': { val: pair.primary.dataDirectory }, 'pg2-path': { val: pair.standby.dataDirectory } },
    });
  });
});

describe('what can be wrong', () => {
  const at = (key: number, { dataDirectory, port, socketDirectory }: TestCluster): string[] => [
    `--pg${key}-path=${dataDirectory}`,
    `--pg${key}-port=${port}`,
    `--pg${key}-socket-path=${socketDirectory}`,
  ];
  const backups = async (): Promise<number> =>
    JSON.parse(await pair.stanza.run(ours, 'info', '--output=json'))[0].backup.length;

  it('a standby that does not replay: 82, and the primary is not left in a backup', async () => {
    const { primary, standby } = pair;
    const before = await backups();
    await standby.sql('select pg_wal_replay_pause()');
    const { code, stdout } = await attempt('--type=incr', '--archive-timeout=1');
    await standby.sql('select pg_wal_replay_resume()');
    expect(code).toBe(82);
    expect(stdout).toMatch(
      /ERROR: \[082\]: timeout before standby replayed to [0-9A-F]+\/[0-9A-F]+ - only reached [0-9A-F]+\/[0-9A-F]+\n\s+HINT: is replication running and current on the standby\?\n\s+HINT: disable the 'backup-standby' option to backup directly from the primary\./,
    );
    expect(await backups()).toBe(before);
    await primary.waitFor("select count(*) = 0 from pg_stat_activity where application_name ~ 'pgBackRest'");
  });

  it('a standby of another cluster: 58', async () => {
    const other = await TestCluster.create();
    try {
      writeFileSync(join(other.dataDirectory, 'standby.signal'), '');
      giveTo(other.user, join(other.dataDirectory, 'standby.signal'));
      // as many as initdb wrote into its control file, which a standby must have
      other.configure({ max_connections: 100, max_wal_senders: 10 });
      await other.start();
      const { code, stdout } = await attempt(...at(2, other));
      expect(code).toBe(58);
      expect(stdout).toMatch(/ERROR: \[058\]: standby pg2 has system-id \d+ but primary pg1 has system-id \d+/);
    } finally {
      await other.dispose();
    }
  });

  it('files of another data directory than the standby’s: 58', async () => {
    // a copy of yesterday's standby
    const copy = pair.primary.makeFolder('copy');
    cpSync(join(pair.standby.dataDirectory, 'global', 'pg_control'), join(copy, 'global', 'pg_control'));
    for (const path of ['global', 'global/pg_control']) giveTo(pair.primary.user, join(copy, path));
    const { code, stdout } = await attempt(`--pg2-path=${copy}`);
    expect(code).toBe(58);
    expect(stdout).toContain(`in '${copy}' is less than target`);
    expect(stdout).toContain('HINT: does pg2-path belong to the cluster at pg2-port?');
  });

  it('two primaries: 56', async () => {
    const { code, stdout } = await attempt(...at(2, pair.primary));
    expect(code).toBe(56);
    expect(stdout).toContain('ERROR: [056]: more than one primary cluster found');
  });

  it('only the standby can be reached: 56', async () => {
    const { code, stdout } = await attempt('--pg1-port=1');
    expect(code).toBe(56);
    expect(stdout).toMatch(/WARN: unable to check pg1: \[DbConnectError\] /);
    expect(stdout).toContain('ERROR: [056]: unable to find primary cluster - cannot proceed');
  });

  it('a standby on another host: 67 until that is built', async () => {
    const { code, stdout } = await attempt('--pg2-host=elsewhere');
    expect(code).toBe(67);
    expect(stdout).toContain('a cluster on another host is not supported by this version');
  });

  it('a primary that archives elsewhere: 68, before the backup begins', async () => {
    const { primary } = pair;
    await primary.sql("alter system set archive_command = 'true'");
    await primary.reload();
    await primary.waitFor("select current_setting('archive_command') = 'true'");
    const { code, stdout } = await attempt('--type=incr');
    await primary.sql('alter system reset archive_command');
    await primary.reload();
    await primary.waitFor("select current_setting('archive_command') <> 'true'");
    expect(code).toBe(68);
    expect(stdout).toContain("archive_command 'true' must contain ");
    expect(stdout).not.toContain('execute backup start');
  });

  it('a standby that is down: y is 56, prefer takes the primary and says so', async () => {
    const { standby } = pair;
    await standby.stop();
    const { code, stdout } = await attempt('--type=incr');
    expect(code).toBe(56);
    expect(stdout).toMatch(/WARN: unable to check pg2: \[DbConnectError\] /);
    expect(stdout).toContain('ERROR: [056]: unable to find standby cluster - cannot proceed');
    const { label, lines } = await backup('--type=incr', '--backup-standby=prefer');
    expect(lines).toContain('P00   WARN: unable to find a standby to perform the backup, using primary instead');
    expect(manifestOf(label)).toContain('\noption-backup-standby=false\n');
  });
});
