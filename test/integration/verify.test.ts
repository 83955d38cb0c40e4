/** verify of the built program: what it finds in a damaged repository, in every codec and layout. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryFolder, TestCluster } from '../support/cluster.ts';
import { GoldenRepo, golden } from '../support/golden-repo.ts';
import { Archiver, TestStanza } from '../support/stanza.ts';
import { type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let work: string;
beforeAll(() => {
  project = runnableProject(user);
  work = makeTemporaryFolder(user, 'verify-');
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
  project.remove();
});

const { full, diff, incr, wal } = golden;
const zero = 'missing: 0, checksum invalid: 0, size invalid: 0, other: 0';
let count = 0;

/** A fresh copy of the repository. */
const newRepo = (): GoldenRepo => new GoldenRepo(join(work, `golden-${++count}`));

const verify = (repo: GoldenRepo, ...options: string[]): Promise<RunResult> =>
  repo.run(project.command, ['verify', '--stanza=demo', '--log-level-console=off', '--output=text', ...options]);

/** The log below the begin and before the end. */
async function logOf(repo: GoldenRepo, level: string, ...options: string[]): Promise<string[]> {
  const log = ['--stanza=demo', `--log-level-console=${level}`, '--process-max=2', ...options];
  const { code, stdout } = await repo.run(project.command, ['verify', ...log]);
  expect(code).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => line.replace(/^P\d\d +/, ''))
    .filter(line => !/verify command (begin|end)/.test(line));
}

describe('a sound repository', () => {
  test('is said to be sound when that is asked for', async () => {
    const result = await verify(newRepo(), '--verbose', '--process-max=2');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toBe(
      [
        'stanza: demo',
        'status: ok',
        '  archiveId: 15-1, total WAL checked: 3, total valid WAL: 3',
        `    ${zero}`,
        ...[
          [full, 973],
          [diff, 975],
          [incr, 975],
        ].flatMap(([label, files]) => [
          `  backup: ${label}, status: valid, total files checked: ${files}, total valid files: ${files}`,
          `    ${zero}`,
        ]),
        '',
      ].join('\n'),
    );
  });

  test('is else not talked of', async () => {
    expect(await verify(newRepo())).toMatchObject({ code: 0, stdout: '' });
    expect(
      await newRepo().run(project.command, ['verify', '--stanza=demo', '--log-level-console=error']),
    ).toMatchObject({
      code: 0,
      stdout: '',
    });
  });

  test('one set with its WAL', async () => {
    const { stdout } = await verify(newRepo(), '--verbose', `--set=${incr}`);
    expect(stdout).toBe(
      `stanza: demo\nstatus: ok\n  archiveId: 15-1, total WAL checked: 1, total valid WAL: 1\n    ${zero}\n` +
        `  backup: ${incr}, status: valid, total files checked: 975, total valid files: 975\n    ${zero}\n`,
    );
  });

  test('the log tells of WAL ranges, and of backups whose WAL is gone', async () => {
    const lines = await logOf(newRepo(), 'detail');
    expect(lines).toEqual([
      `WARN: backup '${full}' needs WAL 000000010000000000000002 to 000000010000000000000002, but archive '15-1' lacks some of it`,
      `WARN: backup '${diff}' needs WAL 000000010000000000000004 to 000000010000000000000004, but archive '15-1' lacks some of it`,
      'DETAIL: archiveId: 15-1, wal start: 000000010000000000000006, wal stop: 000000010000000000000008',
    ]);
  });
});

