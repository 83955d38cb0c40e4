/** What our commands say of files and directories of a repository that cannot be synced, closed or removed. */
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { acquireLock } from '../../../src/base/lock.ts';
import { FailingDisk } from '../../command/failing-disk.ts';
import type { OperationKind } from '../../support/sweep/injector.ts';

let bed: FailingDisk;
beforeAll(() => {
  bed = new FailingDisk();
});
beforeEach(() => {
  for (const name of ['archive', 'backup']) rmSync(join(bed.repo, name), { recursive: true, force: true });
});
afterAll(() => bed?.dispose());

it.each<[string, OperationKind, number, string, number, string]>([
  ['a new directory whose parent cannot be opened to be synced', 'open', 1, 'archive', 53, 'open path'],
  ['a directory that cannot be closed after it was synced', 'close', 1, 'archive', 97, 'close path'],
])('%s is an error that names it', async (_what, kind, nth, name, code, said) => {
  const path = join(bed.repo, name);
  const result = await bed.meet({ under: [path], kinds: [kind], nth, fault: 'EIO' }, 'stanza-create');
  expect(result.output).toMatch(
    new RegExp(`ERROR: \\[0${code}\\]: unable to ${said} '${path}.*'.*: \\[5\\] I/o error`),
  );
  expect(result.code).toBe(code);
  await bed.run('stanza-create');
});

it('a file that cannot be closed after it was read is an error that names it', async () => {
  await bed.run('stanza-create');
  const path = join(bed.repo, 'backup/demo/backup.info');
  const failing = { under: [path], kinds: ['close'], nth: 1, fault: 'EIO' } as const;
  const { code, output } = await bed.meet(failing, 'repo-get', 'backup/demo/backup.info');
  expect(output).toContain(`unable to close file '${path}': [5] I/o error`);
  expect(code).toBe(79);
});

it('a lock of somebody else whose file cannot be closed is closed once: its number may be that of another file by then', async () => {
  await bed.run('stanza-create');
  const path = join(bed.locks, 'demo-backup-1.lock');
  const holding = acquireLock(path, '1-ours');
  chmodSync(path, 0o666);
  try {
    const failing = { under: [path], kinds: ['close'], nth: 1, fault: 'EIO' } as const;
    const { code, output, hit } = await bed.meet(failing, 'backup', '--type=full');
    expect(hit?.path).toBe(path);
    expect(output).not.toContain('[9]');
    expect([50, 79]).toContain(code);
  } finally {
    holding.release();
  }
});

it('a file that cannot be removed with its directory is named, and not the directory alone', async () => {
  await bed.run('stanza-create');
  await bed.push('000000010000000000000001');
  await bed.run('stop');
  const under = [join(bed.repo, 'archive/demo/15-1')];
  const failing = { under, kinds: ['remove'], nth: 1, fault: 'EIO' } as const;
  const { code, output, hit } = await bed.meet(failing, 'stanza-delete');
  expect(hit?.path).toContain('/15-1/0000000100000000/000000010000000000000001-');
  expect(output).toContain(`ERROR: [060]: unable to remove file '${hit?.path}': [5] I/o error`);
  expect(code).toBe(60);
  await bed.run('stanza-delete');
  await bed.run('start');
});
