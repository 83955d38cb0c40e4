/** Asynchronous archive-push through the executable: foreground, background process, what they leave in the spool. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type ArchiveBedOptions, sha1 } from '../command/archive/archive-bed.ts';
import { AsyncPushBed, segmentName, until } from './async-push-bed.ts';

const beds: AsyncPushBed[] = [];

async function makeBed(options: ArchiveBedOptions = {}): Promise<AsyncPushBed> {
  const bed = await AsyncPushBed.create(options);
  beds.push(bed);
  return bed;
}

afterEach(async () => {
  for (const bed of beds.splice(0)) {
    await bed.backgroundEnds();
    bed.dispose();
  }
});

const stored = (number: number, content: Uint8Array): string =>
  `0000000100000000/${segmentName(number)}-${sha1(content)}.gz`;

const otherCluster = { systemId: 7000000000000000001n };

describe('the segments that are ready', () => {
  test('are pushed by one background process; the foreground gets its answers from the spool', async () => {
    const bed = await makeBed();
    const names = [4, 5, 6].map(number => stored(number, bed.ready(number)));
    const { code, output } = await bed.push(4, ['--process-max=2']);
    expect(output).toContain(`INFO: pushed WAL file '${segmentName(4)}' to the archive asynchronously\n`);
    expect(code).toBe(0);
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toEqual(names);
    expect(bed.statuses()).toEqual([4, 5, 6].map(number => `${segmentName(number)}.ok`));
    expect(bed.status(`${segmentName(5)}.ok`)).toBe('');
    expect(statSync(join(bed.out, `${segmentName(5)}.ok`)).mode & 0o777).toBe(0o640);
    expect(statSync(bed.out).mode & 0o777).toBe(0o750);
    const log = bed.log();
    expect(log).toMatch(/P00 {3}INFO: archive-push:async command begin [^:]+: \[.*\/data\/pg_wal\] --archive-async /);
    expect(log).toContain(`P00   INFO: push 3 WAL file(s) to archive: ${segmentName(4)}...${segmentName(6)}\n`);
    expect(log).toMatch(/P0[12] DETAIL: pushed WAL file '000000010000000000000005' to the archive\n/);
    expect(log).toMatch(/archive-push:async command end: completed successfully/);
    // no other process is needed
    expect(await bed.push(5)).toMatchObject({ code: 0 });
    expect(bed.log()).toBe(log);
  });

  test('are pushed by the process that is at work also when they come after its start', async () => {
    const bed = await makeBed();
    bed.ready(4);
    const pushing = bed.push(4);
    await until(() => bed.log().includes('push 1 WAL file'));
    bed.ready(5);
    expect(await pushing).toMatchObject({ code: 0 });
    // nobody has asked for it
    await until(() => bed.statuses().includes(`${segmentName(5)}.ok`));
    await bed.backgroundEnds();
    expect(bed.log().match(/archive-push:async command begin/g)).toHaveLength(1);
    expect(await bed.push(5)).toMatchObject({ code: 0 });
  });

  test('go in batches, and history files go first', async () => {
    const bed = await makeBed();
    for (const number of [4, 5, 6]) bed.ready(number);
    bed.bed.write('data/pg_wal/00000002.history', '1\t0/3000000\tno reason\n');
    bed.bed.write('data/pg_wal/archive_status/00000002.history.ready', '');
    expect(await bed.push('00000002.history', ['--archive-push-batch-size=2MiB'])).toMatchObject({ code: 0 });
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toHaveLength(4);
    expect(bed.log().match(/push \d WAL file.*/g)).toEqual([
      `push 2 WAL file(s) to archive: 00000002.history...${segmentName(4)}`,
      `push 2 WAL file(s) to archive: ${segmentName(5)}...${segmentName(6)}`,
    ]);
  });

  test('what a killed process has left of a timeline history file goes when it is old', async () => {
    const bed = await makeBed();
    const history = '00000002.history';
    bed.bed.write(`data/pg_wal/${history}`, '1\t0/3000000\tno reason\n');
    bed.bed.write(`data/pg_wal/archive_status/${history}.ready`, '');
    const old = Date.now() / 1000 - 2 * 60 * 60;
    const [leftOver, young] = ['0a1b2c3d', '1a1b2c3d'].map(made =>
      bed.bed.write(`repo1/archive/demo/15-1/${history}.${made}.pgbackrest.tmp`, '1\t0/3'),
    );
    bed.bed.own();
    utimesSync(leftOver ?? '', old, old);
    expect(await bed.push(history)).toMatchObject({ code: 0 });
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toEqual([history, basename(young ?? '')]);
  });

  test('that one is damaged does not keep the others from the archive', async () => {
    const bed = await makeBed();
    const names = [4, 6].map(number => stored(number, bed.ready(number)));
    bed.ready(5, 'foreign', otherCluster);
    bed.ready(7);
    names.push(stored(7, readFileSync(join(bed.bed.dataDirectory, `pg_wal/${segmentName(7)}`))));
    const failed = await bed.archive();
    expect(failed?.code).toBe(44);
    expect(failed?.output).toMatch(
      /ERROR: \[044\]: WAL file '.*000000010000000000000005' version 15, system-id 7000000000000000001 do not match stanza/,
    );
    expect(failed?.output).toContain('HINT: are you archiving to the correct stanza?');
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toEqual(names.sort());
    expect(bed.log()).toMatch(
      /WARN: could not push WAL file '0+10+5' to the archive \(will be retried\): \[44\] WAL file/,
    );
    expect(bed.status(`${segmentName(5)}.error`)).toMatch(/^44\nWAL file .*\nHINT: are you archiving/);
    // repaired, it is tried again: the error of the past is not raised
    bed.ready(5);
    expect(await bed.push(5)).toMatchObject({ code: 0 });
  });
});

