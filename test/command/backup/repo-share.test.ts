/** One repository's part of a job: what is on its way when a job fails. */
import { expect, test } from 'vitest';
import { openCodecs } from '../../../src/codec/codecs.ts';
import { RepoShare } from '../../../src/command/backup/repo-share.ts';
import type { Storage } from '../../../src/storage/storage.ts';

test('abort waits for what is on its way to the repository, which would replace what the next try stores', async () => {
  const arrived: string[] = [];
  const storage = {
    write: async (path: string) => ({
      write: () => undefined,
      abort: async () => undefined,
      commit: async () => {
        await new Promise(resolve => setTimeout(resolve, path.endsWith('/b') ? 5 : 100));
        if (path.endsWith('/b')) throw new Error('refused');
        arrived.push(path);
      },
    }),
  } as unknown as Storage;
  const names = ['a', 'b'];
  const tasks = names.map(() => ({ bundleId: 0 }));
  const repo = {
    storage,
    data: { stanza: 'demo', label: 'L', compressType: 'none' },
  } as unknown as ConstructorParameters<typeof RepoShare>[0];
  const share = new RepoShare(repo, names, tasks as never, openCodecs(), undefined);
  for (const [index, task] of tasks.entries()) {
    await share.open(index, task as never, 1);
    await share.store(index, { outcome: 'copied', sizeRepo: 1 } as never);
  }
  await expect(share.commit()).rejects.toThrow('refused');
  await share.abort();
  expect(arrived).toEqual(['/backup/demo/L/a']);
});
