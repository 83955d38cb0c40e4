/** What an archive lacks of the WAL that waits, and of what was dropped, without a server. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveGaps } from '../../src/command/archive-gap.ts';
import { archiveLag, findWaitingWal } from '../../src/command/archive-lag.ts';
import type { DroppedWal } from '../../src/command/dropped-wal.ts';
import { ArchiveListing } from '../../src/repo/archive-listing.ts';
import type { BackupEntry } from '../../src/repo/backup-info.ts';
import { openPosixStorage } from '../../src/storage/posix/posix-storage.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { forgeControl } from '../postgres/forge.ts';

const mebibyte = 1024 * 1024;
const systemId = 6569239123849665679n;
const now = 1_800_000_000;

let root: string;
let files: Storage;
/** Directories that were listed. */
let listed: string[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'archive-lag-'));
  for (const path of ['data/global', 'data/pg_wal/archive_status', 'archive'])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'data/global/pg_control'), forgeControl('15', { systemId, walSegmentSize: 16 * mebibyte }));
  files = openPosixStorage({ label: 'pg1' });
  listed = [];
  const names = files.names.bind(files);
  files.names = (path, options) => {
    listed.push(path.slice(root.length + 1));
    return names(path, options);
  };
});
afterEach(() => rmSync(root, { recursive: true }));

