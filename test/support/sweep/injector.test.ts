import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { makeTemporaryFolder } from '../cluster.ts';
import { giveTo, runAs, unprivilegedUser } from '../unprivileged.ts';
import { Injector } from './injector.ts';

const user = unprivilegedUser();
const folder = makeTemporaryFolder(user, 'injector-');
const work = join(folder, 'work');
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => rmSync(work, { recursive: true, force: true }));

/** Writes, syncs and renames a file in the main thread, and another one in a thread of its own. */
const program = join(folder, 'program.cjs');
writeFileSync(
  program,
  `const fs = require('node:fs');
  const { Worker, isMainThread } = require('node:worker_threads');
  const write = name => {
    const file = fs.openSync(name + '.tmp', 'w');
    const bytes = Buffer.from('0123456789');
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(file, bytes, at);
    fs.fsync(file, error => {
      if (error) throw error;
      fs.closeSync(file);
      fs.renameSync(name + '.tmp', name);
    });
  };
  const [, , folder] = process.argv;
  if (isMainThread) {
    fs.mkdirSync(folder);
    write(folder + '/one');
    new Worker(__filename, { argv: [folder] });
  } else write(folder + '/two');
  `,
);
giveTo(user, program);
const injector = new Injector(user, folder, [process.execPath, program]);
const run = (tool: readonly string[]) => runAs(user, [...tool, work]);

test('counts what all threads do', async () => {
  const counted = injector.prepare({ under: [work], log: true });
  expect((await run(counted.tool)).code).toBe(0);
  expect(counted.total()).toBe(11);
  expect(counted.hit()).toBeUndefined();
  const operations = counted.operations();
  expect(operations.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(operations.filter(({ path }) => path.startsWith(join(work, 'two'))).map(({ kind }) => kind)).toEqual([
    'create',
    'write',
    'sync',
    'close',
    'rename',
  ]);
});

test('the n-th one of a kind fails, in whatever thread and however it is called', async () => {
  for (const [nth, name] of [
    [1, 'one'],
    [2, 'two'],
  ] as const) {
    rmSync(work, { recursive: true, force: true });
    const failing = injector.prepare({ under: [work], kinds: ['sync'], nth, fault: 'EIO' });
    const { code, stderr } = await run(failing.tool);
    expect(code).toBe(1);
    expect(stderr).toMatch(/EIO: i\/o error, fsync/);
    expect(failing.hit()).toEqual({ number: nth, kind: 'sync', path: join(work, `${name}.tmp`) });
    expect(existsSync(join(work, name))).toBe(false);
  }
});

test('a write falls short', async () => {
  const short = injector.prepare({ under: [work], kinds: ['write'], nth: 1, fault: 'short' });
  expect((await run(short.tool)).code).toBe(0);
  expect(short.total()).toBe(3);
});

test('the process is killed before or after it', async () => {
  for (const [fault, left] of [
    ['kill-before', ['one', 'two.tmp']],
    ['kill-after', ['one', 'two']],
  ] as const) {
    rmSync(work, { recursive: true, force: true });
    const killed = injector.prepare({ under: [work], kinds: ['rename'], nth: 2, fault });
    expect((await run(killed.tool)).signal).toBe('SIGKILL');
    expect(killed.hit()?.number).toBe(2);
    expect(killed.total()).toBeUndefined();
    expect(readdirSync(work).sort()).toEqual(left);
  }
});

test('a thread ends alone, at once or by an error that nobody catches', async () => {
  const counted = injector.prepare({ under: [work], thread: 'worker', log: true });
  expect((await run(counted.tool)).code).toBe(0);
  expect(new Set(counted.operations().map(({ path }) => path.replace(/\.tmp$/, '')))).toEqual(
    new Set([join(work, 'two')]),
  );
  for (const [fault, code, left] of [
    ['end-thread', 0, ['one', 'two.tmp']],
    ['throw-in-thread', 1, ['one', 'two']],
  ] as const) {
    rmSync(work, { recursive: true, force: true });
    const ending = injector.prepare({ under: [work], thread: 'worker', kinds: ['rename'], nth: 1, fault });
    expect((await run(ending.tool)).code).toBe(code);
    expect(ending.hit()?.path).toBe(join(work, 'two.tmp'));
    expect(readdirSync(work).sort()).toEqual(left);
  }
});

test('a process that is started after it has happened is left alone', async () => {
  const killed = injector.prepare({ under: [work], kinds: ['rename'], nth: 1, fault: 'kill-before', once: true });
  expect((await run(killed.tool)).signal).toBe('SIGKILL');
  rmSync(work, { recursive: true });
  expect((await run(killed.tool)).code).toBe(0);
});

test('it is killed after an operation that fails, too', async () => {
  await run([process.execPath, program]);
  const killed = injector.prepare({ under: [work], kinds: ['mkdir'], nth: 1, fault: 'kill-after' });
  expect((await run(killed.tool)).signal).toBe('SIGKILL');
});