describe('a status of the past', () => {
  test('an error is cleared at the first look, its own and that of all files', async () => {
    const bed = await makeBed();
    bed.ready(4);
    bed.bed.write(`spool/archive/demo/out/${segmentName(4)}.error`, '25\nold trouble');
    bed.bed.write('spool/archive/demo/out/global.error', '25\nold trouble of all');
    bed.bed.own();
    const { code, output } = await bed.push(4);
    expect(output).not.toContain('old trouble');
    expect(code).toBe(0);
    expect(bed.bed.archived()).toHaveLength(1);
  });

  test('.ok of a file of the same name that was there before counts for nothing', async () => {
    const bed = await makeBed();
    bed.ready(4);
    const path = bed.bed.write(`spool/archive/demo/out/${segmentName(4)}.ok`, '');
    bed.bed.own();
    utimesSync(path, 1e9, 1e9);
    expect(await bed.push(4)).toMatchObject({ code: 0 });
    expect(bed.bed.archived()).toHaveLength(1);
  });

  test('.ok of pgBackRest is believed, with its warning', async () => {
    const bed = await makeBed();
    bed.ready(4);
    bed.ready(5);
    bed.bed.write(`spool/archive/demo/out/${segmentName(4)}.ok`, '0\nsomething to say');
    bed.bed.write(`spool/archive/demo/out/${segmentName(5)}.ok`, '55\nunable to open');
    bed.bed.own();
    const said = await bed.push(4);
    expect(said.output).toContain('WARN: something to say\n');
    expect(said.code).toBe(0);
    const skipped = await bed.push(5);
    expect(skipped.output).toContain(
      `WARN: WAL segment '${segmentName(5)}' was not pushed due to error [55] and was manually skipped: unable to open\n`,
    );
    expect(skipped.code).toBe(0);
    expect(bed.bed.archived()).toEqual([]);
  });

  test('of another cluster counts for nothing, and is removed', async () => {
    const bed = await makeBed();
    bed.ready(4);
    bed.ready(5);
    bed.bed.write('spool/archive/demo/cluster', '{"system-id":1,"version":"15"}');
    bed.bed.write(`spool/archive/demo/out/${segmentName(4)}.ok`, '');
    bed.bed.write(`spool/archive/demo/in/${segmentName(9)}`, 'what?');
    bed.bed.own();
    expect(await bed.push(4)).toMatchObject({ code: 0 });
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toHaveLength(2);
    expect(JSON.parse(readFileSync(join(bed.spool, 'cluster'), 'utf8'))).toMatchObject({ version: '15' });
    expect(() => statSync(join(bed.spool, `in/${segmentName(9)}`))).toThrow('ENOENT');
  });

  test.each([
    ['a directory', (path: string) => mkdirSync(path)],
    ['a link', (path: string) => symlinkSync('/etc/passwd', path)],
    ['half of an error', (path: string) => writeFileSync(path, '44')],
    ['a megabyte', (path: string) => writeFileSync(path, Buffer.alloc(1024 * 1024, 'x'))],
    ['a pipe', (path: string) => execFileSync('mkfifo', [path])],
  ])('that is %s does not keep the segment from the archive', async (_, make) => {
    const bed = await makeBed();
    bed.ready(4);
    mkdirSync(bed.out, { recursive: true });
    make(join(bed.out, `${segmentName(4)}.ok`));
    bed.bed.own();
    expect(await bed.push(4)).toMatchObject({ code: 0 });
    expect(bed.bed.archived()).toHaveLength(1);
  });

  test('clocks that were set back or ahead do no harm', async () => {
    const bed = await makeBed();
    for (const number of [4, 5]) bed.ready(number);
    const tomorrow = Date.now() / 1000 + 86_400;
    utimesSync(join(bed.bed.dataDirectory, `pg_wal/${segmentName(4)}`), tomorrow, tomorrow);
    utimesSync(join(bed.bed.dataDirectory, `pg_wal/${segmentName(5)}`), 1e9, 1e9);
    expect(await bed.archive()).toBeUndefined();
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toHaveLength(2);
    expect(bed.log().match(/pushed WAL file/g)).toHaveLength(2);
  });
});

