/** A repository that does not answer is asked last for a while. */
import { expect, test } from 'vitest';
import type { ArchiveSource, FindIn, OpeningSource } from '../../../src/command/archive/archived-file.ts';
import { RepoOrder } from '../../../src/command/archive/repo-order.ts';
import type { ArchiveId } from '../../../src/repo/history.ts';
import type { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { UnreachableError } from '../../../src/storage/unreachable.ts';

const name = '000000010000000000000007';
const clockAt = (seconds: number) => ({ now: () => seconds * 1000, monotonic: () => 0, sleep: async () => undefined });
const source = (key: number): OpeningSource => ({
  key,
  opening: Promise.resolve({ repo: { key, storage: {} } as StanzaRepo, archiveIds: ['15-1' as ArchiveId] }),
});
const down: OpeningSource = {
  key: 1,
  opening: Promise.reject(new UnreachableError('host-connect', 'nobody is there')),
};
down.opening.catch(() => undefined);

const asked: number[] = [];
const has =
  (...keys: number[]): FindIn =>
  async (from: ArchiveSource, archiveId) => {
    asked.push(from.repo.key);
    return keys.includes(from.repo.key) ? [{ source: from, archiveId, path: '/x' }] : [];
  };

test('one that is down is remembered, and is still needed for a proof', async () => {
  const order = new RepoOrder(undefined, clockAt(1000));
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  expect(await order.find([down, source(2)], name, { find: has(2), warn })).toHaveLength(1);
  expect([...order.slow]).toEqual([[1, 1000]]);
  expect(warnings).toHaveLength(2);
  expect(await order.find([down, source(2)], name, { find: has(2), warn })).toHaveLength(1);
  expect(warnings).toHaveLength(2);
  await expect(order.find([down, source(2)], name, { find: has(), warn })).rejects.toMatchObject({
    kind: 'repo-invalid',
  });
});

test.each([
  ['for a while', 1059, [2]],
  ['not for ever', 1061, [1, 2]],
  ['not when the clock was set back', 100, [1, 2]],
])('the next process knows it: %s', async (_, now, expected) => {
  asked.length = 0;
  const order = new RepoOrder(new Map([[1, 1000]]), clockAt(now));
  expect(await order.find([source(1), source(2)], name, { find: has(1, 2), warn: () => undefined })).not.toEqual([]);
  expect(asked).toEqual(expected);
});
