import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as create from '../../../src/command/stanza/create.ts';
import { encodeBackupInfo } from '../../../src/repo/backup-info.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';
import { temporarySuffix } from '../../../src/storage/posix/posix-storage.ts';
import { forgeControl } from '../../postgres/forge.ts';
import { type CommandResult, runCommand } from '../../support/command-run.ts';
import { infoFiles as files, systemId, writeControl } from './info-files.ts';

let root: string;
let repo: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'stanza-'));
  repo = join(root, 'repo');
  writeControl(root);
});

afterEach(() => rmSync(root, { recursive: true }));

const run = (args: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
  runCommand(
    create,
    [
      'stanza-create',
      '--no-online',
      '--stanza=demo',
      `--pg1-path=${join(root, 'pg')}`,
      `--repo1-path=${repo}`,
      `--lock-path=${join(root, 'lock')}`,
      ...args,
    ],
    environment,
  );

async function open(path = repo, cipherPass?: string): Promise<StanzaRepo> {
  const settings = { key: 1, type: 'posix', path, ...(cipherPass === undefined ? {} : { cipherPass }) } as const;
  return new StanzaRepo(settings, await openRepoStorage(settings), 'demo');
}

const contents = (): string[] => files.map(file => readFileSync(join(repo, file), 'latin1'));

const again = (file = '') => `INFO: '${join(repo, file)}' was missing, damaged or old: written again from its copy`;
const made = "INFO: stanza-create for stanza 'demo' on repo1";

describe('a new stanza', () => {
  it('gets both info files, each with its copy, of the cluster that pg_control names', async () => {
    expect(await run()).toEqual({ log: [made], output: '', code: undefined });
    const [archive, archiveCopy, backup, backupCopy] = contents();
    expect(archiveCopy).toBe(archive);
    expect(backupCopy).toBe(backup);
    expect(await (await open()).loadArchiveInfo()).toEqual({
      currentId: 1,
      history: [{ id: 1, version: '15', systemId }],
    });
    expect(await (await open()).loadBackupInfo()).toEqual({
      currentId: 1,
      history: [{ id: 1, version: '15', systemId, catalogVersion: 202209061, controlVersion: 1300 }],
      backups: [],
    });
    expect(statSync(join(repo, files[0] ?? '')).mode & 0o777).toBe(0o640 & ~process.umask());
    expect(statSync(join(repo, 'backup/demo')).mode & 0o777).toBe(0o750 & ~process.umask());
  });

  it('takes directories that are there and empty', async () => {
    mkdirSync(join(repo, 'archive', 'demo'), { recursive: true });
    mkdirSync(join(repo, 'backup', 'demo'), { recursive: true });
    expect((await run()).error).toBeUndefined();
    expect(existsSync(join(repo, files[3] ?? ''))).toBe(true);
  });

  it('is made in every repository', async () => {
    const { log } = await run([`--repo2-path=${join(root, 'second')}`]);
    expect(log).toEqual([made, "INFO: stanza-create for stanza 'demo' on repo2"]);
    for (const file of files) expect(readFileSync(join(root, 'second', file))).toEqual(readFileSync(join(repo, file)));
  });

  it('that a killed stanza-create has begun is ended by the next one, wherever it was', async () => {
    const environment = { PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc', PGBACKREST_REPO1_CIPHER_PASS: 'sekret' };
    // in the order in which they come to be
    const order = [0, 2, 1, 3].flatMap(index => files[index] ?? []);
    const half = order.map(file => `${file}.pgbackrest.tmp`);
    for (let done = 0; done <= order.length; done++) {
      rmSync(repo, { recursive: true, force: true });
      expect((await run([], environment)).error).toBeUndefined();
      const key = (await (await open(repo, 'sekret')).loadArchiveInfo()).cipherPass;
      for (const file of order.slice(done)) rmSync(join(repo, file));
      if (half[done] !== undefined) writeFileSync(join(repo, half[done] ?? ''), 'half of i');
      // PostgreSQL archives as soon as it can
      if (done > 0) mkdirSync(join(repo, 'archive/demo/15-1/0000000100000000'), { recursive: true });
      expect((await run([], environment)).error, `after ${done} files`).toBeUndefined();
      const opened = await open(repo, 'sekret');
      const [archive, backup] = [await opened.loadArchiveInfo(), await opened.loadBackupInfo()];
      expect(archive.history).toEqual([{ id: 1, version: '15', systemId }]);
      expect(backup).toMatchObject({ currentId: 1, backups: [] });
      expect(archive.cipherPass).not.toBe(backup.cipherPass);
      // what was archived meanwhile can be read
      if (done > 0) expect(archive.cipherPass).toBe(key);
      for (const file of files) expect(existsSync(join(repo, file)), file).toBe(true);
      for (const file of half) expect(existsSync(join(repo, file)), file).toBe(false);
    }
  });

  it('in an encrypted repository: files nobody can read without the passphrase, with a key for each kind', async () => {
    const environment = { PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc', PGBACKREST_REPO1_CIPHER_PASS: 'sekret' };
    expect((await run([], environment)).error).toBeUndefined();
    for (const content of contents()) expect(content.startsWith('Salted__')).toBe(true);
    expect(contents()[1]).toBe(contents()[0]);
    await expect((await open()).loadArchiveInfo()).rejects.toThrow('unable to load info file');
    await expect((await open(repo, 'other')).loadArchiveInfo()).rejects.toThrow('unable to load info file');
    const opened = await open(repo, 'sekret');
    const [archive, backup] = [await opened.loadArchiveInfo(), await opened.loadBackupInfo()];
    expect(archive.cipherPass).toMatch(/^[A-Za-z0-9+/]{64}$/);
    expect(backup.cipherPass).toMatch(/^[A-Za-z0-9+/]{64}$/);
    expect(new Set([archive.cipherPass, backup.cipherPass, 'sekret']).size).toBe(3);
    // once more, now that it is there
    expect((await run([], environment)).log).toContain("INFO: stanza 'demo' already exists on repo1 and is valid");
    const wrong = await run([], { ...environment, PGBACKREST_REPO1_CIPHER_PASS: 'other' });
    expect(wrong.error?.text).toMatch(/^unable to load info file '.*archive\.info'/);
    expect(['crypto', 'format', 'checksum']).toContain(wrong.error?.kind);
  });

  it.each([
    ['archive', 'archive directory not empty'],
    ['backup', 'backup directory not empty'],
    ['archive backup', 'backup directory and/or archive directory not empty'],
  ])('is refused where something lies already: %s', async (kinds, message) => {
    for (const kind of kinds.split(' ')) {
      mkdirSync(join(repo, kind, 'demo'), { recursive: true });
      writeFileSync(join(repo, kind, 'demo', 'something'), '');
    }
    expect((await run()).error).toMatchObject({ kind: 'path-not-empty', message });
    expect(readdirSync(join(repo, kinds.split(' ')[0] ?? '', 'demo'))).toEqual(['something']);
  });

  it.each([
    ['with nothing but directories', []],
    ['with archive.info', [0]],
    ['with both files', [0, 2]],
    ['with both files and one copy', [0, 2, 1]],
  ])('is finished where another one was stopped: %s', async (_, kept) => {
    expect((await run()).error).toBeUndefined();
    for (const [index, file] of files.entries()) {
      if (!kept.includes(index)) rmSync(join(repo, file));
      writeFileSync(join(repo, `${file}.pgbackrest.tmp`), 'half');
    }
    expect((await run()).error).toBeUndefined();
    const [archive, archiveCopy, backup, backupCopy] = contents();
    expect(archiveCopy).toBe(archive);
    expect(backupCopy).toBe(backup);
    expect(await (await open()).loadBackupInfo()).toMatchObject({ currentId: 1, backups: [] });
  });

  it('that was begun for another cluster, or has lost backup.info, is not finished', async () => {
    const missing = { kind: 'file-missing', message: 'archive.info exists but backup.info is missing on repo1' };
    expect((await run()).error).toBeUndefined();
    for (const file of files.slice(2)) rmSync(join(repo, file));
    expect((await run()).error).toMatchObject(missing);
    for (const file of files.slice(1, 2)) rmSync(join(repo, file));
    writeControl(root, '15', 5n);
    expect((await run()).error).toMatchObject(missing);
    writeControl(root);
    mkdirSync(join(repo, 'backup/demo/20260101-000000F'));
    expect((await run()).error).toMatchObject(missing);
    expect(readdirSync(join(repo, 'backup/demo'))).toEqual(['20260101-000000F']);
  });

  it('cannot be made while the stanza, or every stanza, is stopped', async () => {
    mkdirSync(join(root, 'lock'));
    writeFileSync(join(root, 'lock', 'all.stop'), '');
    expect((await run()).error).toMatchObject({ kind: 'stop', message: 'stop file exists for all stanzas' });
    writeFileSync(join(root, 'lock', 'demo.stop'), '');
    expect((await run()).error).toMatchObject({ kind: 'stop', message: 'stop file exists for stanza demo' });
    expect(existsSync(repo)).toBe(false);
  });

  it.each(['9.6', '18'])('of PostgreSQL %s', async version => {
    writeControl(root, version);
    expect((await run()).error).toBeUndefined();
    expect((await (await open()).loadArchiveInfo()).history[0]?.version).toBe(version);
  });

  it('needs a pg_control that is whole', async () => {
    writeFileSync(join(root, 'pg/global/pg_control'), forgeControl('15').subarray(0, 300));
    expect((await run()).error?.kind).toBe('file-read');
    const bytes = forgeControl('15');
    bytes[60] = 0xff;
    writeFileSync(join(root, 'pg/global/pg_control'), bytes);
    expect((await run()).error?.kind).toBe('checksum');
    rmSync(join(root, 'pg'), { recursive: true });
    expect((await run()).error?.kind).toBe('file-missing');
    expect(existsSync(repo)).toBe(false);
  });

  it('--force is only warned of', async () => {
    expect((await run(['--force'])).log).toEqual(['WARN: option --force is no longer supported', made]);
  });
});

describe('a stanza that exists', () => {
  beforeEach(async () => {
    expect((await run()).error).toBeUndefined();
  });

  it('is left as it is when it is the same cluster', async () => {
    const before = contents();
    expect(await run()).toEqual({
      log: [made, "INFO: stanza 'demo' already exists on repo1 and is valid"],
      output: '',
      code: undefined,
    });
    expect(contents()).toEqual(before);
  });

  it.each(files)('gets %s back from its twin', async file => {
    const before = contents();
    rmSync(join(repo, file));
    expect(await run()).toEqual({ log: [made, again(file)], output: '', code: undefined });
    expect(contents()).toEqual(before);
  });

  it('one of each kind is enough', async () => {
    const before = contents();
    rmSync(join(repo, files[0] ?? ''));
    rmSync(join(repo, files[3] ?? ''));
    expect((await run()).error).toBeUndefined();
    expect(contents()).toEqual(before);
  });

  it.each([
    ['another cluster', '15', 5n],
    ['another version', '16', systemId],
  ])('is not for %s', async (_what, version, id) => {
    const before = contents();
    writeControl(root, version, id);
    expect((await run()).error).toMatchObject({
      kind: 'file-invalid',
      message: 'backup and archive info files exist but do not match the database',
      hints: ['is this the correct stanza?', 'did an error occur during stanza-upgrade?'],
    });
    expect(contents()).toEqual(before);
  });

  it('is refused when the two files disagree', async () => {
    const db = { id: 2, version: '14', systemId: 5n, catalogVersion: 202107181, controlVersion: 1300 };
    const bytes = encodeBackupInfo({ currentId: 2, history: [db], backups: [] }, '1');
    for (const file of files.slice(2)) writeFileSync(join(repo, file), bytes);
    expect((await run()).error?.text).toBe(
      [
        'backup info file and archive info file do not match',
        `archive: id = 1, version = 15, system-id = ${systemId}`,
        'backup : id = 2, version = 14, system-id = 5',
        'HINT: this may be a symptom of repository corruption!',
      ].join('\n'),
    );
  });

  it.each([
    ['archive', 'backup.info exists but archive.info is missing on repo1'],
    ['backup', 'archive.info exists but backup.info is missing on repo1'],
  ])('is refused when one kind is missing: %s', async (kind, message) => {
    rmSync(join(repo, kind, 'demo'), { recursive: true });
    expect((await run()).error).toMatchObject({
      kind: 'file-missing',
      message,
      hints: ['this may be a symptom of repository corruption!'],
    });
  });

  it.each([
    ['its first file was written', [0]],
    ['one file of each kind was written', [0, 2]],
  ])('is completed when its creation was stopped after %s', async (_when, kept) => {
    for (const [index, file] of files.entries()) if (!kept.includes(index)) rmSync(join(repo, file));
    // what was being written then
    writeFileSync(join(repo, `${files[2]}${temporarySuffix}`), 'half');
    writeFileSync(join(repo, `${files[1]}${temporarySuffix}`), 'half');
    const { log, error } = await run();
    expect(error).toBeUndefined();
    // archive.info alone is one that was begun, the others are completed
    expect(log).toEqual(kept.length === 1 ? [made] : [made, again(files[1]), again(files[3])]);
    expect(contents()[1]).toBe(contents()[0]);
    expect(contents()[3]).toBe(contents()[2]);
    const opened = await open();
    expect((await opened.loadArchiveInfo()).history).toMatchObject([{ id: 1, version: '15', systemId }]);
    expect((await opened.loadBackupInfo()).history).toMatchObject([{ id: 1, version: '15', systemId }]);
  });

  it('a flipped byte in one file is made good by its copy, in both it is an error', async () => {
    const flip = (file: string) => {
      const bytes = readFileSync(join(repo, file));
      bytes[60] = (bytes[60] ?? 0) ^ 1;
      writeFileSync(join(repo, file), bytes);
    };
    const before = contents();
    flip(files[0] ?? '');
    expect((await run()).log).toEqual([made, again(files[0])]);
    expect(contents()).toEqual(before);
    flip(files[0] ?? '');
    flip(files[1] ?? '');
    const { error } = await run();
    expect(['checksum', 'format', 'json-format']).toContain(error?.kind);
    expect(error?.message).toMatch(/^unable to load info file '.*archive\.info' or '.*archive\.info\.copy':\n/);
  });

  it('is made in the repository that does not have it yet', async () => {
    const { log } = await run([`--repo2-path=${join(root, 'second')}`]);
    expect(log).toEqual([
      made,
      "INFO: stanza 'demo' already exists on repo1 and is valid",
      "INFO: stanza-create for stanza 'demo' on repo2",
    ]);
    expect(existsSync(join(root, 'second', files[3] ?? ''))).toBe(true);
  });
});
