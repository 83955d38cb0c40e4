/** repo-ls, repo-get, repo-put, repo-rm and manifest of the built program, on what others and we wrote. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryFolder, TestCluster } from '../support/cluster.ts';
import { GoldenRepo, golden } from '../support/golden-repo.ts';
import { TestStanza } from '../support/stanza.ts';
import { type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const { full, diff, incr } = golden;
let project: RunnableProject;
let work: string;
let repo: GoldenRepo;
let cluster: TestCluster;
let stanza: TestStanza;

beforeAll(async () => {
  project = runnableProject(user);
  work = makeTemporaryFolder(user, 'repo-');
  repo = new GoldenRepo(join(work, 'golden'));
  cluster = await TestCluster.create();
  stanza = new TestStanza(cluster, 'encrypted', {
    'compress-type': 'gz',
    'repo1-bundle': 'y',
    'repo1-block': 'y',
    'repo1-cipher-type': 'aes-256-cbc',
    'repo1-cipher-pass': 'main pass',
  });
  await stanza.run(project.command, 'stanza-create', '--no-online');
  await stanza.run(project.command, 'backup', '--no-online', '--type=full');
});
afterAll(async () => {
  await cluster?.dispose();
  rmSync(work, { recursive: true, force: true });
  project.remove();
});

const run = (...args: string[]): Promise<RunResult> => repo.run(project.command, args);
const sha1 = (text: string | Uint8Array): string => createHash('sha1').update(text).digest('hex');

describe('repo-ls', () => {
  const ls = async (...args: string[]) => (await run('repo-ls', ...args)).stdout;

  test('tells all of a directory as 2.59.1 did', async () => {
    // of its repo-ls.json, the part below the path; the times are those of tar, which keeps equal files as one
    const list = await ls('--recurse', '--output=json', `backup/demo/${diff}`);
    expect(sha1(list.replace(/,"time":1795231\d{3}/g, ''))).toBe('7408da8a74c7d58fa4f651ef159e99257a3c33c3');
  });

  test('names in order, one level or all', async () => {
    expect(await ls()).toBe('archive\nbackup\n');
    expect(await ls('--sort=desc')).toBe('backup\narchive\n');
    expect((await ls('--sort=none')).split('\n').sort()).toEqual(['', 'archive', 'backup']);
    expect(await ls('archive', '--recurse')).toMatch(/^demo\ndemo\/15-1\ndemo\/15-1\/0000000100000000\n/);
    expect(await ls('archive', '--recurse', '--sort=desc')).toMatch(
      /\ndemo\/15-1\/0000000100000000\ndemo\/15-1\ndemo\n$/,
    );
    expect(await ls(`${repo.path}/backup/demo/`)).toBe(
      `${full}\n${diff}\n${incr}\nbackup.info\nbackup.info.copy\nlatest\n`,
    );
  });

  test('filters whole names below the path', async () => {
    expect(await ls('--recurse', '--filter=archive\\.info$')).toBe('archive/demo/archive.info\n');
    expect(await ls('backup/demo', '--filter=^[[:digit:]]{8}-[[:digit:]]{6}F$')).toBe(`${full}\n`);
    expect((await run('repo-ls', '--filter=(')).code).toBe(29);
  });

  test('files, links, and what is not there', async () => {
    expect(await ls('archive/demo/archive.info')).toBe('.\n');
    expect(await ls('archive/demo/archive.info', '--output=json')).toMatch(
      /^\{"\.":\{"type":"file","size":255,"time":1795231\d{3}\}\}\n$/,
    );
    expect(await ls('backup/demo', '--filter=latest', '--output=json')).toBe(
      `{"latest":{"type":"link","destination":"${incr}"}}\n`,
    );
    expect(await ls('nowhere')).toBe('');
    expect(await ls('nowhere', '--output=json')).toBe('{".":{"type":"path"}}\n');
    expect((await run('repo-ls', 'archive/demo/archive.info/x')).code).toBe(53);
  });

  test('only what is in the repository', async () => {
    for (const path of ['a//b', '/etc', '../x', 'archive/../..']) expect((await run('repo-ls', path)).code).toBe(96);
    const two = await run('repo-ls', 'archive', 'backup');
    expect(two.code).toBe(96);
    expect(two.stdout).toContain('only one path may be specified');
  });
});

describe('repo-get', () => {
  test('gives a file as it is', async () => {
    expect((await run('repo-get', 'archive/demo/archive.info')).stdout).toBe(
      repo.read('archive/demo/archive.info').toString(),
    );
    expect((await run('repo-get', 'backup/demo/latest/backup.manifest')).stdout).toBe(
      repo.read(`backup/demo/${incr}/backup.manifest`).toString(),
    );
  });

  test('says when there is none', async () => {
    const missing = await run('repo-get', 'archive/demo/nothing');
    expect(missing.code).toBe(55);
    expect(missing.stdout).toContain("unable to open missing file '");
    expect(await run('repo-get', '--ignore-missing', 'archive/demo/nothing')).toMatchObject({ code: 1, stdout: '' });
    expect((await run('repo-get')).code).toBe(43);
    expect((await run('repo-get', 'a', 'b')).code).toBe(43);
  });

  test('a reader that goes away is no failure', async () => {
    const path = `archive/demo/15-1/0000000100000000/${repo.names(golden.wal).find(name => name.startsWith('000000010000000000000007-'))}`;
    const command = [
      ...project.command,
      '--no-config',
      `--repo1-path=${repo.path}`,
      'repo-get',
      '--buffer-size=16KiB',
      path,
    ];
    const result = await runAs(user, [
      'bash',
      '-c',
      `${command.map(word => `'${word}'`).join(' ')} | head -c 2; echo " $\{PIPESTATUS[0]}"`,
    ]);
    expect(result.stdout).toMatch(/ 0\n$/);
    expect(result.stderr).toBe('');
  });
});

describe('an encrypted repository', () => {
  const get = (path: string, ...options: string[]) => stanza.run(project.command, 'repo-get', ...options, path);
  let label: string;
  beforeAll(async () => {
    label = await stanza.latest(project.command);
  });

  test('gives files with the passphrase of their place', async () => {
    expect(await get('archive/demo/archive.info')).toContain('\n[cipher]\ncipher-pass="');
    expect(await get('backup/demo/backup.info.copy')).toContain('[backup:current]');
    expect(await get(`backup/demo/${label}/backup.manifest`)).toContain('[target:file]');
    const [year] = readdirSync(join(stanza.repo, 'backup/demo/backup.history'));
    const path = `backup/demo/backup.history/${year}/${label}.manifest.gz`;
    const file = join(stanza.folder, 'history.gz');
    const words = stanza.commandLine(project.command, 'repo-get', path).map(word => `'${word}'`);
    expect((await runAs(user, ['sh', '-c', `${words.join(' ')} > ${file}`])).code).toBe(0);
    expect(gunzipSync(readFileSync(file)).toString()).toContain('[target:file]');
  });

  test('takes files with it, and gives them back', async () => {
    for (const path of [
      'archive/demo/15-1/00000002.history',
      `backup/demo/${label}/pg_data/extra`,
      'backup/demo/backup.info.copy',
    ]) {
      const text = `text for ${path}`;
      expect((await stanza.attempt(project.command, ['repo-put', path], { input: text })).code).toBe(0);
      expect(readFileSync(join(stanza.repo, path)).toString('latin1')).toMatch(/^Salted__/);
      expect(await get(path)).toBe(text);
      expect(await get(path, '--raw')).toMatch(/^Salted__/);
    }
    expect(
      (await stanza.attempt(project.command, ['repo-put', '--raw', 'archive/demo/plain'], { input: 'as it is' })).code,
    ).toBe(0);
    expect(readFileSync(join(stanza.repo, 'archive/demo/plain'), 'utf8')).toBe('as it is');
    const own = ['--cipher-pass=other', 'archive/demo/own'];
    expect((await stanza.attempt(project.command, ['repo-put', ...own], { input: 'ours' })).code).toBe(0);
    expect(await get('archive/demo/own', '--cipher-pass=other')).toBe('ours');
    expect((await stanza.attempt(project.command, ['repo-get', 'archive/demo/own'])).code).toBe(95);
  });

  test('refuses paths that have no passphrase', async () => {
    expect((await stanza.attempt(project.command, ['repo-get', 'archive/x'])).code).toBe(32);
    expect((await stanza.attempt(project.command, ['repo-get', 'archive/other/x'])).code).toBe(32);
    expect((await stanza.attempt(project.command, ['repo-get', 'archive/demo/plain'])).code).toBe(95);
  });

  test('its manifest, with what a restore of a file would read', async () => {
    const manifest = JSON.parse(await stanza.run(project.command, 'manifest', '--output=json'));
    expect(manifest).toMatchObject({ label, type: 'full', bundle: { bundle: true }, block: { block: true } });
    interface File {
      name: string;
      size: number;
      repo: { size: number };
      block?: { size: number; map: { size: number; delta?: unknown } };
    }
    const file = (manifest.fileList as File[]).find(({ block, size }) => (block?.map.size ?? 0) > 0 && size > 100_000);
    if (file?.block === undefined) throw new Error('no block-incremental file');
    const one = JSON.parse(await stanza.run(project.command, 'manifest', '--output=json', `--filter=${file.name}`));
    const blocks = Math.ceil(file.size / file.block.size);
    expect(one.fileList[0].block.map.delta).toEqual([
      {
        reference: 0,
        read: { total: 1, size: file.repo.size - file.block.map.size },
        superBlock: { total: expect.any(Number), size: file.size },
        block: { total: blocks },
      },
    ]);
    const same = await stanza.run(project.command, 'manifest', '--pg=1', '--output=json', `--filter=${file.name}`);
    expect(JSON.parse(same).fileList[0].block.map.delta).toBeNull();
    expect(await stanza.run(project.command, 'manifest', '--pg=1', `--filter=${file.name}`)).toContain(
      '      block delta: file is up-to-date\n',
    );
    // one block of it changes on disk
    const path = join(cluster.dataDirectory, file.name.slice('pg_data/'.length));
    const other = join(work, 'pg2');
    mkdirSync(join(other, file.name.slice('pg_data/'.length), '..'), { recursive: true });
    const bytes = readFileSync(path);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    repo.write(join('..', '..', 'pg2', file.name.slice('pg_data/'.length)), bytes);
    const changed = await stanza.run(
      project.command,
      'manifest',
      '--pg=1',
      `--pg1-path=${other}`,
      `--filter=${file.name}`,
    );
    expect(changed).toContain(', block: 1/8KB\n        total read: 1/');
  });
});

describe('manifest', () => {
  test.for([
    [full, 'aef6cd143bca3ac20f3451c127dcef5aa84c57c6'],
    [diff, '3381ae922f3eec88319f9f40ea000bd3277363cd'],
    [incr, '39ca9976cccf931fd13aae5e2af2e882d9580cf8'],
  ] as const)('of %s is byte for byte what 2.59.1 printed', async ([label, checksum]) => {
    const { stdout } = await run('manifest', '--stanza=demo', '--output=json', `--set=${label}`);
    expect(sha1(stdout)).toBe(checksum);
  });

  test('as text: the latest one, files of one reference', async () => {
    const { stdout } = await run('manifest', '--stanza=demo');
    expect(stdout).toMatch(
      /^label: 20261121-032210F_20261121-032212I\nreference: .*F, .*D, .*I\ntype: incr\ntime: start: .*, stop: .*, duration: 0:00:01\nbundle: false\nblock: false\n\nfile list:\n {2}- pg_data\/PG_VERSION\n {6}reference: 20261121-032210F\n {6}size: 3B, repo 23B\n {6}checksum: 587b596f04f7db9c2cad3d6b87dd2b3a05de4f35\n\n/,
    );
    const counts = await Promise.all(
      ['latest', full, diff].map(async reference => {
        const { stdout } = await run('manifest', '--stanza=demo', `--reference=${reference}`);
        return stdout.split('\n').filter(line => line.startsWith('  - ')).length;
      }),
    );
    expect(counts.every(count => count > 0)).toBe(true);
    expect(counts.reduce((a, b) => a + b)).toBe(975);
  });

  test('one file of it, or none', async () => {
    const one = await run('manifest', '--stanza=demo', '--filter=pg_data/PG_VERSION', '--output=json');
    expect(JSON.parse(one.stdout).fileList).toHaveLength(1);
    const none = await run('manifest', '--stanza=demo', '--filter=pg_data/nothing');
    expect(none.code).toBe(55);
    expect(none.stdout).toMatch(/^P00 {2}ERROR: \[055\]: unable to find 'pg_data\/nothing' in the manifest of backup/);
    expect((await run('manifest', '--stanza=demo', '--set=x')).code).toBe(55);
    expect((await run('manifest', '--stanza=demo', '--set=20200101-000000F')).code).toBe(55);
  });
});

describe('repo-rm', () => {
  test('a file, an empty directory, a link, and a directory when told to', async () => {
    repo.write('extra/deep/file', 'x');
    repo.write('extra/file', 'x');
    symlinkSync('deep', join(repo.path, 'extra/link'));
    const rm = async (...args: string[]) => (await run('repo-rm', ...args)).code;
    expect(await rm('extra')).toBe(31);
    expect(await rm('extra/file')).toBe(0);
    expect(await rm('extra/file')).toBe(0);
    expect(await rm('extra/link', '--recurse')).toBe(0);
    expect(repo.names('extra/deep')).toEqual(['file']);
    expect(await rm('extra/deep/file')).toBe(0);
    expect(await rm('extra/deep')).toBe(0);
    repo.write('extra/more/file', 'x');
    expect(await rm('extra', '--recurse')).toBe(0);
    expect(repo.names('')).toEqual(['archive', 'backup']);
    expect(await rm()).toBe(43);
    expect(await rm('../golden', '--recurse')).toBe(96);
    expect(await rm('/', '--recurse')).toBe(96);
  });
});
