/** Asynchronous archive-get through the executable: the spool, and the background process that fills it. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootId, processStart } from '../../../src/command/archive/prefetch-state.ts';
import { lockPaths } from '../../../src/command/lock-paths.ts';
import { type WalName, walNamesFrom } from '../../../src/postgres/wal.ts';
import { runnableProject } from '../../support/unprivileged-project.ts';
import { ArchiveBed, type ArchiveBedOptions, sha1, systemId } from './archive-bed.ts';

const mebibyte = 1024 * 1024;
/** Containers may have it, and not allow it. */
const canTrace = ((): boolean => {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return true;
  } catch {
    console.log('test/command/archive/get-ahead: system calls are not counted, strace cannot be used');
    return false;
  }
})();
const first = '000000010000000000000004' as WalName;
const names = (count: number, from: string = first): WalName[] => [...walNamesFrom(from, count, mebibyte)];
const nameAt = (index: number, from: string = first): WalName => names(index + 1, from)[index] as WalName;
const destination = 'pg_wal/RECOVERYXLOG';
const asynchronous = [
  '--archive-async',
  '--archive-get-queue-max=8MiB',
  '--archive-timeout=20',
  '--log-level-file=detail',
];

let bed: ArchiveBed;
async function makeBed(options: ArchiveBedOptions = {}): Promise<void> {
  bed = await ArchiveBed.create(options);
}
beforeEach(async context => {
  if (!context.task.name.includes('two repositories')) await makeBed();
});
afterEach(async () => {
  await settled();
  bed.dispose();
});

const got = (): string => join(bed.dataDirectory, destination);
const inSpool = (name = ''): string => join(bed.folder, 'spool/archive/demo/in', name);
const spooled = (): string[] => (existsSync(inSpool()) ? readdirSync(inSpool()).sort() : []);
const log = (): string => {
  const path = join(bed.folder, 'log/demo-archive-get-async.log');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};
const get = (name: string, ...more: string[]) => bed.get(name, destination, [...asynchronous, ...more]);

/** The background process has ended: its lock files are gone. */
async function settled(): Promise<void> {
  const paths = lockPaths(
    { values: { 'lock-path': join(bed.folder, 'lock'), stanza: 'demo' }, repos: [{ key: 1 }] },
    'archive',
  );
  await expect.poll(() => paths.filter(existsSync), { timeout: 20_000 }).toEqual([]);
}

/** Archives segments. @returns their content by name */
async function archive(list: readonly string[], options: readonly string[] = []): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for (const name of list) {
    contents.set(name, bed.segment(name));
    const pushed = await bed.push(`pg_wal/${name}`, ['--compress-type=lz4', ...options]);
    expect(pushed.code, pushed.output).toBe(0);
  }
  return contents;
}

test('the background process fetches ahead, and what is asked for next is there', async () => {
  const contents = await archive(names(12));
  const one = await get(first);
  expect(one.output).toContain(`INFO: found ${first} in the archive asynchronously\n`);
  expect(one.code).toBe(0);
  expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(first) ?? Buffer.alloc(0)));
  await settled();
  // 8 MiB of 1 MiB
  expect(spooled()).toEqual(names(8, nameAt(1)));
  expect(log()).toContain(`INFO: get 8 WAL file(s) from archive: ${first}...${nameAt(7)}\n`);
  expect(log()).toMatch(new RegExp(`P0[1-9] DETAIL: found ${first} in the repo1: 15-1 archive`));
  expect(log()).toContain(`archive-get:async command begin`);
  expect(log()).toContain(`[${first}, 8]`);

  // while half of the queue is there nobody is started
  const before = log();
  for (const name of names(3, nameAt(1))) {
    const next = await get(name);
    expect(next.output).toContain(`INFO: found ${name} in the archive asynchronously\n`);
    expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(name) ?? Buffer.alloc(0)));
  }
  expect((await get(nameAt(4))).code).toBe(0);
  expect(spooled()).toEqual(names(4, nameAt(5)));
  expect(log()).toBe(before);
  // and then one is
  expect((await get(nameAt(5))).code).toBe(0);
  await settled();
  expect(log().slice(before.length)).toContain(`INFO: get 5 WAL file(s) from archive: ${nameAt(9)}...${nameAt(13)}\n`);
  expect(spooled().filter(name => !name.endsWith('.ok'))).toEqual(names(6, nameAt(6)));
});

