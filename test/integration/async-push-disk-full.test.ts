/** A spool on a file system that is full, or where nothing may be written. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { giveTo } from '../support/unprivileged.ts';
import { AsyncPushBed, segmentName } from './async-push-bed.ts';

let bed: AsyncPushBed;
let spool: string;
let refused: string | undefined;

beforeAll(async () => {
  bed = await AsyncPushBed.create();
  spool = join(bed.bed.folder, 'spool');
  mkdirSync(spool);
  giveTo(bed.bed.user, spool);
  const options = `size=128k,nr_inodes=64,uid=${bed.bed.user.uid},mode=700`;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'pgbackstop-test', spool], { stdio: 'pipe' });
  } catch (error) {
    refused = `cannot mount a small file system: ${error instanceof Error ? error.message.trim() : String(error)}`;
    console.log(`test/integration/async-push-disk-full: skipped, ${refused}`);
  }
});
afterAll(async () => {
  await bed?.backgroundEnds();
  if (refused === undefined) execFileSync('umount', ['-l', spool]);
  bed?.dispose();
});

/** Leaves no byte, or no name either. */
function fill(names: boolean): void {
  execFileSync('sh', ['-c', 'dd if=/dev/zero of="$0/ballast" bs=4k 2>/dev/null; true', spool]);
  try {
    for (let n = 0; names; n++) writeFileSync(join(spool, `name${n}`), '');
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  }
}

function clear(): void {
  for (const name of readdirSync(spool)) if (/^(ballast|name)/.test(name)) rmSync(join(spool, name));
}

test('before the first segment: the error says so at once, and with space it is archived', async ({ skip }) => {
  skip(refused !== undefined, refused);
  fill(true);
  bed.ready(4);
  const started = Date.now();
  const { code, output } = await bed.push(4);
  expect(output).toMatch(
    /ERROR: \[0(47|64)\]: unable to (create path|write status file) '.*\/spool\/archive.*': \[28\] No space/i,
  );
  expect(output).toContain('HINT: is the file system full?');
  expect([47, 64]).toContain(code);
  expect(Date.now() - started).toBeLessThan(10_000);
  clear();
  expect(await bed.push(4)).toMatchObject({ code: 0 });
  await bed.backgroundEnds();
});

test('without a byte left segments are archived all the same: it takes none to say so', async ({ skip }) => {
  skip(refused !== undefined, refused);
  fill(false);
  bed.ready(5);
  expect(await bed.push(5)).toMatchObject({ code: 0 });
  expect(bed.bed.archived()).toHaveLength(2);
  await bed.backgroundEnds();
  clear();
});

test('an error that cannot be written is an error of the foreground, and not its timeout', async ({ skip }) => {
  skip(refused !== undefined, refused);
  fill(true);
  bed.ready(6);
  const started = Date.now();
  const { code, output } = await bed.push(6, ['--archive-timeout=30']);
  expect(output).toMatch(/the background process has failed \[\d+\] and could not write why/);
  expect(output).toContain("HINT: is the file system of '");
  expect(code).toBe(64);
  expect(Date.now() - started).toBeLessThan(15_000);
  await bed.backgroundEnds();
  // it may be in the archive already: nobody was told, so it is pushed again
  clear();
  expect(await bed.push(6)).toMatchObject({ code: 0 });
  expect(bed.bed.archived().filter(name => name.includes(segmentName(6)))).toHaveLength(1);
  await bed.backgroundEnds();
});

test('when WAL is to be let go and there is no space for the words, it is let go without them', async ({ skip }) => {
  skip(refused !== undefined, refused);
  for (const number of [7, 8, 9]) bed.ready(number);
  fill(false);
  const lost = join(bed.bed.repoPath(), 'archive/demo');
  execFileSync('mv', [lost, `${lost}.away`]);
  expect(await bed.push(7, ['--archive-push-queue-max=2MiB'])).toMatchObject({ code: 0 });
  await bed.backgroundEnds();
  expect(bed.log()).toContain(`WARN: dropped WAL file '${segmentName(7)}' because archive queue exceeded 2MB`);
  expect(bed.log()).toMatch(/WARN: unable to keep a record of dropped WAL: unable to write file/);
  expect(bed.status(`${segmentName(7)}.ok`)).toBe('');
  execFileSync('mv', [`${lost}.away`, lost]);
  clear();
  for (const number of [8, 9]) expect(await bed.push(number)).toMatchObject({ code: 0 });
});
