import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock } from '../../../src/base/lock.ts';
import * as info from '../../../src/command/info/index.ts';
import { encodeArchiveInfo } from '../../../src/repo/archive-info.ts';
import { encodeBackupInfo } from '../../../src/repo/backup-info.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';
import { type CommandResult, runCommand } from '../../support/command-run.ts';
import { expected, labels, layOutRepo } from './fixture.ts';

let root: string;
let repo: string;
let zone: string | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'info-'));
  repo = join(root, 'repo');
  layOutRepo(repo);
  zone = process.env.TZ;
  process.env.TZ = 'UTC';
});

afterEach(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
  rmSync(root, { recursive: true });
});

const run = (args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
  runCommand(info, ['info', `--repo1-path=${repo}`, `--lock-path=${join(root, 'lock')}`, ...args], environment);

/** The one stanza of the JSON form. */
async function runJson(args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) {
  const { output, error } = await run(['--output=json', ...args], environment);
  expect(error).toBeUndefined();
  return JSON.parse(output);
}

const infoFile = (kind: 'archive' | 'backup', copy = ''): string => join(repo, kind, 'demo', `${kind}.info${copy}`);

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

describe('a repository that the real tool wrote', () => {
  it('is told byte for byte as the real tool told it', async () => {
    expect((await run()).output).toBe(expected('info.txt'));
    expect((await run(['--output=json'])).output).toBe(expected('info.json'));
    expect((await run(['--stanza=demo', '--repo=1'])).output).toBe(expected('info.txt'));
  });

  it.each(labels)('set %s is told byte for byte', async label => {
    expect((await run(['--stanza=demo', `--set=${label}`])).output).toBe(expected(`info-${label}.txt`));
  });

  it('has in the JSON of a set what only the manifest knows', async () => {
    const [stanza] = await runJson(['--stanza=demo', `--set=${labels[0]}`]);
    expect(stanza.backup).toHaveLength(1);
    expect(stanza.backup[0]).toMatchObject({
      'database-ref': [{ name: 'postgres', oid: 5 }],
      link: null,
      tablespace: [{ destination: '/var/lib/postgresql/15/golden_ts', name: 'ts1', oid: 16384 }],
    });
    expect(stanza.backup[0]).not.toHaveProperty('error-list');
  });

  it('keeps 64-bit system ids exact', async () => {
    expect((await run(['--output=json'])).output).toContain('"system-id":7710459850167362506,');
  });

  it('shows backups of one type', async () => {
    const [stanza] = await runJson(['--type=diff']);
    expect(stanza.backup.map((backup: { label: string }) => backup.label)).toEqual([labels[1]]);
    expect(stanza.status.code).toBe(0);
  });

  it('shows local times with their offset', async () => {
    process.env.TZ = 'Asia/Kathmandu';
    expect((await run()).output).toContain(
      'timestamp start/stop: 2026-11-21 09:07:10+05:45 / 2026-11-21 09:07:11+05:45\n',
    );
  });
});

describe('status', () => {
  const statusText = (output: string): string => output.split('\n')[1] ?? '';

  it('an empty repository has no stanzas', async () => {
    rmSync(repo, { recursive: true });
    expect((await run()).output).toBe('No stanzas exist in the repository.\n');
    expect(await runJson()).toEqual([]);
  });

  it('1: a stanza that is not there', async () => {
    expect((await run(['--stanza=nope'])).output).toBe('stanza: nope\n    status: error (missing stanza path)\n');
    const [stanza] = await runJson(['--stanza=nope']);
    expect(stanza.status).toMatchObject({ code: 1, message: 'missing stanza path' });
    expect(stanza.repo).toEqual([{ cipher: 'none', key: 1, status: { code: 1, message: 'missing stanza path' } }]);
  });

  it('2: no backups', async () => {
    const db = {
      id: 1,
      version: '15',
      systemId: 7710459850167362506n,
      catalogVersion: 202209061,
      controlVersion: 1300,
    };
    writeFileSync(infoFile('backup'), encodeBackupInfo({ currentId: 1, history: [db], backups: [] }, '2.59.1'));
    expect((await run()).output).toBe(
      [
        'stanza: demo',
        '    status: error (no valid backups)',
        '    cipher: none',
        '',
        '    db (current)',
        '        wal archive min/max (15): 000000010000000000000001/000000010000000000000008',
        '',
      ].join('\n'),
    );
  });

  it('3: a directory without info files', async () => {
    mkdirSync(join(repo, 'backup', 'empty'));
    const { output } = await run();
    expect(output).toBe(
      `${expected('info.txt')}\nstanza: empty\n    status: error (missing stanza data)\n    cipher: none\n`,
    );
  });

  it.each([labels[0].replace('F', 'X'), '20200101-000000F', '../../demo'])('6: set %j is nowhere', async set => {
    const [stanza] = await runJson(['--stanza=demo', `--set=${set}`]);
    expect(stanza.status).toMatchObject({ code: 6, message: 'requested backup not found' });
    expect(stanza).toMatchObject({ archive: [], backup: [], db: [] });
  });

  it('99: backup.info without archive.info', async () => {
    rmSync(join(repo, 'archive'), { recursive: true });
    const { output, error } = await run();
    expect(error).toBeUndefined();
    const lines = output.split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'stanza: demo',
      '    status: error (other)',
      `            [FileMissingError] unable to load info file '${infoFile('archive')}' or '${infoFile('archive', '.copy')}':`,
    ]);
    expect(lines.at(-2)).toBe('    cipher: none');
  });

  it('99: an archive that belongs to another cluster; the databases before stay in the answer', async () => {
    writeFileSync(
      infoFile('archive'),
      encodeArchiveInfo({ currentId: 1, history: [{ id: 1, version: '15', systemId: 7n }] }, '2.59.1'),
    );
    const [stanza] = await runJson();
    expect(stanza.repo[0].status).toEqual({
      code: 99,
      message:
        "[ArchiveMismatchError] unable to retrieve the archive id for database version '15' and system-id '7710459850167362506'",
    });
    expect(stanza.backup).toEqual([]);
  });

  it('99: a repository that cannot be listed is a stanza named [invalid]', async () => {
    rmSync(join(repo, 'backup'), { recursive: true });
    writeFileSync(join(repo, 'backup'), 'a file where a directory should be');
    const { output } = await run();
    expect(output).toMatch(/^stanza: \[invalid\]\n {4}status: error \(other\)\n {12}\[PathOpenError\] unable to list /);
    const [named] = await runJson(['--stanza=demo']);
    expect(named).toMatchObject({ name: 'demo', status: { code: 99, message: 'other' } });
  });

  it('99: a kind of storage that cannot be opened', async () => {
    const { output } = await run(['--repo1-host=elsewhere']);
    expect(output).toMatch(/^stanza: \[invalid\]\n {4}status: error \(other\)\n/);
  });

  it('--detail-level=progress tells the status alone, without reading info files', async () => {
    writeFileSync(infoFile('backup'), 'broken');
    writeFileSync(infoFile('backup', '.copy'), 'broken');
    expect((await run(['--detail-level=progress'])).output).toBe('stanza: demo\n    status: ok\n');
    expect(await runJson(['--detail-level=progress'])).toEqual([
      {
        name: 'demo',
        status: { code: 0, lock: { backup: { held: false }, restore: { held: false } }, message: 'ok' },
      },
    ]);
  });

  it('--detail-level=progress excludes --set', async () => {
    const { error } = await run(['--stanza=demo', `--set=${labels[0]}`, '--detail-level=progress']);
    expect(error).toMatchObject({
      kind: 'option-invalid',
      message: "option 'set' cannot be used with option 'detail-level' = 'progress'",
    });
  });

  it('--set needs --stanza', async () => {
    expect((await run([`--set=${labels[0]}`])).error?.kind).toBe('option-invalid');
  });

  it('goes by whatever stanza is asked for', async () => {
    layOutRepo(repo, 'second');
    expect((await run()).output).toBe(
      `${expected('info.txt')}\n${expected('info.txt').replace('stanza: demo', 'stanza: second')}`,
    );
    expect((await run(['--stanza=second'])).output).toBe(
      expected('info.txt').replace('stanza: demo', 'stanza: second'),
    );
    expect(statusText((await run(['--stanza=second'])).output)).toBe('    status: ok');
  });
});