test('the background process goes on while segments are used, and its queue stays as long as it is', async () => {
  const contents = await archive(names(14));
  for (const name of names(14)) {
    expect((await get(name)).output).toContain(`INFO: found ${name} in the archive asynchronously\n`);
    expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(name) ?? Buffer.alloc(0)));
    expect(spooled().length).toBeLessThanOrEqual(9);
  }
  // one process for all
  expect(log().match(/PROCESS START/g)).toHaveLength(1);
});

test.skipIf(!canTrace)('a queue of 10,000 segments is not looked through', async () => {
  const start = bed.segment(first).subarray(0, 512);
  mkdirSync(inSpool(), { recursive: true });
  for (const name of names(10_000)) {
    writeFileSync(inSpool(name), start);
    truncateSync(inSpool(name), mebibyte);
  }
  bed.own();
  const trace = join(bed.folder, 'trace');
  const project = runnableProject(bed.user);
  const traced = ['strace', '-f', '-qq', '-o', trace, '-e', 'trace=getdents64,rename', ...project.command];
  const options = ['--archive-async', '--archive-get-queue-max=10000MiB'];
  const { code, output } = await bed.run(traced, ['archive-get', ...options, first, destination]);
  project.remove();
  expect(code, output).toBe(0);
  expect(output).toContain(`found ${first} in the archive asynchronously`);
  const calls = readFileSync(trace, 'utf8').split('\n');
  expect(calls.filter(line => line.includes('rename('))).toHaveLength(1);
  // a directory of so many names takes dozens of calls; Node reads one or another of its own
  expect(calls.filter(line => line.includes('getdents64(')).length).toBeLessThan(10);
});