describe('files of backups', () => {
  test('that are missing, altered or cut short: the backup has them, and all that refer to it', async () => {
    const repo = newRepo();
    const base = `backup/demo/${full}/pg_data/base/1`;
    repo.remove(`${base}/112.gz`);
    repo.flip(`${base}/1255.gz`);
    repo.write(`${base}/1249.gz`, repo.read(`${base}/1249.gz`).subarray(0, 20_000));
    repo.write(`${base}/113.gz`, '');
    const { code, stdout } = await verify(repo, '--process-max=2');
    expect(code).toBe(0);
    const counts = (label: string, total: number) =>
      `  backup: ${label}, status: invalid, total files checked: ${total}, total valid files: ${total - 4}\n    missing: 1, checksum invalid: 3\n`;
    expect(stdout).toBe(`stanza: demo\nstatus: error\n${counts(full, 973)}${counts(diff, 975)}${counts(incr, 975)}`);
    const lines = (await logOf(repo, 'info')).filter(line => line.includes('pg_data')).sort();
    expect(lines).toEqual([
      `INFO: file missing '${full}/pg_data/base/1/112.gz'`,
      `INFO: invalid checksum '${full}/pg_data/base/1/113.gz'`,
      `INFO: invalid checksum '${full}/pg_data/base/1/1249.gz'`,
      `INFO: invalid checksum '${full}/pg_data/base/1/1255.gz'`,
    ]);
  });

  test('of a set are looked at where they are stored', async () => {
    const repo = newRepo();
    repo.remove(`backup/demo/${full}/pg_data/PG_VERSION.gz`);
    repo.remove(`backup/demo/${diff}`);
    expect((await verify(repo, `--set=${incr}`)).stdout).toBe(
      `stanza: demo\nstatus: error\n  backup: ${incr}, status: invalid, total files checked: 975, total valid files: 971\n    missing: 4\n`,
    );
  });
});

describe('manifests', () => {
  test('one copy is enough, none is not', async () => {
    const repo = newRepo();
    repo.flip(`backup/demo/${full}/backup.manifest`);
    repo.remove(`backup/demo/${diff}/backup.manifest`);
    expect((await verify(repo)).stdout).toBe('');
    const lines = await logOf(repo, 'detail');
    expect(lines).toContain(`DETAIL: ${full}/backup.manifest is missing or unusable, using copy`);
    expect(lines).toContain(`DETAIL: ${diff}/backup.manifest is missing or unusable, using copy`);
    repo.flip(`backup/demo/${full}/backup.manifest.copy`);
    repo.remove(`backup/demo/${diff}/backup.manifest.copy`);
    const { stdout } = await verify(repo);
    // the last backup is whole: what it refers to is there
    expect(stdout).toBe(
      'stanza: demo\nstatus: error\n' +
        `  backup: ${full}, status: invalid, total files checked: 0, total valid files: 0\n` +
        `  backup: ${diff}, status: manifest missing, total files checked: 0, total valid files: 0\n`,
    );
    expect(await logOf(repo, 'warn')).toContain(
      `WARN: backup '${diff}' is in backup.info but has no manifest, so it cannot be restored`,
    );
  });

  test('copies that differ', async () => {
    const repo = newRepo();
    repo.write(`backup/demo/${full}/backup.manifest.copy`, repo.read(`backup/demo/${diff}/backup.manifest`));
    repo.write('archive/demo/archive.info.copy', repo.read(`backup/demo/${diff}/backup.manifest`));
    const lines = await logOf(repo, 'detail');
    expect(lines).toContain(`DETAIL: backup '${full}' manifest.copy does not match manifest`);
    expect((await verify(repo)).stdout).toBe('');
  });

  test('a backup that is not listed, one that is gone, and one that may be in progress', async () => {
    const repo = newRepo();
    repo.remove(`backup/demo/${incr}`);
    repo.write('backup/demo/20301121-032210F/backup.manifest.copy', 'half');
    const { stdout } = await verify(repo, '--verbose');
    expect(stdout).toContain('status: ok\n');
    expect(stdout).toContain(
      `  backup: ${incr}, status: manifest missing, total files checked: 0, total valid files: 0\n`,
    );
    expect(stdout).toContain('  backup: 20301121-032210F, status: in-progress, total files checked: 0,');
    const lines = await logOf(repo, 'info');
    expect(lines).toContain("WARN: backup '20301121-032210F' found in the repository but not in backup.info");
    expect(lines).toContain(`WARN: backup '${incr}' found in backup.info but not in the repository`);
    expect(lines).toContain("INFO: backup '20301121-032210F' appears to be in progress, skipping");
  });
});

