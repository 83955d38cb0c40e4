/** What can go wrong around a backup of a running server. Each failure has its code, says what failed, and leaves what exists. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { photograph } from '../command/restore/backup-bed.ts';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, TestStanza } from '../support/stanza.ts';
import { giveTo } from '../support/unprivileged.ts';
import { BadInputBed, slowly } from './bad-input-bed.ts';

let bed: BadInputBed;
beforeAll(async () => {
  // what a test interrupts must not be what the next one goes on with
  bed = await BadInputBed.create(20, { resume: 'n' });
});
afterAll(() => bed?.dispose());

/** Backups and info files: what a failed command must leave as it is. */
const kept = (): string[] =>
  photograph(bed.stanza.repo).filter(line => /backup\.(info|history)/.test(line) || line.includes('archive.info'));

it('two backups at once: the second is refused at once, the first is not disturbed', async () => {
  const first = bed.start('backup', '--type=full', ...slowly);
  await bed.untilCopying(first, bed.directories());
  const second = await bed.run('backup', '--type=full');
  expect(second.code).toBe(50);
  expect(second.output).toContain(`unable to acquire lock on file '${bed.stanza.folder}/lock/demo-backup-1.lock'`);
  expect(second.output).toContain('HINT: is another pgBackRest process running?');
  // another command of the stanza may go on
  expect(await bed.run('info')).toMatchObject({ code: 0 });
  expect(await first.done).toMatchObject({ code: 0 });
  expect(await bed.listed()).toHaveLength(1);
});

describe('a clock that goes back', () => {
  it('is an error, and nothing is written', async () => {
    const label = '20991231-235959F';
    const year = join(bed.backupFolder, 'backup.history/2099');
    mkdirSync(year);
    writeFileSync(join(year, `${label}.manifest.gz`), '');
    const [before, directories] = [kept(), bed.directories()];
    const result = await bed.run('backup', '--type=full');
    expect(result.code).toBe(106);
    expect(result.output).toContain(`is not later than latest backup label '${label}'`);
    expect(result.output).toContain('HINT: is there clock skew?');
    expect(kept()).toEqual(before);
    expect(bed.directories()).toEqual(directories);
    expect(await bed.cluster.value("select count(*) from pg_stat_activity where query ~ 'backup_start'")).toBe('1');
    rmSync(year, { recursive: true });
  });
});

it('PostgreSQL that stops in the middle of a backup: a clear error, and the next backup works', async () => {
  const [listed, before] = [await bed.listed(), kept()];
  const running = bed.start('backup', '--type=full', ...slowly);
  await bed.untilCopying(running, bed.directories());
  await bed.cluster.stop('immediate');
  const result = await running.done;
  expect([56, 57, 58]).toContain(result.code);
  expect(result.output).toMatch(/ERROR: \[05\d\]: .*(connection|terminat|shut|server)/i);
  expect(result.output).toContain('HINT:');
  await bed.cluster.start();
  expect(await bed.listed()).toEqual(listed);
  expect(kept()).toEqual(before);
  await bed.expectOk('backup', '--type=full');
  expect(await bed.listed()).toHaveLength(listed.length + 1);
});

it('a file that is no relation and vanishes is an error that names it', async () => {
  const [listed, before] = [await bed.listed(), kept()];
  const path = join(bed.cluster.dataDirectory, 'precious.conf');
  writeFileSync(path, 'x');
  giveTo(bed.cluster.user, path);
  const running = bed.start('backup', '--type=full', ...slowly);
  await bed.untilCopying(running, bed.directories());
  rmSync(path);
  const result = await running.done;
  expect(result.code).toBe(55);
  expect(result.output).toContain(`'${path}'`);
  expect(await bed.listed()).toEqual(listed);
  expect(kept()).toEqual(before);
});

