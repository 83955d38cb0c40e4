import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acquireLock, adoptLock, inspectLock, readLockFile, tryLock } from '../../src/base/lock.ts';

let folder: string;
let program: string;
let names = 0;
const fresh = (): string => join(folder, `sub/${++names}.lock`);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-lock-'));
  const source = join(folder, 'hold.ts');
  writeFileSync(
    source,
    `import { acquireLock, adoptLock } from '${join(process.cwd(), 'src/base')}/lock.ts';
     const lock = process.argv[3] === 'adopt' ? adoptLock(process.argv[2], 3, '1-abc') : acquireLock(process.argv[2], '1-abc');
     if (lock === undefined) throw new Error('nothing to adopt');
     lock.note({ percentComplete: 1234, size: 100, sizeComplete: 12 });
     process.stdout.write('held');
     setInterval(() => {}, 1000);
     process.on('SIGUSR1', () => { lock.release(); process.exit(0); });`,
  );
  program = join(folder, 'hold.cjs');
  buildSync({ entryPoints: [source], bundle: true, platform: 'node', format: 'cjs', outfile: program });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process that holds the lock. @returns what ends it with a signal */
async function hold(path: string): Promise<{ end(signal: NodeJS.Signals): Promise<void>; pid: number }> {
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', code => reject(new Error(`ended with ${code}`)));
  });
  return {
    pid: child.pid ?? 0,
    end: signal =>
      new Promise(resolve => {
        child.once('exit', () => resolve());
        child.kill(signal);
      }),
  };
}