describe('WAL', () => {
  const seventh = '000000010000000000000007-e70f4a1e5ad98a31388abd22439700b2fbfd2c52.gz';
  const eighth = '000000010000000000000008-58786d7711acb16181662310093b29e0085f2b6b.gz';

  test('that is altered, misnamed, of another size or there twice', async () => {
    const repo = newRepo();
    const plain = Buffer.alloc(1024 * 1024);
    const checksum = createHash('sha1').update(plain).digest('hex');
    repo.flip(`${wal}/${seventh}`, 30_000);
    repo.write(`${wal}/000000010000000000000009-${'1'.repeat(40)}.gz`, repo.read(`${wal}/${eighth}`));
    repo.write(`${wal}/00000001000000000000000A-${checksum}`, plain);
    repo.write(`${wal}/000000010000000000000008-${'2'.repeat(40)}`, plain);
    // not a segment: nobody knows what should be in it
    repo.write(`${wal}/00000001000000000000000B.partial-${'3'.repeat(40)}`, plain);
    expect((await verify(repo)).stdout).toBe(
      'stanza: demo\nstatus: error\n  archiveId: 15-1, total WAL checked: 6, total valid WAL: 1\n' +
        '    checksum invalid: 1, size invalid: 1, other: 1\n',
    );
    const lines = await logOf(repo, 'detail');
    expect(lines).toContain("INFO: duplicate WAL '000000010000000000000008' for '15-1' exists, skipping");
    expect(lines).toContain(
      `INFO: invalid checksum '15-1/0000000100000000/000000010000000000000009-${'1'.repeat(40)}.gz'`,
    );
    expect(lines).toContain(`INFO: invalid size '15-1/0000000100000000/00000001000000000000000A-${checksum}'`);
    expect(lines.filter(line => line.includes('wal start'))).toEqual([
      'DETAIL: archiveId: 15-1, wal start: 000000010000000000000006, wal stop: 000000010000000000000007',
      'DETAIL: archiveId: 15-1, wal start: 000000010000000000000009, wal stop: 00000001000000000000000A',
    ]);
  });

  test('whose first segment is damaged is looked at all the same', async () => {
    const repo = newRepo();
    repo.write(`${wal}/000000010000000000000005-${'1'.repeat(40)}.gz`, 'no gzip');
    repo.write('archive/demo/15-1/0000000200000000/readme', '');
    const { stdout } = await verify(repo);
    expect(stdout).toContain('total WAL checked: 4, total valid WAL: 3\n    other: 1\n');
    expect(await logOf(repo, 'detail')).toContain(
      "DETAIL: path '15-1/0000000200000000' does not contain any valid WAL to be processed",
    );
  });

  test('that would never end is not read to its end', async () => {
    const repo = newRepo();
    repo.write(`${wal}/${seventh}`, gzipSync(Buffer.alloc(1_100_000_000), { level: 1 }));
    expect((await verify(repo)).stdout).toContain(
      'total WAL checked: 3, total valid WAL: 2\n    checksum invalid: 1\n',
    );
  });

  test('of a PostgreSQL that nobody knows ends verify', async () => {
    const repo = newRepo();
    for (const name of repo.names(wal)) repo.remove(`${wal}/${name}`);
    const plain = Buffer.alloc(1024 * 1024);
    plain.writeUInt16LE(0xffff, 0);
    plain.writeUInt16LE(2, 2);
    repo.write(`${wal}/000000010000000000000001-${createHash('sha1').update(plain).digest('hex')}`, plain);
    expect((await verify(repo)).code).toBe(46);
  });

  test('of a cluster that archive.info does not have', async () => {
    const repo = newRepo();
    repo.write('archive/demo/16-9/0000000100000000/x', '');
    const lines = await logOf(repo, 'info');
    expect(lines).toContain("INFO: archiveIds '16-9' are not in the archive.info history list");
    expect(lines.map(line => line.trim())).toContain('status: error');
  });
});

