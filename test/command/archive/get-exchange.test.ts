/** One spool, two tools: asynchronous archive-get of each takes what the other has fetched ahead. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockPaths } from '../../../src/command/lock-paths.ts';
import { type WalName, walNamesFrom } from '../../../src/postgres/wal.ts';
import { requireCompat, skipReason } from '../../support/real-pgbackrest.ts';
import { ArchiveBed, sha1 } from './archive-bed.ts';

const real = requireCompat();
if (real === undefined) console.warn(skipReason);

const mebibyte = 1024 * 1024;
const first = '000000010000000000000004' as WalName;
const destination = 'pg_wal/RECOVERYXLOG';
const options = ['--archive-async', '--archive-get-queue-max=6MiB', '--archive-timeout=20', '--log-level-file=detail'];

let bed: ArchiveBed;
let contents: Map<string, Buffer>;
const names = [...walNamesFrom(first, 12, mebibyte)];

beforeEach(async () => {
  bed = await ArchiveBed.create();
  mkdirSync(join(bed.repoPath(), 'backup/demo'), { recursive: true });
  bed.own();
  contents = new Map(names.map(name => [name, bed.segment(name)]));
  for (const name of names) await bed.push(`pg_wal/${name}`, ['--compress-type=lz4']);
});
afterEach(async () => {
  await settled();
  bed.dispose();
});

const spooled = (): string[] => {
  const folder = join(bed.folder, 'spool/archive/demo/in');
  return existsSync(folder) ? readdirSync(folder).sort() : [];
};

async function settled(): Promise<void> {
  const lock = { values: { 'lock-path': join(bed.folder, 'lock'), stanza: 'demo' }, repos: [{ key: 1 }] };
  await expect.poll(() => lockPaths(lock, 'archive').filter(existsSync), { timeout: 20_000 }).toEqual([]);
}

type Who = 'ours' | 'real';
const get = async (who: Who, name: string): Promise<void> => {
  const outcome =
    who === 'ours'
      ? await bed.get(name, destination, options)
      : await bed.run([real?.path ?? ''], ['archive-get', ...options, name, destination]);
  expect(outcome.output).toContain(`found ${name} in the archive asynchronously`);
  expect(outcome.code).toBe(0);
  expect(sha1(readFileSync(join(bed.dataDirectory, destination)))).toBe(sha1(contents.get(name) ?? Buffer.alloc(0)));
};

describe.skipIf(real === undefined)('with the real pgbackrest', () => {
  test.each<[Who, Who]>([
    ['ours', 'real'],
    ['real', 'ours'],
  ])('what %s has fetched ahead %s hands out', async (one, other) => {
    await get(one, first);
    await settled();
    // ours goes on for as long as its queue is used
    expect(spooled()).toEqual(names.slice(1, one === 'ours' ? 7 : 6));
    const log = readFileSync(join(bed.folder, 'log/demo-archive-get-async.log'), 'utf8');
    // more than half of the queue is there: the other tool starts nobody
    await get(other, names[1] ?? '');
    await settled();
    expect(readFileSync(join(bed.folder, 'log/demo-archive-get-async.log'), 'utf8')).toBe(log);
    // and fills it when it is not
    for (const name of names.slice(2, 6)) await get(other, name);
    await settled();
    expect(spooled().filter(name => !name.endsWith('.ok')).length).toBeGreaterThan(2);
  });

  test('they take turns, and both meet the end of the archive', async () => {
    for (const [index, name] of names.entries()) await get(index % 2 === 0 ? 'ours' : 'real', name);
    const missing = '000000010000000000000010';
    for (const _ of [1, 2]) {
      const [ours, theirs] = [
        await bed.get(missing, destination, options),
        await bed.run([real?.path ?? ''], ['archive-get', ...options, missing, destination]),
      ];
      for (const { code, output } of [ours, theirs]) {
        expect(output).toContain(`unable to find ${missing} in the archive asynchronously`);
        expect(code).toBe(1);
      }
    }
  });
});