describe('what the archive does not have', () => {
  test('is not there only when a look that began after the question says so', async () => {
    await archive([first]);
    const missing = nameAt(1);
    expect((await get(first)).code).toBe(0);
    await settled();
    // the background process has met the end of the archive
    expect(spooled()).toEqual([`${missing}.ok`]);
    const [content] = (await archive([missing])).values();
    const found = await get(missing);
    expect(found.code, found.output).toBe(0);
    expect(sha1(readFileSync(got()))).toBe(sha1(content ?? Buffer.alloc(0)));
    const none = await get(nameAt(2));
    expect(none.output).toContain(`INFO: unable to find ${nameAt(2)} in the archive asynchronously\n`);
    expect(none.code).toBe(1);
  });

  test('with archive-missing-retry=n an earlier answer is enough', async () => {
    mkdirSync(inSpool(), { recursive: true });
    writeFileSync(inSpool(`${first}.ok`), '');
    bed.own();
    await archive([first]);
    expect((await get(first, '--no-archive-missing-retry')).code).toBe(1);
    expect((await get(first)).code).toBe(0);
    expect((await get(first, '--no-archive-missing-retry')).code).toBe(0);
  });

  test('words beside a segment that is gone are no proof', async () => {
    mkdirSync(inSpool(), { recursive: true });
    await archive(names(2));
    for (const [index, words] of ['0\nread with difficulty', 'garbled'].entries()) {
      writeFileSync(inSpool(`${nameAt(index)}.ok`), words);
      bed.own();
      const found = await get(nameAt(index), '--no-archive-missing-retry');
      expect(found.code, found.output).toBe(0);
      await settled();
      rmSync(inSpool(), { recursive: true });
      mkdirSync(inSpool());
    }
  });

  test('a partial segment is not the segment', async () => {
    bed.segment(`${first}.partial`, first);
    await bed.push(`pg_wal/${first}.partial`);
    expect((await get(first)).code).toBe(1);
    expect((await get(`${first}.partial`)).code).toBe(0);
  });

  test('history files are looked for at once, without the spool', async () => {
    const outcome = await get('00000002.history');
    expect(outcome.output).toContain('INFO: unable to find 00000002.history in the archive\n');
    expect(outcome.code).toBe(1);
    expect(existsSync(join(bed.folder, 'spool'))).toBe(false);
  });

  test('two repositories: one that fails proves nothing', async () => {
    await makeBed({ repos: 2 });
    await archive([first]);
    rmSync(bed.archivedPath('', 2), { recursive: true });
    bed.write('repo2/archive/demo/15-1', 'a file in place of the directory');
    const found = await get(first);
    expect(found.code, found.output).toBe(0);
    await settled();
    const text = `unable to say whether ${nameAt(1)} is in the archive, because not all repositories can be searched:`;
    for (const options of [asynchronous, []]) {
      const missing = await bed.get(nameAt(1), destination, options);
      expect(missing.output).toContain(`ERROR: [103]: ${text}`);
      expect(missing.output).toMatch(/repo2: \[PathOpenError\]/);
      expect(missing.code).toBe(103);
      const history = await bed.get('00000002.history', destination, options);
      // where there is no directory there is no file either
      expect([1, 103]).toContain(history.code);
    }
    await settled();
    expect((await get(nameAt(1), '--repo=1')).code).toBe(1);
    await settled();
    // to a server in recovery every code up to 125 is the end of WAL
    bed.write('data/recovery.signal', '');
    bed.write('data/postmaster.pid', '1');
    for (const options of [asynchronous, []]) {
      const recovering = await bed.get(nameAt(1), destination, options);
      expect(recovering.output).toContain('aborted with exception [103]');
      expect(recovering.code).toBe(128 + 103);
    }
    const mistyped = await get(nameAt(1), '--process-max=never');
    expect(mistyped.output).toContain("ERROR: [032]: 'never' is not valid for 'process-max' option");
    expect(mistyped.code).toBe(128 + 32);
    bed.write('data/standby.signal', '');
    expect((await get(nameAt(1))).code).toBe(103);
  });
});