describe('info files', () => {
  test('missing, of another cluster, or in copies', async () => {
    const repo = newRepo();
    repo.flip('archive/demo/archive.info');
    expect((await verify(repo)).stdout).toBe('');
    repo.flip('archive/demo/archive.info.copy');
    expect((await verify(repo)).stdout).toBe('stanza: demo\nstatus: error\n  No usable archive.info file\n');
    repo.remove('backup/demo/backup.info');
    repo.remove('backup/demo/backup.info.copy');
    const { code, stdout } = await verify(repo);
    expect(code).toBe(0);
    expect(stdout).toBe('stanza: demo\nstatus: error\n  No usable backup.info file\n  No usable archive.info file\n');
  });

  test('a stanza that is not there, sets that are none', async () => {
    const repo = newRepo();
    expect((await verify(repo, '--stanza=other')).code).toBe(31);
    const report = async (set: string) => (await verify(repo, `--set=${set}`)).stdout;
    expect(await report('x')).toBe("stanza: demo\nstatus: error\n  'x' is not a valid backup label format\n");
    const gone = '20261121-032210F_20261121-040000I';
    expect(await report(gone)).toBe(`stanza: demo\nstatus: error\n  backup set ${gone} is not valid\n`);
  });

  test('nothing but info files', async () => {
    const repo = newRepo();
    repo.remove('archive/demo/15-1');
    for (const label of [full, diff, incr]) repo.remove(`backup/demo/${label}`);
    expect((await verify(repo, '--verbose')).stdout).toContain(
      `status: ok\n  archiveId: none found\n  backup: ${full}, status: manifest missing,`,
    );
  });
});

describe('in every codec and layout', () => {
  const layouts = [
    { name: 'none', options: { 'compress-type': 'none' } },
    { name: 'gz-bundle', options: { 'compress-type': 'gz', 'repo1-bundle': 'y' } },
    {
      name: 'lz4-aes',
      options: { 'compress-type': 'lz4', 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x' },
    },
    {
      name: 'zst-aes-block',
      options: {
        'compress-type': 'zst',
        'repo1-bundle': 'y',
        'repo1-block': 'y',
        'repo1-cipher-type': 'aes-256-cbc',
        'repo1-cipher-pass': 'x',
      },
    },
    { name: 'bz2', options: { 'compress-type': 'bz2' } },
    { name: 'none-block', options: { 'compress-type': 'none', 'repo1-bundle': 'y', 'repo1-block': 'y' } },
  ] as const;

  let cluster: TestCluster;
  let archiver: Archiver;
  beforeAll(async () => {
    cluster = await TestCluster.create();
    archiver = new Archiver(cluster);
    await cluster.start();
    await cluster.sql('create table t as select i, md5(i::text) from generate_series(1, 20000) i');
  });
  afterAll(() => cluster?.dispose());

  test.for(layouts)('$name: sound, then with a bit turned, then with files gone', async ({ name, options }) => {
    const stanza = new TestStanza(cluster, name, options);
    archiver.use(stanza, project.command);
    await stanza.run(project.command, 'stanza-create');
    await stanza.run(project.command, 'backup', '--type=full');
    archiver.pause();
    const check = () => stanza.run(project.command, 'verify', '--output=text', '--verbose');
    const sound = await check();
    expect(sound).toMatch(
      /^stanza: demo\nstatus: ok\n {2}archiveId: .*, total WAL checked: (\d+), total valid WAL: \1\n/,
    );
    expect(sound).toMatch(/status: valid, total files checked: (\d{3,4}), total valid files: \1\n/);

    const files = readdirSync(stanza.repo, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name));
    const stored = files.find(file => /\/bundle\/\d+$|pg_data\/base\/\d+\/1259/.test(file)) ?? '';
    const segment = files.find(file => /\/[0-9A-F]{24}-[0-9a-f]{40}/.test(file)) ?? '';
    for (const file of [stored, segment]) {
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      writeFileSync(file, bytes);
    }
    const damaged = await check();
    expect(damaged).toMatch(/^stanza: demo\nstatus: error\n/);
    const one =
      /missing: 0, (checksum invalid: 1, size invalid: 0, other: 0|checksum invalid: 0, size invalid: 0, other: 1)\n/g;
    expect(damaged.match(one)).toHaveLength(2);
    const [, total, valid] = /total files checked: (\d+), total valid files: (\d+)/.exec(damaged) ?? [];
    expect(Number(total) - Number(valid)).toBe(1);

    rmSync(stored);
    rmSync(segment);
    const gone = await check();
    expect(gone).toMatch(
      /status: invalid, .*\n {4}missing: [1-9]\d*, checksum invalid: 0, size invalid: 0, other: 0\n/,
    );
    expect(gone).toMatch(/archiveId: .*, total WAL checked: (\d+), total valid WAL: \1\n/);
  });
});