describe('damage', () => {
  // spread over the file: header, entries, checksum
  it.each([3, 40, 200, 1500, 2600])('byte %i of backup.info is wrong: its copy is used', async at => {
    flipByte(infoFile('backup'), at);
    expect((await run()).output).toBe(expected('info.txt'));
  });

  it.each(['archive', 'backup'] as const)('%s.info is gone: its copy is used', async kind => {
    rmSync(infoFile(kind));
    expect((await run()).output).toBe(expected('info.txt'));
  });

  it('both copies of backup.info are wrong: both are told of', async () => {
    flipByte(infoFile('backup'), 200);
    writeFileSync(infoFile('backup', '.copy'), '');
    const [stanza] = await runJson();
    const { code, message } = stanza.repo[0].status;
    expect(code).toBe(99);
    expect(message).toMatch(
      /^\[ChecksumError\] unable to load info file '.*backup\.info' or '.*backup\.info\.copy':\n/,
    );
    expect(message).toMatch(/\nChecksumError: invalid checksum, actual '[0-9a-f]{40}' but expected '[0-9a-f]{40}'\n/);
    expect(stanza).toMatchObject({ archive: [], backup: [], db: [], status: { code: 99, message: 'other' } });
  });

  it('a manifest with two bad copies spoils the set, not the list', async () => {
    const path = join(repo, 'backup', 'demo', labels[0], 'backup.manifest');
    writeFileSync(path, readFileSync(path).subarray(0, 1000));
    copyFileSync(path, `${path}.copy`);
    const [stanza] = await runJson(['--stanza=demo', `--set=${labels[0]}`]);
    expect(stanza.repo[0].status.message).toMatch(/^\[FormatError\] unable to load info file '.*backup\.manifest'/);
    expect((await run()).output).toBe(expected('info.txt'));
  });
});

