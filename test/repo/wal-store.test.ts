import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import type { WalName } from '../../src/postgres/wal.ts';
import { walNamesFrom } from '../../src/postgres/wal.ts';
import type { ArchiveId } from '../../src/repo/history.ts';
import { StanzaRepo } from '../../src/repo/stanza-repo.ts';
import { findWal, findWalCopies, formatArchivedName, parseArchivedName, waitForWal } from '../../src/repo/wal-store.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import type { Storage } from '../../src/storage/storage.ts';

const archiveId = '15-1' as ArchiveId;
const [a, b] = ['a'.repeat(40), 'b'.repeat(40)] as const;
const name = (number: number): WalName =>
  `0000000100000000${number.toString(16).toUpperCase().padStart(8, '0')}` as WalName;

let root: string;
let repo: StanzaRepo;
/** Directories that were listed. */
let listed: string[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-wal-store-'));
  listed = [];
  const posix = openPosixStorage({ label: 'repo1', base: root });
  const storage = new Proxy(posix, {
    get(target, property) {
      if (property === 'names') {
        return (path: string, options?: { prefix?: string }) => {
          listed.push(path);
          return target.names(path, options);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as Storage;
  repo = new StanzaRepo({ key: 1, type: 'posix', path: root }, storage, 'demo');
});

afterEach(() => rmSync(root, { recursive: true }));

function store(segment: string, checksum: string = a, ending = ''): void {
  const folder = join(root, 'archive/demo/15-1', segment.slice(0, 16));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${segment}-${checksum}${ending}`), '');
}

/** A clock that moves when somebody sleeps, and tells. */
function sleepingClock(onSleep: (now: number) => void): Clock & { readonly slept: number[] } {
  let now = 5000;
  const slept: number[] = [];
  return {
    slept,
    now: () => now,
    monotonic: () => now,
    async sleep(milliseconds) {
      slept.push(milliseconds);
      now += milliseconds;
      onSleep(now);
    },
  };
}

describe('names', () => {
  test.each([
    [`${name(4)}-${a}.gz`, { segment: name(4), partial: false, checksum: a, compression: 'gz' }],
    [`${name(4)}-${a}`, { segment: name(4), partial: false, checksum: a }],
    [`${name(4)}.partial-${a}.zst`, { segment: name(4), partial: true, checksum: a, compression: 'zst' }],
  ])('%s', (file, expected) => {
    const parsed = parseArchivedName(file);
    expect(parsed).toEqual(expected);
    const segment = `${expected.segment}${expected.partial ? '.partial' : ''}`;
    expect(formatArchivedName(segment, expected.checksum, parsed?.compression)).toBe(file);
  });

  test.each([
    name(4),
    `${name(4)}-${a}.gz.pgbackrest.tmp`,
    `${name(4)}.00000028.backup`,
    '00000002.history',
    `${name(4)}-${a.toUpperCase()}`,
    `${name(4)}-${a.slice(1)}`,
    `${name(4).toLowerCase().replace('0', 'a')}-${a}`,
    `${name(4)}-${a}.exe`,
    `x${name(4)}-${a}`,
  ])('%s is no archived segment', file => expect(parseArchivedName(file)).toBeUndefined());
});

describe('findWal', () => {
  test('finds a segment, or nothing', async () => {
    expect(await findWal(repo, archiveId, name(4))).toEqual([]);
    store(name(4), a, '.gz');
    store(name(5), b);
    store(`${name(4)}.partial`, b);
    expect(await findWal(repo, archiveId, name(4))).toEqual([
      {
        archiveId,
        segment: name(4),
        partial: false,
        checksum: a,
        compression: 'gz',
        file: `${name(4)}-${a}.gz`,
        path: `/archive/demo/15-1/0000000100000000/${name(4)}-${a}.gz`,
      },
    ]);
    expect((await findWal(repo, archiveId, name(4), true)).map(({ file }) => file)).toEqual([
      `${name(4)}.partial-${b}`,
    ]);
  });

  test('takes the same content twice, but not two contents', async () => {
    store(name(4), a, '.gz');
    store(name(4), a, '.zst');
    expect(await findWal(repo, archiveId, name(4))).toHaveLength(2);
    store(name(4), b);
    await expect(findWal(repo, archiveId, name(4))).rejects.toMatchObject({
      kind: 'archive-duplicate',
      message: `duplicates found in archive for WAL segment ${name(4)}: ${name(4)}-${a}.gz, ${name(4)}-${a}.zst, ${name(4)}-${b}`,
      hints: ['are multiple primaries archiving to this stanza?'],
    });
    expect(await findWalCopies(repo, archiveId, name(4))).toHaveLength(3);
  });
});

describe('waitForWal', () => {
  const never = (): void => undefined;

  test('a range that is there costs one list per directory', async () => {
    const names = [...walNamesFrom(name(0xf0), 600, 16 * 1024 * 1024)];
    for (const segment of names) store(segment);
    const clock = sleepingClock(never);
    const found = await waitForWal(repo, archiveId, names, { timeout: 1000, clock });
    expect(found.map(({ segment }) => segment)).toEqual(names);
    expect(listed).toHaveLength(new Set(names.map(segment => segment.slice(0, 16))).size);
    expect(clock.slept).toEqual([]);
  });

  test('nothing to wait for is no request', async () => {
    expect(await waitForWal(repo, archiveId, [], { timeout: 1000, clock: sleepingClock(never) })).toEqual([]);
    expect(listed).toEqual([]);
  });

  test('waits for what comes late, each with the whole timeout', async () => {
    const names = [name(4), name(5), name(6)];
    const clock = sleepingClock(now => {
      for (const [index, segment] of names.entries()) if (now >= 5000 + 900 * (index + 1)) store(segment);
    });
    const found = await waitForWal(repo, archiveId, names, { timeout: 1000, clock });
    expect(found.map(({ segment }) => segment)).toEqual(names);
    expect(listed.length).toBeLessThan(50);
  });

  test('gives up with the first segment that is missing', async () => {
    store(name(4));
    store(name(6));
    const clock = sleepingClock(never);
    await expect(
      waitForWal(repo, archiveId, [name(4), name(5), name(6)], { timeout: 60_000, clock }),
    ).rejects.toMatchObject({
      kind: 'archive-timeout',
      message: `WAL segment ${name(5)} was not archived before the 60000ms timeout`,
      hints: [
        'check the archive_command to ensure that all options are correct (especially --stanza).',
        'check the PostgreSQL server log for errors.',
        "run the 'start' command if the stanza was previously stopped.",
      ],
    });
    expect(clock.slept.reduce((sum, time) => sum + time, 0)).toBe(60_000);
    expect(Math.max(...clock.slept)).toBe(1000);
  });

  test('a timeout of 0 looks once', async () => {
    await expect(
      waitForWal(repo, archiveId, [name(4)], { timeout: 0, clock: sleepingClock(never) }),
    ).rejects.toMatchObject({ kind: 'archive-timeout' });
    expect(listed).toHaveLength(1);
  });

  test('does not wait beside two contents, and does not take a partial segment', async () => {
    store(`${name(4)}.partial`);
    await expect(
      waitForWal(repo, archiveId, [name(4)], { timeout: 10, clock: sleepingClock(never) }),
    ).rejects.toMatchObject({ kind: 'archive-timeout' });
    store(name(4), a);
    store(name(4), b);
    await expect(
      waitForWal(repo, archiveId, [name(4), name(5)], { timeout: 10, clock: sleepingClock(never) }),
    ).rejects.toMatchObject({ kind: 'archive-duplicate' });
  });
});