describe('what lies in the spool', () => {
  const put = (name: string, content: string | Uint8Array): string =>
    bed.write(`spool/archive/demo/in/${name}`, content);

  test('is handed out when it is a segment of this cluster', async () => {
    const content = bed.segment(first);
    put(first, content);
    put(`${first}.ok`, '0\nread with difficulty');
    bed.own();
    const outcome = await get(first);
    expect(outcome.output).toContain('WARN: read with difficulty');
    expect(outcome.code, outcome.output).toBe(0);
    expect(sha1(readFileSync(got()))).toBe(sha1(content));
    await settled();
    expect(spooled()).toEqual([`${nameAt(1)}.ok`]);
  });

  test.each(['garbled', '0\n'])('is handed out also with a note %j that nobody can read', async note => {
    const content = bed.segment(first);
    put(first, content);
    put(`${first}.ok`, note);
    bed.own();
    const outcome = await get(first);
    expect(outcome.output).toContain(`WARN: status file '${inSpool(`${first}.ok`)}'`);
    expect(outcome.code, outcome.output).toBe(0);
    expect(sha1(readFileSync(got()))).toBe(sha1(content));
    expect(existsSync(inSpool(`${first}.ok`))).toBe(false);
  });

  const wrong: Record<string, () => void> = {
    'of another cluster': () => put(first, bed.segment('other', 1, { systemId: systemId + 1n })),
    'cut short': () => put(first, bed.segment(first).subarray(0, 4096)),
    empty: () => put(first, ''),
    'no segment': () => put(first, Buffer.alloc(mebibyte, 7)),
    'a directory': () => void put(`${first}/file`, 'x'),
    'a link': () => {
      put('elsewhere', bed.segment(first));
      symlinkSync(inSpool('elsewhere'), inSpool(first));
    },
    'of another stanza': () => {
      bed.write(`spool/archive/other/in/${first}`, bed.segment('x', 'other content'));
    },
    'of a spool of another cluster': () => {
      put(first, bed.segment('x', 'other content'));
      bed.write('spool/archive/demo/cluster', '{"system-id":12,"version":"15"}');
    },
    'of a time before the machine went down': () => {
      put(first, bed.segment('x', 'other content'));
      bed.write('spool/archive/demo/prefetch', JSON.stringify({ boot: 'another', pid: 4, first, count: 8, slow: {} }));
    },
  };
  test.each(Object.keys(wrong))('is not when it is %s', async what => {
    const contents = await archive(names(2));
    wrong[what]?.();
    bed.own();
    const outcome = await get(first);
    expect(outcome.code, outcome.output).toBe(0);
    expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(first) ?? Buffer.alloc(0)));
  });

  test('is removed when nobody will ask for it', async () => {
    const contents = await archive(names(9));
    put('elsewhere', 'x');
    put('000000010000000000000003', contents.get(first) ?? '');
    put('000000010000000000000030', contents.get(first) ?? '');
    put(`${nameAt(2)}.pgbackrest.tmp`, 'half');
    put(`${nameAt(3)}.error`, '25\nof the past');
    put('global.error', '25\nof the past');
    put('folder/file', 'x');
    // older than all that it speaks of is a status without a segment
    put(`${nameAt(4)}.ok`, '');
    bed.own();
    const outcome = await get(first);
    expect(outcome.code, outcome.output).toBe(0);
    await settled();
    expect(spooled()).toEqual(names(8, nameAt(1)));
  });

  test.each(['\0\0\0\0\0', `${'9'.repeat(40)}\nx`, '41\nunable to open'])(
    'garbled status %j is of the past and does not matter',
    async status => {
      await archive(names(2));
      put(`${first}.error`, status);
      put('global.error', status);
      bed.own();
      expect((await get(first)).code).toBe(0);
    },
  );

  test('segments of another timeline stay for as long as recovery may ask for them', async () => {
    // at a switch PostgreSQL asks for a segment of the newest timeline, and then for that of the older one
    await archive(names(8));
    const newer = (index: number): string => `00000002${nameAt(index).slice(8)}`;
    expect((await get(first)).code).toBe(0);
    await settled();
    const ahead = spooled().filter(name => !name.endsWith('.ok'));
    expect(ahead).toEqual(names(7, nameAt(1)));
    const before = log();
    for (let index = 1; index < 6; index++) {
      expect((await get(newer(index))).code).toBe(1);
      const older = await get(nameAt(index));
      expect(older.output).toContain(`found ${nameAt(index)} in the archive asynchronously`);
    }
    await settled();
    // nothing was fetched twice
    const again = log()
      .slice(before.length)
      .match(/DETAIL: found 00000001\w+ in/g);
    expect(again).toBe(null);
  });
});

describe('the clock jumps', () => {
  test.each([-1, 1])('by years times %i: what is fetched is found, what is missing is missing', async sign => {
    const contents = await archive(names(3));
    expect((await get(first)).code).toBe(0);
    await settled();
    const then = Date.now() / 1000 + sign * 5 * 365 * 86400;
    const root = join(bed.folder, 'spool/archive/demo');
    for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' }))
      utimesSync(join(root, entry), then, then);
    for (const name of names(2, nameAt(1))) {
      expect((await get(name)).output).toContain(`found ${name} in the archive asynchronously`);
      expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(name) ?? Buffer.alloc(0)));
    }
    expect((await get(nameAt(3))).code).toBe(1);
    await archive([nameAt(3)]);
    expect((await get(nameAt(3))).code).toBe(0);
  });
});