/** Segment number N of a timeline, 256 in a directory of the archive. */
const segment = (number: number, timeline = 1): string =>
  [timeline, Math.floor(number / 256), number % 256]
    .map(part => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('');

function ready(name: string, age = 0): void {
  const path = join(root, `data/pg_wal/archive_status/${name}.ready`);
  writeFileSync(path, '');
  utimesSync(path, now - age, now - age);
}

function archive(name: string): void {
  const folder = join(root, 'archive', name.slice(0, 16));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}-${'a'.repeat(40)}.lz4`), '');
}

const listing = (): ArchiveListing => new ArchiveListing(files, join(root, 'archive'));
const waiting = () => findWaitingWal(files, join(root, 'data'), undefined);
const lag = async (archived: ArchiveListing | undefined = listing()) =>
  await archiveLag(await waiting(), files, archived, now);

describe('lag', () => {
  test('nothing waits: no repository is asked', async () => {
    expect(await waiting()).toMatchObject({ segments: [], version: '15', systemId });
    expect(await lag()).toEqual({ segments: 0, bytes: 0, seconds: 0 });
    expect(listed).toEqual(['data/pg_wal/archive_status', 'data/pg_wal/archive_status']);
  });

  test('what is newer than the archive is behind, in segments, bytes and seconds', async () => {
    for (const number of [4, 5]) archive(segment(number));
    for (const [number, age] of [
      [5, 90],
      [6, 60],
      [7, 30],
    ] as const)
      ready(segment(number), age);
    expect(await lag()).toEqual({ segments: 2, bytes: 32 * mebibyte, seconds: 60, oldest: segment(6) });
  });

  test('a segment that cannot be archived is seen although later ones are there', async () => {
    ready(segment(3), 7);
    for (let number = 0; number < 300; number++) if (number !== 3) archive(segment(number));
    ready(segment(299));
    expect(await lag()).toEqual({ segments: 1, bytes: 16 * mebibyte, seconds: 7, oldest: segment(3) });
  });

  test('history files are no segments, partial ones are, and another timeline is another segment', async () => {
    archive(segment(4));
    archive(segment(5, 2));
    for (const name of ['00000002.history', `${segment(4)}.00000028.backup`]) ready(name);
    for (const name of [`${segment(5)}.partial`, segment(4), segment(4, 2)]) ready(name);
    expect(await lag()).toMatchObject({ segments: 2, oldest: `${segment(5)}.partial` });
    archive(`${segment(5)}.partial`);
    expect(await lag()).toMatchObject({ segments: 1, oldest: segment(4, 2) });
  });

  test('an empty archive, and one that cannot be read, lack all', async () => {
    for (const number of [1, 2, 3]) ready(segment(number), 10);
    expect(await lag()).toMatchObject({ segments: 3, seconds: 10, oldest: segment(1) });
    expect(await archiveLag(await waiting(), files, undefined, now)).toMatchObject({ segments: 3 });
  });

  test('before 10 it waits in pg_xlog', async () => {
    const control = forgeControl('9.6', { systemId, walSegmentSize: 16 * mebibyte });
    writeFileSync(join(root, 'data/global/pg_control'), control);
    ready(segment(1));
    mkdirSync(join(root, 'data/pg_xlog/archive_status'), { recursive: true });
    writeFileSync(join(root, `data/pg_xlog/archive_status/${segment(2)}.ready`), '');
    expect(await waiting()).toMatchObject({ segments: [segment(2)], version: '9.6' });
  });

  test('a newer timeline in the archive, and a segment that everything waits behind', async () => {
    for (const number of [5, 254, 255, 256, 257]) ready(segment(number));
    for (const number of [254, 255, 256]) archive(segment(number));
    archive('000000050000000000000001');
    expect(await lag()).toMatchObject({ segments: 2, oldest: segment(5) });
  });

  test('a clock that was turned back makes no negative times', async () => {
    ready(segment(1), -3600);
    expect(await lag()).toMatchObject({ segments: 1, seconds: 0 });
  });

  test('10,000 waiting files: one list of them, and three of the archive', async () => {
    for (let number = 0; number < 10_000; number++) ready(segment(number));
    for (let number = 0; number < 9_000; number += 256) archive(segment(number));
    for (let number = 0; number < 256; number++) archive(segment(number));
    for (let number = 8_960; number < 9_000; number++) archive(segment(number));
    expect(await lag()).toMatchObject({ segments: 1_000, oldest: segment(9_000) });
    expect(listed).toEqual([
      'data/pg_wal/archive_status',
      'archive',
      `archive/${segment(0).slice(0, 16)}`,
      `archive/${segment(9_000).slice(0, 16)}`,
    ]);
  });
});

describe('gaps', () => {
  const dropped = (first: number, last: number): DroppedWal => ({
    first: segment(first),
    last: segment(last),
    count: last - first + 1,
    size: (last - first + 1) * 16 * mebibyte,
    start: now - 60,
    stop: now,
  });
  const backup = (start: number, stop: number) =>
    ({ archiveStart: segment(start), archiveStop: segment(stop) }) as unknown as BackupEntry;
  const gaps = (range: DroppedWal, ...backups: BackupEntry[]) =>
    archiveGaps([range], { listing: listing(), backups, segmentSize: 16 * mebibyte });

  test('a gap is told while a backup from before it is there, and not by a later one', async () => {
    expect(await gaps(dropped(5, 7), backup(2, 3), backup(9, 9))).toEqual([
      { first: segment(5), last: segment(7), segments: 3, bytes: 48 * mebibyte, start: now - 60, stop: now },
    ]);
    expect(await gaps(dropped(5, 7), backup(9, 9))).toEqual([]);
  });

  test('WAL from before it is a reason, too', async () => {
    for (const number of [8, 9]) archive(segment(number));
    expect(await gaps(dropped(5, 7), backup(9, 9))).toEqual([]);
    archive(segment(4));
    expect(await gaps(dropped(5, 7), backup(9, 9))).toHaveLength(1);
    expect(await gaps(dropped(600, 601), backup(700, 700))).toHaveLength(1);
  });

  test('what this repository has all the same is no gap', async () => {
    for (const number of [5, 7]) archive(segment(number));
    expect(await gaps(dropped(5, 7), backup(2, 3))).toMatchObject([
      { first: segment(6), last: segment(6), segments: 1 },
    ]);
    archive(segment(6));
    expect(await gaps(dropped(5, 7), backup(2, 3))).toEqual([]);
  });

  test('a joined range of any size takes a bounded look', async () => {
    const range = { ...dropped(0, 100_000), count: 17, size: 17 };
    expect(await gaps(range, backup(0, 0))).toMatchObject([{ segments: 17, bytes: 17 }]);
    expect(listed.length).toBeLessThan(20);
    expect(await gaps({ ...range, first: '00000002.history' }, backup(0, 0))).toMatchObject([{ segments: 17 }]);
  });

  test('a record whose names lead nowhere is told as it stands', async () => {
    const range = dropped(5, 7);
    expect(await gaps({ ...range, first: range.last, last: range.first }, backup(2, 3))).toMatchObject([
      { segments: 3 },
    ]);
    // with segments of 64 MiB there is no such name
    const foreign = { ...range, first: segment(0xa0), last: segment(0xa2) };
    const context = { listing: listing(), backups: [backup(2, 3)], segmentSize: 64 * mebibyte };
    expect(await archiveGaps([foreign], context)).toMatchObject([{ first: segment(0xa0), segments: 3 }]);
  });
});