it('a relation that is dropped meanwhile is left out', async () => {
  await bed.cluster.sql('create table gone as select 1 as x; checkpoint');
  const path = String(await bed.cluster.value("select pg_relation_filepath('gone')"));
  const running = bed.start('backup', '--type=full', ...slowly);
  await bed.untilCopying(running, bed.directories());
  await bed.cluster.sql('drop table gone');
  // which removes the file
  await bed.cluster.sql('checkpoint');
  const result = await running.done;
  expect(result).toMatchObject({ code: 0 });
  expect(result.output).toContain(`skip file removed by database ${join(bed.cluster.dataDirectory, path)}`);
});

it('tables that are truncated, dropped, made and extended while they are copied', async () => {
  const { cluster } = bed;
  await cluster.sql(`create table churn_a (n int primary key, t text); create table churn_b (n int primary key, t text);
    insert into churn_a select n, repeat(md5(n::text), 20) from generate_series(1, 5000) n`);
  const running = bed.start('backup', '--type=full', ...slowly);
  let over = false;
  running.done.finally(() => {
    over = true;
  });
  let rounds = 0;
  while (!over) {
    rounds++;
    await cluster.sql(`truncate churn_a`);
    await cluster.sql(
      `insert into churn_a select n, repeat(md5((n * ${rounds})::text), 20) from generate_series(1, 1000) n`,
    );
    await cluster.sql(`drop table churn_b; create table churn_b (n int primary key, t text)`);
    await cluster.sql(
      `insert into churn_b select n, repeat(md5((n + ${rounds})::text), 20) from generate_series(1, 1000) n`,
    );
    await cluster.sql('vacuum churn_a');
    if (rounds % 4 === 0) await cluster.sql('checkpoint');
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  expect(await running.done).toMatchObject({ code: 0 });
  expect(rounds).toBeGreaterThan(3);
  const query = 'select 1 as t, * from churn_a union all select 2, * from churn_b order by 1, 2';
  const rows = await cluster.fingerprint(query);
  await cluster.switchWal();
  const last = await cluster.walName();
  await cluster.waitFor(`select last_archived_wal >= '${previous(last)}' from pg_stat_archiver`);

  const restored = await bed.stanza.restore([...bed.tool], []);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.fingerprint(query)).toBe(rows);
  expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
});

describe("another stanza's repository", () => {
  let other: TestCluster;
  let mixed: TestStanza;
  beforeAll(async () => {
    other = await TestCluster.create({ binaries: bed.cluster.binaries });
    const archiver = new Archiver(other);
    // cluster b with the repository of cluster a
    mixed = new TestStanza(other, 'b', { 'repo1-path': bed.stanza.repo, 'archive-timeout': 2 });
    archiver.use(mixed, [...bed.tool]);
    await other.start();
  });
  afterAll(() => other?.dispose());

  it.each<[command: string, args: readonly string[], code: number, said: string]>([
    ['backup', ['--type=full'], 51, 'system-id'],
    ['stanza-create', [], 28, 'stanza-upgrade'],
    ['check', [], 28, ''],
    ['archive-push', ['WAL'], 103, 'ArchiveMismatchError'],
  ])('%s is refused, and the repository stays as it is', async (command, args, code, said) => {
    const wal = join(other.dataDirectory, 'pg_wal', await other.walName());
    const unchanged = (): string[] => photograph(bed.stanza.repo).filter(line => !line.includes('/archive/demo/15-1/'));
    const before = unchanged();
    const words = args.map(arg => (arg === 'WAL' ? wal : arg));
    const result = await mixed.attempt([...bed.tool], ['--log-level-console=info', command, ...words]);
    const output = result.stdout + result.stderr;
    expect(output).toContain('HINT:');
    expect(output).toContain(said);
    expect(result.code).toBe(code);
    expect(unchanged()).toEqual(before);
  });
});

/** The segment before this one, of the usual size. */
function previous(wal: string): string {
  const number = BigInt(`0x${wal.slice(8, 16)}`) * 256n + BigInt(`0x${wal.slice(16)}`) - 1n;
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0');
  return wal.slice(0, 8) + hex(number / 256n) + hex(number % 256n);
}
