/** A service that cannot be asked is an error of verify, and no finding about the files in it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import * as verify from '../../../src/command/verify/index.ts';
import { openVerifyJobs } from '../../../src/command/verify/job.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { UnreachableError } from '../../../src/storage/unreachable.ts';
import { runCommand } from '../../support/command-run.ts';

let root: string;
let repo: Storage;

vi.mock('../../../src/storage/drivers.ts', async original => ({
  ...(await original<object>()),
  openRepoStorage: async () => repo,
}));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-verify-'));
  repo = openPosixStorage({ label: 'repo1', base: root });
  vi.spyOn(repo, 'read').mockImplementation(async () => {
    throw new UnreachableError('host-connect', 'unable to connect');
  });
});
afterEach(() => rmSync(root, { recursive: true }));

test('of its info files', async () => {
  const { error, output } = await runCommand(verify, ['verify', '--stanza=demo', `--repo1-path=${root}`]);
  expect([error?.kind, output]).toEqual(['host-connect', '']);
});

test('of its info files, when it refuses them', async () => {
  vi.mocked(repo.read).mockImplementation(async () => {
    throw new BackstopError('protocol', 'HTTP request failed with 403 (Forbidden)');
  });
  const { error, output } = await runCommand(verify, ['verify', '--stanza=demo', `--repo1-path=${root}`]);
  expect([error?.kind, output]).toEqual(['protocol', '']);
});

test('of all other files, of which not each is asked for', async () => {
  const jobs = await openVerifyJobs({
    command: 'verify',
    repo: { key: 1, type: 'posix', path: root },
    bufferSize: 65_536,
    retry: { count: 0, interval: 0 },
  });
  const tasks = Array.from({ length: 10 }, (_, file) => ({ path: `/${file}`, checksum: 'a'.repeat(40), size: 1 }));
  await expect(jobs['verify-files'](tasks)).rejects.toThrow('unable to connect');
  expect(repo.read).toHaveBeenCalledTimes(1);
});
