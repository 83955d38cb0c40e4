import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as start from '../../../src/command/control/start.ts';
import * as stop from '../../../src/command/control/stop.ts';
import { runCommand } from '../../support/command-run.ts';

let root: string;
let lockPath: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'control-'));
  lockPath = join(root, 'lock');
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(root, { recursive: true });
});

const runStop = (...args: string[]) => runCommand(stop, ['stop', `--lock-path=${lockPath}`, ...args]);
const runStart = (...args: string[]) => runCommand(start, ['start', `--lock-path=${lockPath}`, ...args]);

/** A process that holds locks of a stanza until it is told to end. */
async function holdLocks(...names: string[]): Promise<ChildProcess> {
  mkdirSync(lockPath, { recursive: true });
  // each flock runs the next one, and the last a shell: one process group, the innermost named in the files
  const script = 'for f; do printf \'{"execId":"%s-00000000","pid":%s}\' $$ $$ > "$f"; done; echo held; exec sleep 60';
  const paths = names.map(name => join(lockPath, name));
  const locked = [...paths.flatMap(path => ['flock', '-n', '--no-fork', path]), 'sh', '-c', script, 'sh', ...paths];
  const [program = '', ...args] = locked;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  if (child.stdout === null) throw new Error('no output to wait for');
  await once(child.stdout, 'data');
  return child;
}

describe('stop and start', () => {
  it.each([
    [['--stanza=demo'], 'demo.stop', 'for stanza demo', ' for stanza demo'],
    [[], 'all.stop', 'for all stanzas', ''],
  ])('make and remove the stop file: %j', async (args, file, stopped, started) => {
    expect((await runStop(...args)).log).toEqual([]);
    const made = statSync(join(lockPath, file));
    expect([made.size, made.mode & 0o777]).toEqual([0, 0o640 & ~process.umask()]);
    expect(await runStop(...args)).toEqual({
      log: [`WARN: stop file already exists ${stopped}`],
      output: '',
      code: undefined,
    });
    expect((await runStart(...args)).log).toEqual([]);
    expect(existsSync(join(lockPath, file))).toBe(false);
    expect(await runStart(...args)).toEqual({
      log: [`WARN: stop file does not exist${started}`],
      output: '',
      code: undefined,
    });
  });

  it('say what is in the way', async () => {
    writeFileSync(lockPath, '');
    expect((await runStop()).error).toMatchObject({ kind: 'path-create' });
    expect((await runStart()).error).toMatchObject({ kind: 'file-remove' });
  });
});

describe('stop --force', () => {
  it('ends who holds a lock of the stanza, once, and nobody else', async () => {
    const own = await holdLocks('demo-archive-1.lock', 'demo-backup-1.lock', 'demo-backup.lock');
    const other = await holdLocks('demo-2-backup-1.lock');
    const ended = once(own, 'exit');
    const { log } = await runStop('--stanza=demo', '--force');
    expect(log).toEqual([`INFO: sent term signal to process ${own.pid}`]);
    expect(await ended).toEqual([null, 'SIGTERM']);
    expect(other.exitCode ?? other.signalCode).toBeNull();
    expect(existsSync(join(lockPath, 'demo.stop'))).toBe(true);
  });

  it('without a stanza ends all of them', async () => {
    const both = [await holdLocks('a-backup-1.lock'), await holdLocks('b-restore-1.lock')];
    const ended = Promise.all(both.map(child => once(child, 'exit')));
    const { log } = await runStop('--force');
    expect(log).toEqual(both.map(child => `INFO: sent term signal to process ${child.pid}`));
    await ended;
  });

  it('warns of files that name nobody, and goes on', async () => {
    const silent = await holdLocks('demo-backup-1.lock');
    writeFileSync(join(lockPath, 'demo-backup-1.lock'), '{"execId":"1-12345678","pid":-1}');
    writeFileSync(join(lockPath, 'demo-archive-1.lock'), '{"execId":"1-12345678","pid":1}');
    writeFileSync(join(lockPath, 'demo-else.lock'), '');
    const { log, error } = await runStop('--stanza=demo', '--force');
    expect(error).toBeUndefined();
    expect(log).toEqual([
      `WARN: unable to read lock file ${lockPath}/demo-archive-1.lock`,
      `WARN: unable to read lock file ${lockPath}/demo-backup-1.lock`,
    ]);
    expect(silent.exitCode ?? silent.signalCode).toBeNull();
  });

  it('ends nobody who does not hold the lock, whatever number the file has', async () => {
    const holder = await holdLocks('demo-backup-1.lock');
    const other = await holdLocks('demo-2-backup-1.lock');
    writeFileSync(join(lockPath, 'demo-backup-1.lock'), `{"execId":"1-12345678","pid":${other.pid}}`);
    const { log } = await runStop('--stanza=demo', '--force');
    expect(log).toEqual([`WARN: unable to read lock file ${lockPath}/demo-backup-1.lock`]);
    expect([holder, other].map(child => child.exitCode ?? child.signalCode)).toEqual([null, null]);
  });

  it('does nothing more when the stanza was stopped before', async () => {
    const holder = await holdLocks('demo-backup-1.lock');
    await runStop('--stanza=demo');
    expect((await runStop('--stanza=demo', '--force')).log).toEqual(['WARN: stop file already exists for stanza demo']);
    expect(holder.exitCode ?? holder.signalCode).toBeNull();
  });
});
