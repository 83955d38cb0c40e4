import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ExpireThreadData } from '../../../src/command/expire/job.ts';
import { removeWithWorker, worthAWorker } from '../../../src/command/expire/remove-trees.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'remove-trees-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const names = Array.from({ length: worthAWorker }, (_, index) => String(index).padStart(16, '0'));

async function remove(paths: readonly string[]): Promise<void> {
  const data: ExpireThreadData = {
    command: 'expire',
    repo: { key: 1, type: 'posix', path: root },
    retry: { count: 0, interval: 0 },
  };
  await removeWithWorker(paths, await openRepoStorage(data.repo), { threadFile: './dist/thread.cjs', data });
}

function fill(): void {
  for (const name of names) {
    mkdirSync(join(root, name, 'deeper'), { recursive: true });
    for (let file = 0; file < 3; file++) writeFileSync(join(root, name, String(file)), 'wal');
    writeFileSync(join(root, name, 'deeper', 'file'), '');
  }
  writeFileSync(join(root, 'stays'), '');
}

test('all directories go, with those that are gone already, and nothing else', async () => {
  fill();
  rmSync(join(root, names[5] ?? ''), { recursive: true });
  await remove(names.map(name => `/${name}`));
  expect(readdirSync(root)).toEqual(['stays']);
});

// the first is removed here, the second in the worker; either may be slower than the other
test.each([0, 1, 20, names.length])('what cannot be removed is told, as number %i too', async at => {
  fill();
  const paths = names.map(name => `/${name}`);
  await expect(remove(paths.toSpliced(at, 0, '/stays/inside'))).rejects.toMatchObject({ kind: 'path-remove' });
  expect(existsSync(join(root, 'stays'))).toBe(true);
});