describe('nobody delivers', () => {
  test('because somebody else holds the lock: the segment is fetched at once', async () => {
    const [content] = (await archive([first])).values();
    const holder = bed.run(['flock', join(bed.folder, 'lock/demo-archive-1.lock'), 'sh', '-c', 'sleep 2; #'], []);
    await new Promise(resolve => setTimeout(resolve, 300));
    const started = Date.now();
    const outcome = await get(first);
    expect(outcome.output).toContain(`INFO: found ${first} in the repo1: 15-1 archive\n`);
    expect(outcome.code).toBe(0);
    expect(Date.now() - started).toBeLessThan(1800);
    expect(sha1(readFileSync(got()))).toBe(sha1(content ?? Buffer.alloc(0)));
    expect((await get(nameAt(1))).code).toBe(1);
    await holder;
    rmSync(join(bed.folder, 'lock/demo-archive-1.lock'), { force: true });
  });

  test('yet, and a warning comes before the segment: it is fetched at once', async () => {
    await archive([first]);
    const lock = ['flock', join(bed.folder, 'lock/demo-archive-1.lock'), 'sh', '-c', 'read x; #'];
    const holder = bed.run(lock, [], { input: '' });
    // a process that has our segment on its list: it is waited for
    const state = { boot: bootId(), pid: process.pid, start: processStart(process.pid), first, count: 8, slow: {} };
    bed.write('spool/archive/demo/prefetch', JSON.stringify(state));
    bed.own();
    // again and again: the call removes what was there before it
    const writing = setInterval(() => {
      mkdirSync(inSpool(), { recursive: true });
      writeFileSync(inSpool(`${first}.ok`), '0\nread with difficulty');
    }, 20);
    const outcome = await get(first, '--no-archive-missing-retry').finally(() => clearInterval(writing));
    expect(outcome.output).toContain(`INFO: found ${first} in the repo1: 15-1 archive\n`);
    expect(outcome.code, outcome.output).toBe(0);
    await holder;
    rmSync(join(bed.folder, 'lock/demo-archive-1.lock'), { force: true });
  });

  test('because the spool cannot be written: the segment is fetched at once', async () => {
    await archive([first]);
    bed.write('spool', 'a file in place of the directory');
    const outcome = await get(first);
    expect(outcome.output).toContain(`INFO: found ${first} in the repo1: 15-1 archive\n`);
    expect(outcome.code).toBe(0);
    expect((await get(nameAt(1))).code).toBe(1);
  });

  test('a damaged segment is an error, and the others come all the same', async () => {
    const contents = await archive(names(4));
    const [stored = ''] = bed.archived().filter(path => path.includes(nameAt(1)));
    const whole = readFileSync(bed.archivedPath(stored));
    writeFileSync(bed.archivedPath(stored), whole.subarray(0, 500));
    expect((await get(first)).code).toBe(0);
    await settled();
    const damaged = await get(nameAt(1));
    expect(damaged.output).toMatch(new RegExp(`ERROR: \\[029\\]: unable to get ${nameAt(1)}:`));
    expect(damaged.code).toBe(29);
    await settled();
    // healed: the error of the past is not told again
    writeFileSync(bed.archivedPath(stored), whole);
    expect((await get(nameAt(1))).code).toBe(0);
    expect(sha1(readFileSync(got()))).toBe(sha1(contents.get(nameAt(1)) ?? Buffer.alloc(0)));
  });

  test('no repository can be used', async () => {
    renameSync(bed.repoPath(), `${bed.repoPath()}.away`);
    const outcome = await get(first);
    expect(outcome.output).toContain('ERROR: [103]: unable to find a valid repository');
    expect(outcome.code).toBe(103);
    await settled();
    renameSync(`${bed.repoPath()}.away`, bed.repoPath());
    expect((await get(first)).code).toBe(1);
  });
});

test('the background process takes a list of names, as pgBackRest gives them', async () => {
  await archive(names(3));
  const outcome = await bed.ours('archive-get:async', '--archive-async', ...names(3));
  expect(outcome.code, outcome.output).toBe(0);
  expect(spooled()).toEqual(names(3));
  const bad = await bed.ours('archive-get:async', '--archive-async', 'nonsense');
  expect(bad.code).toBe(96);
});
