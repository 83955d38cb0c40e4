/** What a worker of a backup asks of the repository for files that it does not store. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import type { BackupFileTask, BackupThreadData, StoreTask } from '../../../src/command/backup/job.ts';
import { openBackupJobs } from '../../../src/command/backup/worker.ts';
import type { BackupLabel } from '../../../src/repo/label.ts';
import { LockedError } from '../../../src/storage/kept-files.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';

let root: string;
let repo: Storage;

vi.mock('../../../src/storage/drivers.ts', async original => ({
  ...(await original<object>()),
  openRepoStorage: async () => repo,
}));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-worker-'));
  for (const name of ['pg/base/1', 'repo']) mkdirSync(join(root, name), { recursive: true });
  repo = openPosixStorage({ label: 'repo1', base: join(root, 'repo') });
});
afterEach(() => rmSync(root, { recursive: true }));

const label = '20261121-000000F' as BackupLabel;
const content = Buffer.alloc(20_000, 'content');
const checksum = createHash('sha1').update(content).digest('hex');

const open = () => {
  const data: BackupThreadData = {
    command: 'backup',
    repos: [
      {
        repo: { key: 1, type: 'posix', path: join(root, 'repo') },
        stanza: 'demo',
        label,
        compressType: 'none',
        compressLevel: 0,
        bundleRaw: true,
      },
    ],
    clusters: [{ key: 1, path: join(root, 'pg') }],
    bufferSize: 65_536,
    pageSize: 8192,
    pageHeaderCheck: false,
    retry: { count: 0, interval: 0 },
  };
  return openBackupJobs(data);
};

const task = (name: string, store: Partial<StoreTask>): BackupFileTask => ({
  name: `pg_data/base/1/${name}`,
  size: content.length,
  stores: [{ bundleId: 0, ...store }],
});

test('a file that has not changed costs no look at its map in a repository on a disk', async () => {
  writeFileSync(join(root, 'pg/base/1/same'), content);
  const read = vi.spyOn(repo, 'read');
  const jobs = await open();
  const same = task('same', {
    bundleId: 1,
    block: {
      blockSize: 8192,
      checksumSize: 6,
      superBlockSize: 65_536,
      reference: 1,
      priorMap: { path: '/prior/bundle/1', offset: 100, length: 50 },
    },
    prior: { checksum, size: content.length, always: false },
  });
  expect(await jobs['backup-files']({ pgKey: 1, repos: [0], files: [same, same] })).toMatchObject([
    { results: [{ outcome: 'matched' }, { outcome: 'matched' }] },
  ]);
  expect(read).not.toHaveBeenCalled();
});

test('what is left of a file that has vanished stays where it is locked; any other refusal ends the backup', async () => {
  const remove = vi.spyOn(repo, 'remove');
  const jobs = await open();
  const resumed = { checksum, size: content.length, sizeRepo: content.length, checksumRepo: checksum, compare: true };
  const gone = task('gone', { resumed });
  remove.mockRejectedValueOnce(new LockedError('/gone', 1, undefined));
  expect(await jobs['backup-files']({ pgKey: 1, repos: [0], files: [gone] })).toEqual([
    { results: [{ outcome: 'vanished' }] },
  ]);
  expect(remove).toHaveBeenCalledWith(`/backup/demo/${label}/pg_data/base/1/gone`);
  remove.mockRejectedValueOnce(new BackstopError('file-remove', 'unable to remove'));
  await expect(jobs['backup-files']({ pgKey: 1, repos: [0], files: [gone] })).rejects.toThrow('unable to remove');
});
