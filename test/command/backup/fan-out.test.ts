import { expect, test } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import { type Log, silentLog } from '../../../src/base/log.ts';
import { FanOut } from '../../../src/command/backup/fan-out.ts';
import type { Session } from '../../../src/command/session.ts';

const repos = [{ key: 1 }, { key: 3 }, { key: 7 }];

function open(keys: readonly number[]): { readonly fanOut: FanOut; readonly said: string[] } {
  const said: string[] = [];
  const log: Log = { ...silentLog, warn: message => void said.push(message) };
  return { fanOut: new FanOut({ log } as Session<'backup'>, keys), said };
}

const failure = (text: string) => new BackstopError('file-write', text, { hint: 'is the file system full?' });

test('what fails for one repository is told at once, and the others go on', async () => {
  const { fanOut, said } = open([1, 3, 7]);
  const done = await fanOut.each(repos, async ({ key }) => {
    if (key === 3) throw failure('unable to write');
    return key * 10;
  });
  expect(done).toEqual([10, 70]);
  expect(said).toEqual([
    'repo3: [FileWriteError] unable to write\nHINT: is the file system full?\nNOTE: the backup goes on without this repository.',
  ]);
  expect(fanOut.left).toEqual([1, 7]);
  expect(fanOut.only(repos)).toEqual([{ key: 1 }, { key: 7 }]);
  // nothing more is done there, and told once
  expect(await fanOut.each(repos, async ({ key }) => key)).toEqual([1, 7]);
  fanOut.drop(3, failure('again'));
  expect(said).toHaveLength(1);
  expect(() => fanOut.end()).toThrow(
    expect.objectContaining({
      kind: 'command',
      text: 'backup command encountered error(s):\nrepo3: [FileWriteError] unable to write\nHINT: is the file system full?\nHINT: the backup is complete in repo1, repo7.',
    }),
  );
});

test('when none is left, it is the error of the first that failed', async () => {
  const { fanOut, said } = open([1, 3]);
  fanOut.drop(3, failure('first'));
  await expect(
    fanOut.each(repos.slice(0, 2), async () => {
      throw failure('second');
    }),
  ).rejects.toMatchObject({ kind: 'file-write', message: 'repo3: first', hints: ['is the file system full?'] });
  expect(said.map(line => line.split('\n')[0])).toEqual([
    'repo3: [FileWriteError] first',
    'repo1: [FileWriteError] second',
  ]);
  expect(said.at(-1)).not.toContain('goes on');
});

test('a repository alone fails as ever', async () => {
  const { fanOut, said } = open([1]);
  const thrown = failure('unable to write');
  await expect(
    fanOut.each([{ key: 1 }], async () => {
      throw thrown;
    }),
  ).rejects.toBe(thrown);
  expect(said).toEqual([]);
});
