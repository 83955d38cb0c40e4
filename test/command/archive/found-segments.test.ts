/** What a background push finds in a repository before it writes there. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findSegments } from '../../../src/command/archive/found-segments.ts';
import type { PushTarget } from '../../../src/command/archive/push-target.ts';
import { sizesOf } from '../../../src/command/archive/ready-files.ts';
import type { ArchiveId } from '../../../src/repo/history.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';

const segment = '000000010000000000000004';
let root: string;
let target: PushTarget;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-found-'));
  const storage = openPosixStorage({ label: 'repo1', base: root });
  target = {
    repo: new StanzaRepo({ key: 1, type: 'posix', path: root }, storage, 'demo'),
    archiveId: '15-1' as ArchiveId,
  };
  const folder = join(root, 'archive/demo/15-1', segment.slice(0, 16));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${segment}-${'a'.repeat(40)}.lz4`), '');
  writeFileSync(join(root, 'archive/demo/archive.info.copy'), '');
});
afterEach(() => rmSync(root, { recursive: true }));

test('a segment is found by one list of its directory', async () => {
  const found = await findSegments(target, [segment, '000000010000000000000005']);
  expect(found.get(segment)).toMatchObject({ segment, compression: 'lz4' });
  expect(found.get('000000010000000000000005')).toBeUndefined();
});

test('a repository that is gone is not written to as if it were new', async () => {
  rmSync(join(root, 'archive'), { recursive: true });
  await expect(findSegments(target, [segment])).rejects.toMatchObject({ kind: 'file-missing' });
});

test('the size of segments is that of one that is there', () => {
  writeFileSync(join(root, '000000010000000000000006'), Buffer.alloc(1000));
  const names = ['000000010000000000000005', '000000010000000000000006', '000000010000000000000007'];
  expect(sizesOf(root, names).segment).toBe(1000);
});