describe('somebody who looks at a left-over file', () => {
  /** Has another process hold the file in the way of those who look, for so many seconds. */
  async function look(path: string, seconds: number): Promise<void> {
    const child = spawn('flock', ['-s', path, 'sh', '-c', `echo; sleep ${seconds}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
  }

  it('is not taken for its holder, and keeps nobody from the lock', async () => {
    const path = join(folder, 'left-over.lock');
    writeFileSync(path, '{"execId":"1-abc","pid":1234}');
    await look(path, 0.06);
    expect(inspectLock(path)).toEqual({ state: 'unlocked' });
    acquireLock(path, '7-abc').release();
  });
});

describe('what a lock file says', () => {
  it.each([
    ['{"execId":"1-a","pid":1e999}', undefined],
    ['{"execId":"1-a","pid":7,"sz":1e999,"szCplt":-1,"pctCplt":0.5}', { execId: '1-a', pid: 7 }],
    ['{"execId":"1-a","pid":7,"sz":18446744073709551616,"szCplt":5}', { execId: '1-a', pid: 7, sizeComplete: 5 }],
  ])('%s: only what is a count counts', (text, content) => {
    const path = join(folder, 'altered.lock');
    writeFileSync(path, text);
    expect(readLockFile(path)).toEqual(content);
  });
});

describe('a lock', () => {
  it('is a file that says who holds it, and goes with its release', () => {
    const path = fresh();
    expect(inspectLock(path)).toEqual({ state: 'missing' });
    const lock = acquireLock(path, '7-abc');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ execId: '7-abc', pid: process.pid });
    lock.note({ percentComplete: 50, size: 10, sizeComplete: 5 });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      execId: '7-abc',
      pid: process.pid,
      pctCplt: 50,
      sz: 10,
      szCplt: 5,
    });
    lock.note(undefined);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ execId: '7-abc', pid: process.pid });
    lock.release();
    expect(existsSync(path)).toBe(false);
    lock.release();
    lock.note(undefined);
    acquireLock(path, '8-abc').release();
  });

  it('is refused while this process holds it already', () => {
    const path = fresh();
    const lock = acquireLock(path, '1-a');
    expect(() => acquireLock(path, '2-b')).toThrow(
      /unable to acquire lock on file .*: Resource temporarily unavailable/,
    );
    lock.release();
  });

  it('excludes another process, tells about it, and is free when that releases it', async () => {
    const path = fresh();
    const holder = await hold(path);
    expect(() => acquireLock(path, '2-b')).toThrow('Resource temporarily unavailable');
    expect(inspectLock(path)).toEqual({
      state: 'held',
      content: { execId: '1-abc', pid: holder.pid, percentComplete: 1234, size: 100, sizeComplete: 12 },
    });
    // the failed attempt must not have touched what the holder wrote
    expect(readFileSync(path, 'utf8')).toContain('1-abc');
    await holder.end('SIGUSR1');
    acquireLock(path, '2-b').release();
  });

  it('is freed by the kernel when its holder is killed', async () => {
    const path = fresh();
    const holder = await hold(path);
    await holder.end('SIGKILL');
    expect(existsSync(path)).toBe(true);
    expect(inspectLock(path)).toEqual({ state: 'unlocked' });
    acquireLock(path, '2-b').release();
    expect(existsSync(path)).toBe(false);
  });

  it('excludes, and is excluded by, flock(1)', async () => {
    const path = fresh();
    const lock = acquireLock(path, '1-a');
    expect(() => execFileSync('flock', ['-n', path, 'true'], { stdio: 'ignore' })).toThrow();
    lock.release();
    writeFileSync(path, '');
    const other = spawn('flock', ['-n', path, 'sh', '-c', 'echo held; read line'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await new Promise(resolve => other.stdout.once('data', resolve));
    expect(() => acquireLock(path, '1-a')).toThrow('Resource temporarily unavailable');
    // a holder that wrote nothing of ours
    expect(inspectLock(path)).toEqual({ state: 'held', content: undefined });
    const ended = new Promise(resolve => other.once('exit', resolve));
    other.stdin.end('\n');
    await ended;
    acquireLock(path, '1-a').release();
  });

  it('is not passed on to children', async () => {
    const path = fresh();
    const lock = acquireLock(path, '1-a');
    const child = spawn('sleep', ['30'], { stdio: 'ignore' });
    lock.release();
    acquireLock(path, '2-b').release();
    child.kill();
  });

  it('whose file cannot be closed is let go once: its number may be that of another file by then', () => {
    const lock = acquireLock(fresh(), '1-abc');
    closeSync(lock.descriptor ?? -1);
    expect(() => lock.leave()).toThrow(expect.objectContaining({ kind: 'file-close' }));
    expect(lock.descriptor).toBeUndefined();
    lock.leave();
  });

  it('whose file cannot be made is an error that names it', () => {
    writeFileSync(join(folder, 'plain'), '');
    expect(() => acquireLock(join(folder, 'plain/x.lock'), '1-a')).toThrow(/unable to .*plain/);
  });
});

describe('a lock that is handed to another process', () => {
  it('is never free: the other has it before we let go', async () => {
    const path = fresh();
    const lock = tryLock(path, '1-ours');
    if (lock?.descriptor === undefined) throw new Error('not locked');
    const heir = spawn(process.execPath, [program, path, 'adopt'], {
      stdio: ['ignore', 'pipe', 'inherit', lock.descriptor],
    });
    lock.leave();
    expect(lock.descriptor).toBeUndefined();
    // also before the other has begun to look for it
    expect(tryLock(path, '2-third')).toBeUndefined();
    if (heir.stdout === null) throw new Error('no output');
    await once(heir.stdout, 'data');
    expect(tryLock(path, '2-third')).toBeUndefined();
    expect(inspectLock(path)).toMatchObject({ state: 'held', content: { execId: '1-abc', pid: heir.pid } });
    heir.kill('SIGUSR1');
    await once(heir, 'exit');
    expect(existsSync(path)).toBe(false);
  });

  it('is not taken from a descriptor of something else, or of nothing', () => {
    const [path, other] = [fresh(), fresh()];
    const lock = acquireLock(other, '1-ours');
    expect(adoptLock(path, lock.descriptor ?? -1, '1-ours')).toBeUndefined();
    expect(adoptLock(path, 4_000, '1-ours')).toBeUndefined();
    lock.release();
  });
});