describe('an encrypted repository', () => {
  const secret = { PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc', PGBACKREST_REPO1_CIPHER_PASS: 'sekret' };

  beforeEach(async () => {
    const plain = { key: 1, type: 'posix', path: repo } as const;
    const from = new StanzaRepo(plain, await openRepoStorage(plain), 'demo');
    const to = new StanzaRepo({ ...plain, cipherPass: 'sekret' }, from.storage, 'demo');
    const [archive, backup] = [await from.loadArchiveInfo(), await from.loadBackupInfo()];
    const manifest = await from.loadManifest(labels[0] as never, undefined);
    await to.saveArchiveInfo({ ...archive, cipherPass: 'sub archive' }, '2.59.1');
    await to.saveBackupInfo({ ...backup, cipherPass: 'sub backup' }, '2.59.1');
    await to.writeManifest(manifest, `/backup/demo/${labels[0]}/backup.manifest`, 'sub backup', '2.59.1');
  });

  it('is told with its cipher, and its manifests with the key that backup.info has for them', async () => {
    const cipher = (text: string) => text.replace('cipher: none', 'cipher: aes-256-cbc');
    expect((await run([], secret)).output).toBe(cipher(expected('info.txt')));
    const set = await run(['--stanza=demo', `--set=${labels[0]}`], secret);
    expect(set.output).toBe(cipher(expected(`info-${labels[0]}.txt`)));
  });

  it('with another passphrase: status 99, nothing of the content, no passphrase', async () => {
    const { output, error } = await run([], { ...secret, PGBACKREST_REPO1_CIPHER_PASS: 'not it' });
    expect(error).toBeUndefined();
    expect(output).toMatch(
      /^stanza: demo\n {4}status: error \(other\)\n {12}\[(Crypto|Format)Error\] unable to load info/,
    );
    expect(output).toContain('passphrase');
    expect(output).not.toMatch(/not it|sekret|sub backup/);
  });

  it('without a passphrase: status 99', async () => {
    const [stanza] = await runJson();
    expect(stanza.repo[0].status).toMatchObject({ code: 99, message: expect.stringContaining('unable to load info') });
    // what the message quotes of the file is nothing for a terminal
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
    expect((await run()).output).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('several repositories', () => {
  let second: string;
  const two = (args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) =>
    run([`--repo2-path=${second}`, ...args], environment);

  beforeEach(() => {
    second = join(root, 'second');
  });

  it('one holds the stanza, the other does not: the status is mixed', async () => {
    const { output } = await two();
    expect(output).toMatch(
      /^stanza: demo\n {4}status: mixed\n {8}repo1: ok\n {8}repo2: error \(missing stanza path\)\n {4}cipher: none\n/,
    );
    expect((await two(['--repo=2', '--stanza=demo'])).output).toBe(
      'stanza: demo\n    status: error (missing stanza path)\n',
    );
    expect((await two(['--repo=1'])).output).toBe(expected('info.txt'));
  });

  it('both hold it: backups stand in the order they ended, each with its repository', async () => {
    layOutRepo(second);
    const { output } = await two();
    expect(output).toMatch(/^stanza: demo\n {4}status: ok\n/);
    expect(output.match(/ {12}repo[12]: backup set/g)?.map(line => line.trim().slice(0, 5))).toEqual([
      ...['repo1', 'repo2', 'repo1', 'repo2', 'repo1', 'repo2'],
    ]);
    expect(output.match(/wal archive min\/max/g)).toHaveLength(1);
  });

  it('one is broken: the other is told, with the error of the first', async () => {
    layOutRepo(second);
    writeFileSync(join(second, 'backup/demo/backup.info'), 'x\n');
    writeFileSync(join(second, 'backup/demo/backup.info.copy'), 'x\n');
    const { output } = await two();
    expect(output).toMatch(
      /^stanza: demo\n {4}status: mixed\n {8}repo1: ok\n {8}repo2: error \(other\)\n {15}\[FormatError\] unable to load/,
    );
    expect(output).toContain('full backup: 20261121-032210F');
  });

  it('one cannot be listed: its error stands at every stanza', async () => {
    writeFileSync(second, '');
    const { output } = await two();
    expect(output).toMatch(/status: mixed\n {8}repo1: ok\n {8}repo2: error \(other\)\n {15}\[PathOpenError\]/);
  });

  it('another cluster in the second: 5, database mismatch', async () => {
    layOutRepo(second);
    const db = { id: 1, version: '16', systemId: 99n, catalogVersion: 202307071, controlVersion: 1300 };
    writeFileSync(
      join(second, 'archive/demo/archive.info'),
      encodeArchiveInfo({ currentId: 1, history: [db] }, '2.59.1'),
    );
    writeFileSync(
      join(second, 'backup/demo/backup.info'),
      encodeBackupInfo({ currentId: 1, history: [db], backups: [] }, '2.59.1'),
    );
    const { output } = await two();
    expect(output).toMatch(
      /^stanza: demo\n {4}status: error \(database mismatch across repos\)\n {8}repo1: ok\n {8}repo2: error \(no valid backups\)\n/,
    );
  });

  it('different ciphers: mixed, with one line for each', async () => {
    const { output } = await two([], {
      PGBACKREST_REPO2_CIPHER_TYPE: 'aes-256-cbc',
      PGBACKREST_REPO2_CIPHER_PASS: 'x',
    });
    expect(output).toContain('    cipher: mixed\n        repo1: none\n        repo2: aes-256-cbc\n');
  });

  it('a set in one of them only is shown from there', async () => {
    layOutRepo(second);
    renameSync(join(second, 'backup/demo', labels[2]), join(root, 'elsewhere'));
    const [stanza] = await runJson([`--repo2-path=${second}`, '--stanza=demo', `--set=${labels[2]}`]);
    const shown = stanza.backup.filter((backup: object) => 'database-ref' in backup);
    expect(shown.map((backup: { database: object }) => backup.database)).toEqual([{ id: 1, 'repo-key': 1 }]);
  });
});

describe('locks', () => {
  const lock = (name: string) => acquireLock(join(root, 'lock', name), '4711-0123abcd');

  it('a backup is told with its progress, as long as it holds the lock', async () => {
    const held = lock('demo-backup-1.lock');
    try {
      expect((await run()).output).toContain('    status: ok (backup/expire running)\n');
      held.note({ percentComplete: 3346, size: 3000, sizeComplete: 1004 });
      expect((await run()).output).toContain('    status: ok (backup/expire running - 33.47% complete)\n');
      const [stanza] = await runJson();
      expect(stanza.status.lock).toEqual({
        backup: { held: true, repo: [{ key: 1, size: 3000, 'size-cplt': 1004 }], size: 3000, 'size-cplt': 1004 },
        restore: { held: false },
      });
      expect((await run(['--detail-level=progress'])).output).toBe(
        'stanza: demo\n    status: ok (backup/expire running - 33.47% complete)\n',
      );
    } finally {
      held.release();
    }
    expect((await run()).output).toBe(expected('info.txt'));
  });

  it('backup and restore at once', async () => {
    const [backup, restore] = [lock('demo-backup-1.lock'), lock('demo-restore-1.lock')];
    try {
      restore.note({ percentComplete: 10000, size: 10, sizeComplete: 10 });
      expect((await run()).output).toContain(
        '    status: ok (backup/expire running, restore running - 100.00% complete)\n',
      );
      const [stanza] = await runJson();
      expect(stanza.status.lock).toEqual({
        backup: { held: true },
        restore: { held: true, size: 10, 'size-cplt': 10 },
      });
    } finally {
      backup.release();
      restore.release();
    }
  });

  it('backups to two repositories are told one by one', async () => {
    const [first, second] = [lock('demo-backup-1.lock'), lock('demo-backup-2.lock')];
    try {
      first.note({ percentComplete: 5000, size: 100, sizeComplete: 50 });
      second.note({ percentComplete: 2500, size: 100, sizeComplete: 25 });
      layOutRepo(join(root, 'second'));
      const { output } = await run([`--repo2-path=${join(root, 'second')}`]);
      expect(output).toContain(
        [
          '    status: ok (backup/expire running - 37.50% complete)',
          '        repo1 backup: 50.00% complete',
          '        repo2 backup: 25.00% complete',
          '    cipher: none',
        ].join('\n'),
      );
    } finally {
      first.release();
      second.release();
    }
  });

  it('the lock of an older release has no repository in its name', async () => {
    const held = lock('demo-backup.lock');
    try {
      held.note({ percentComplete: 1250, size: 0, sizeComplete: 0 });
      expect((await run()).output).toContain('    status: ok (backup/expire running - 12.50% complete)\n');
    } finally {
      held.release();
    }
  });

  it('a file that nobody holds, or of another stanza, is no lock', async () => {
    mkdirSync(join(root, 'lock'));
    writeFileSync(join(root, 'lock', 'demo-backup-1.lock'), '{"execId":"1-12345678","pid":1}');
    const held = lock('other-backup-1.lock');
    try {
      expect((await run()).output).toBe(expected('info.txt'));
    } finally {
      held.release();
    }
  });

  it('a lock that is held but says nothing (yet) still counts', async () => {
    const held = lock('demo-restore-1.lock');
    try {
      writeFileSync(join(root, 'lock', 'demo-restore-1.lock'), '{"exec');
      expect((await run()).output).toContain('    status: ok (restore running)\n');
    } finally {
      held.release();
    }
  });
});
