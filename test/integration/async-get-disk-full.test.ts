/** Asynchronous archive-get whose spool has less room than its queue: every segment comes all the same. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WalName, walNamesFrom } from '../../src/postgres/wal.ts';
import { ArchiveBed, sha1 } from '../command/archive/archive-bed.ts';

const mebibyte = 1024 * 1024;
const names = [...walNamesFrom('000000010000000000000004', 12, mebibyte)];
const destination = 'pg_wal/RECOVERYXLOG';

let bed: ArchiveBed;
let refused: string | undefined;
beforeEach(async () => {
  bed = await ArchiveBed.create();
  const spool = join(bed.folder, 'spool');
  mkdirSync(spool);
  try {
    const size = `size=3500k,uid=${bed.user.uid},mode=700`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'pgbackstop-test', spool], { stdio: 'pipe' });
  } catch (error) {
    refused = `cannot mount a small file system: ${String(error)}`;
    console.log(`test/integration/async-get-disk-full: skipped, ${refused}`);
  }
});
afterEach(() => {
  if (refused === undefined) execFileSync('umount', ['-l', join(bed.folder, 'spool')]);
  bed.dispose();
});

test('the queue is as long as there is room', async ({ skip }) => {
  skip(refused !== undefined, refused);
  const contents = new Map(names.map(name => [name, bed.segment(name)]));
  for (const name of names) await bed.push(`pg_wal/${name}`, ['--compress-type=lz4']);
  const options = [
    '--archive-async',
    '--archive-get-queue-max=8MiB',
    '--archive-timeout=20',
    '--log-level-file=detail',
  ];
  const get = async (name: WalName): Promise<string> => {
    const { code, output } = await bed.get(name, destination, options);
    expect(code, output).toBe(0);
    expect(sha1(readFileSync(join(bed.dataDirectory, destination)))).toBe(sha1(contents.get(name) ?? Buffer.alloc(0)));
    return output;
  };
  const said: string[] = [];
  for (const name of names.slice(0, 6)) said.push(await get(name));
  expect(said.join('')).toContain('in the archive asynchronously');
  const log = join(bed.folder, 'log/demo-archive-get-async.log');
  await expect
    .poll(() => (existsSync(log) ? readFileSync(log, 'utf8') : ''), { timeout: 10_000 })
    .toMatch(/No space left on device/i);

  // not a byte is left: each segment is fetched for itself
  fill(join(bed.folder, 'spool/filling'));
  for (const name of names.slice(6)) await get(name);
  expect((await bed.get('000000010000000000000010', destination, options)).code).toBe(1);
});

/** Until there is no room: the background process may take some, or give some back, at the same time. */
function fill(path: string): void {
  const page = Buffer.alloc(4096);
  for (;;) {
    try {
      appendFileSync(path, page);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