describe('what goes wrong', () => {
  test('before any file is told to all, with its code', async () => {
    const bed = await makeBed();
    bed.ready(4);
    rmSync(join(bed.bed.repoPath(), 'archive/demo'), { recursive: true });
    const { code, output } = await bed.push(4);
    expect(output).toContain('ERROR: [103]: unable to find a valid repository:');
    expect(output).toMatch(/repo1: \[FileMissingError\] unable to load info file/);
    expect(code).toBe(103);
    expect(bed.status('global.error')).toMatch(/^103\n/);
    await bed.backgroundEnds();
    expect(bed.log()).toMatch(/archive-push:async command end: aborted with exception \[103\]/);
  });

  test('in one repository does not keep the file from the others; PostgreSQL keeps it', async () => {
    const bed = await makeBed({ repos: 2 });
    for (const number of [4, 5, 6, 7, 8]) bed.ready(number);
    bed.bed.write('repo1/archive/demo/15-1/0000000100000000', 'in the way');
    bed.bed.own();
    const { code, output } = await bed.push(4);
    expect(output).toMatch(/ERROR: \[104\]: archive-push command encountered error\(s\):\n\s+repo1: \[/);
    expect(output).not.toMatch(/repo2: \[/);
    expect(code).toBe(104);
    await bed.backgroundEnds();
    expect(bed.bed.archived(2)).toHaveLength(5);
    expect(bed.statuses().filter(name => name.endsWith('.ok'))).toEqual([]);
    // for thousands of files the same would be said thousands of times
    expect(bed.log().match(/WARN: could not push/g)?.length).toBeLessThan(5);
    rmSync(join(bed.bed.repoPath(1), 'archive/demo/15-1/0000000100000000'));
    expect(await bed.archive()).toBeUndefined();
    expect(bed.bed.archived(1)).toEqual(bed.bed.archived(2));
  });

  test('a background process that is killed is replaced, and the segment arrives once', async () => {
    const bed = await makeBed();
    for (let number = 4; number < 14; number++) bed.ready(number);
    const pushing = bed.push(4);
    await until(() => bed.background() !== undefined && bed.log().includes('push 10 WAL'));
    process.kill(bed.background() ?? 0, 'SIGKILL');
    expect(await pushing).toMatchObject({ code: 0 });
    expect(await bed.archive()).toBeUndefined();
    await bed.backgroundEnds();
    expect(bed.bed.archived().map(name => name.slice(17, 41))).toEqual(
      Array.from({ length: 10 }, (_, index) => segmentName(index + 4)),
    );
  });

  test('two foreground processes for one segment: one background process, two answers', async () => {
    const bed = await makeBed();
    for (let round = 4; round < 10; round++) {
      bed.ready(round);
      const both = await Promise.all([bed.push(round), bed.push(round), bed.push(round)]);
      expect(both.map(({ code }) => code)).toEqual([0, 0, 0]);
      await bed.backgroundEnds();
    }
    expect(bed.bed.archived()).toHaveLength(6);
    expect(bed.log()).not.toContain('WARN');
    expect(bed.log().match(/pushed WAL file/g)).toHaveLength(6);
  });

  test('a lock that somebody else holds is waited for, until archive-timeout', async () => {
    const bed = await makeBed();
    bed.ready(4);
    const lock = join(bed.bed.folder, 'lock/demo-archive.lock');
    writeFileSync(lock, '');
    bed.bed.own();
    const holder = execFileSync('sh', ['-c', 'flock -x "$0" sleep 60 >/dev/null 2>&1 & echo $!', lock], {
      encoding: 'utf8',
    });
    try {
      const { code, output } = await bed.push(4, ['--archive-timeout=2']);
      expect(output).toContain(
        `ERROR: [082]: unable to push WAL file '${segmentName(4)}' to the archive asynchronously after 2 second(s)`,
      );
      expect(output).toMatch(/HINT: check '.*\/log\/demo-archive-push-async\.log' for errors\./);
      expect(code).toBe(82);
    } finally {
      execFileSync('sh', ['-c', 'pkill -P "$0"; kill "$0"; true', holder.trim()]);
    }
    expect(await bed.push(4)).toMatchObject({ code: 0 });
  });

  test('after stop nothing is pushed, nor said to be', async () => {
    const bed = await makeBed();
    bed.ready(4);
    await bed.bed.ours('stop');
    expect(await bed.push(4)).toMatchObject({ code: 62 });
    expect(bed.statuses()).toEqual([]);
  });

  test('the data directory must be known', async () => {
    const bed = await makeBed();
    bed.ready(4);
    bed.bed.write(
      'pgbackrest.conf',
      readFileSync(join(bed.bed.folder, 'pgbackrest.conf'), 'utf8').replace(/pg1-path=.*/, 'pg1-port=5432'),
    );
    const path = join(bed.bed.dataDirectory, 'pg_wal', segmentName(4));
    const { code, output } = await bed.bed.push(path, ['--archive-async']);
    expect(output).toMatch(/ERROR: \[037\]/);
    expect(code).toBe(37);
  });
});

describe('archive-push-queue-max', () => {
  const drops = (bed: AsyncPushBed) =>
    JSON.parse(readFileSync(join(bed.spool, 'dropped.json'), 'utf8')) as { dropped: Record<string, unknown>[] };

  test('lets the oldest go when nothing can be pushed, until the rest fits', async () => {
    const bed = await makeBed();
    for (let number = 4; number < 12; number++) bed.ready(number);
    rmSync(join(bed.bed.repoPath(), 'archive/demo'), { recursive: true });
    const { code, output } = await bed.push(4, ['--archive-push-queue-max=5MiB']);
    expect(output).toContain(`WARN: dropped WAL file '${segmentName(4)}' because archive queue exceeded 5MB`);
    expect(code).toBe(0);
    await bed.backgroundEnds();
    expect(bed.statuses().filter(name => name.endsWith('.ok'))).toEqual([4, 5, 6].map(n => `${segmentName(n)}.ok`));
    expect(bed.status(`${segmentName(5)}.ok`)).toBe(
      `0\ndropped WAL file '${segmentName(5)}' because archive queue exceeded 5MB`,
    );
    expect(bed.log()).toContain(`WARN: dropped WAL file '${segmentName(6)}' because archive queue exceeded 5MB`);
    expect(drops(bed).dropped).toMatchObject([
      { first: segmentName(4), last: segmentName(6), count: 3, size: 3 * 1024 * 1024 },
    ]);
    expect(await bed.push(7, ['--archive-push-queue-max=8MiB'])).toMatchObject({ code: 103 });
  });

  test('a segment that never can be pushed does not hide behind those that were', async () => {
    const bed = await makeBed();
    bed.ready(4, 'foreign', otherCluster);
    for (let number = 5; number < 12; number++) bed.ready(number);
    const options = ['--archive-push-queue-max=5MiB'];
    expect((await bed.archive(options))?.code).toBe(44);
    await bed.backgroundEnds();
    // PostgreSQL asks again
    expect(await bed.archive(options)).toBeUndefined();
    await bed.backgroundEnds();
    expect(bed.bed.archived()).toHaveLength(7);
    expect(bed.log()).toMatch(
      /dropped WAL file '0+10+4' because archive queue exceeded 5MB\n\s+WAL file .* do not match/,
    );
    expect(drops(bed).dropped).toMatchObject([{ first: segmentName(4), last: segmentName(4), count: 1 }]);
  });

  test('nothing is let go while the archive keeps up', async () => {
    const bed = await makeBed();
    const names: string[] = [];
    for (let number = 4; number < 20; number++) names.push(stored(number, bed.ready(number)));
    expect(await bed.archive(['--archive-push-queue-max=2MiB'])).toBeUndefined();
    expect(bed.bed.archived()).toEqual(names);
  });

  test('the record of a synchronous push is where asynchronous ones have it', async () => {
    const bed = await makeBed();
    for (const number of [4, 5, 6]) bed.ready(number);
    const options = ['--no-archive-async', '--archive-push-queue-max=2MiB'];
    const dropped = await bed.bed.push(`pg_wal/${segmentName(4)}`, options);
    expect(dropped).toMatchObject({ code: 0 });
    expect(drops(bed).dropped).toMatchObject([{ first: segmentName(4), count: 1 }]);
  });

  test('a damaged record is set aside, and a new one begun', async () => {
    const bed = await makeBed();
    for (const number of [4, 5]) bed.ready(number);
    bed.bed.write('spool/archive/demo/dropped.json', '{"dropped":[');
    rmSync(join(bed.bed.repoPath(), 'archive/demo'), { recursive: true });
    bed.bed.own();
    expect(await bed.push(4, ['--archive-push-queue-max=1MiB'])).toMatchObject({ code: 0 });
    await bed.backgroundEnds();
    expect(drops(bed).dropped).toMatchObject([{ first: segmentName(4) }]);
    expect(readFileSync(join(bed.spool, 'dropped.json.damaged'), 'utf8')).toBe('{"dropped":[');
    expect(bed.log()).toMatch(/WARN: invalid record of dropped WAL/);
  });
});

test('10,000 files wait: they are looked up at once, and memory does not grow with them', async () => {
  const bed = await makeBed();
  const content = bed.ready(1);
  const status = join(bed.bed.dataDirectory, 'pg_wal/archive_status');
  mkdirSync(bed.out, { recursive: true });
  for (let number = 2; number <= 10_000; number++) {
    writeFileSync(join(status, `${segmentName(number)}.ready`), '');
    // all but a few were pushed before; the rest is missing in pg_wal, which is an error of its own
    if (number < 9_990) writeFileSync(join(bed.out, `${segmentName(number)}.ok`), '');
  }
  bed.bed.own();
  const started = Date.now();
  const pushing = bed.push(1, ['--compress-type=none']);
  await until(() => bed.log().includes('push '));
  expect(await pushing).toMatchObject({ code: 0 });
  expect(Date.now() - started).toBeLessThan(5000);
  const background = bed.background();
  if (background !== undefined) {
    const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${background}/status`, 'utf8')) ?? [];
    expect(Number(peak)).toBeLessThan(150_000);
  }
  expect(await bed.push(9_990)).toMatchObject({ code: 55 });
  await bed.backgroundEnds();
  expect(bed.bed.archived()).toEqual([`0000000100000000/${segmentName(1)}-${sha1(content)}`]);
  expect(bed.statuses().filter(name => name.endsWith('.error'))).toHaveLength(11);
}, 60_000);

test('what is stored is what was there', async () => {
  const bed = await makeBed({ repos: 2, cipherPass: 'sekret' });
  const content = bed.ready(4);
  expect(await bed.push(4)).toMatchObject({ code: 0 });
  for (const key of [1, 2]) expect(bed.bed.archived(key)).toEqual([stored(4, content)]);
  const got = await bed.bed.get(segmentName(4), 'pg_wal/RECOVERYXLOG');
  expect(got.code).toBe(0);
  expect(sha1(readFileSync(join(bed.bed.dataDirectory, 'pg_wal/RECOVERYXLOG')))).toBe(sha1(content));
});
