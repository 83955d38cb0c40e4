/**
 * Loaded before our program (`node --require`): counts what it does to files, and lets one operation fail, fall short, or be
 * the last one. The same in every thread, with one count for all. What is to happen is put into a copy of this
 * file by injector.ts, so that nothing of it is in the environment or on the command line.
 */
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const { isMainThread, getEnvironmentData, setEnvironmentData } = require('node:worker_threads');

const injection = /* INJECTION */ null;

const original = { ...fs };
const key = 'pgbackstop test: operations';
const count = counter();
const paths = new Map();

function counter() {
  const inherited = getEnvironmentData(key);
  if (inherited !== undefined) return new Int32Array(inherited);
  const shared = new SharedArrayBuffer(4);
  setEnvironmentData(key, shared);
  return new Int32Array(shared);
}

/** Where a descriptor leads, whoever opened it. */
function pathOf(target) {
  if (typeof target === 'string') return target;
  if (Buffer.isBuffer(target)) return target.toString();
  if (typeof target !== 'number') return '';
  const known = paths.get(target);
  if (known !== undefined) return known;
  try {
    return original.readlinkSync(`/proc/self/fd/${target}`);
  } catch {
    return '';
  }
}

function note(line) {
  original.appendFileSync(injection.report, `${line}\n`);
}

/** @returns what is to happen to this operation, if it is its turn */
function turn(kind, path) {
  if (injection.thread === 'worker' && isMainThread) return undefined;
  if (!injection.under.some(folder => path === folder || path.startsWith(`${folder}/`))) return undefined;
  if (injection.kinds.length > 0 && !injection.kinds.includes(kind)) return undefined;
  const number = Atomics.add(count, 0, 1) + 1;
  if (injection.log) note(`did ${number} ${kind} ${path}`);
  if (number !== injection.nth && !(injection.onwards && number > injection.nth)) return undefined;
  note(`hit ${number} ${kind} ${path}`);
  return injection.fault;
}

function failure(code, call, path) {
  const errno = -os.constants.errno[code];
  // what libuv has no name for, as ESTALE
  const unknown = `Unknown system error ${errno}`;
  const [name, text] = require('node:util').getSystemErrorMap().get(errno) ?? [unknown, unknown];
  return Object.assign(new Error(`${name}: ${text}, ${call} '${path}'`), { code: name, errno, syscall: call, path });
}

function kill() {
  process.kill(process.pid, 'SIGKILL');
  // a signal to oneself comes before the call returns, to this thread or another
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

/** Halves what a read or write may move; the arguments are (descriptor, bytes, offset, length, ...). */
function shorten(args) {
  const [descriptor, bytes, offset = 0, length = bytes.byteLength - (offset ?? 0), ...rest] = args;
  return [descriptor, bytes, offset ?? 0, Math.max(1, length >> 1), ...rest];
}

/** What somebody else does to the file just before the operation. */
function disturb(how, path) {
  const file = original.lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (how === 'vanish') original.rmSync(path, { recursive: true });
  else if (how === 'forbid') original.chmodSync(path, 0);
  else if (!file.isFile()) return;
  // by whole pages, as a server does it
  else if (how === 'shrink') original.truncateSync(path, (file.size >> 1) & ~8191);
  else original.appendFileSync(path, Buffer.alloc(8192, 7));
}

function kindOfOpen(flags) {
  if (typeof flags === 'string') return /[wax+]/.test(flags) ? 'create' : 'open';
  return (flags ?? 0) & (fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT) ? 'create' : 'open';
}

const kinds = {
  read: 'read',
  readv: 'read',
  write: 'write',
  writev: 'write',
  fsync: 'sync',
  fdatasync: 'sync',
  rename: 'rename',
  unlink: 'remove',
  rmdir: 'remove',
  rm: 'remove',
  mkdir: 'mkdir',
  link: 'link',
  symlink: 'link',
  lstat: 'stat',
  stat: 'stat',
  fstat: 'stat',
  readdir: 'list',
  opendir: 'list',
  readlink: 'stat',
  access: 'stat',
  realpath: 'stat',
  ftruncate: 'truncate',
  truncate: 'truncate',
  futimes: 'attributes',
  utimes: 'attributes',
  fchown: 'attributes',
  chown: 'attributes',
  lchown: 'attributes',
  fchmod: 'attributes',
  chmod: 'attributes',
  close: 'close',
  readFile: 'read',
  writeFile: 'write',
  appendFile: 'write',
  copyFile: 'write',
};

/** Which argument names what is changed: of links and renames the second one is what will be there. */
function subject(name, args) {
  return pathOf(name === 'symlink' || name === 'link' ? args[1] : args[0]);
}

/**
 * @param run does it with these arguments
 * @param fail ends it with an error
 */
function around(name, kind, args, run, fail) {
  const path = subject(name, args);
  const fault = turn(kind, path);
  switch (fault) {
    case undefined:
      return run(args);
    case 'kill-before':
      return kill();
    case 'kill-after':
      try {
        run(args);
      } finally {
        kill();
      }
      return undefined;
    case 'vanish':
    case 'shrink':
    case 'grow':
    case 'forbid':
      disturb(fault, path);
      return run(args);
    case 'end-thread':
      // in a worker it ends no more than the thread
      return process.exit(7);
    case 'throw-in-thread':
      setImmediate(() => {
        throw new Error('thrown on purpose');
      });
      return run(args);
    case 'short':
      return run(Buffer.isBuffer(args[1]) || ArrayBuffer.isView(args[1]) ? shorten(args) : args);
    default:
      // a descriptor is closed even where close() fails
      if (name === 'close') run(args);
      return fail(failure(fault, name, path));
  }
}

function patchSync(name, kindFor) {
  const call = original[`${name}Sync`];
  if (call === undefined) return;
  fs[`${name}Sync`] = (...args) =>
    around(
      name,
      kindFor(args),
      args,
      given => {
        const result = call(...given);
        if (name === 'open') paths.set(result, pathOf(args[0]));
        if (name === 'close') paths.delete(args[0]);
        return result;
      },
      error => {
        throw error;
      },
    );
  // realpathSync has a function in it
  Object.assign(fs[`${name}Sync`], call);
}

function patchCallback(name, kindFor) {
  const call = original[name];
  if (call === undefined) return;
  fs[name] = (...args) => {
    const done = args.pop();
    return around(
      name,
      kindFor(args),
      args,
      given =>
        call(...given, (error, result, ...more) => {
          if (name === 'open' && !error) paths.set(result, pathOf(args[0]));
          if (name === 'close') paths.delete(args[0]);
          done(error, result, ...more);
        }),
      error => process.nextTick(done, error),
    );
  };
}

function patchPromise(name, kindFor) {
  const call = fs.promises[name];
  if (call === undefined || name === 'open') return;
  fs.promises[name] = (...args) =>
    around(
      name,
      kindFor(args),
      args,
      given => call(...given),
      error => Promise.reject(error),
    );
}

if (injection !== null && isWanted()) {
  for (const [name, kind] of Object.entries(kinds)) {
    patchSync(name, () => kind);
    patchCallback(name, () => kind);
    patchPromise(name, () => kind);
  }
  patchSync('open', ([, flags]) => kindOfOpen(flags));
  patchCallback('open', ([, flags]) => kindOfOpen(flags));
  // to existsSync() what cannot be looked at is not there
  fs.existsSync = path =>
    around(
      'stat',
      'stat',
      [path],
      () => original.existsSync(path),
      () => false,
    );
  if (isMainThread) process.on('exit', () => note(`all ${Atomics.load(count, 0)}`));
}

/** A thread has no command line of its own: the main one says what it is. */
function isBackground() {
  const name = `${key}, background`;
  if (isMainThread)
    setEnvironmentData(
      name,
      process.argv.some(arg => /:async$/.test(arg)),
    );
  return getEnvironmentData(name) === true;
}

function isWanted() {
  if (injection.once && original.existsSync(injection.report) && hasHit()) return false;
  const own = isBackground() ? 'background' : 'foreground';
  return injection.process === undefined || injection.process === own;
}

/** Whether it has happened to an earlier process of the same run. */
function hasHit() {
  return /^hit /m.test(original.readFileSync(injection.report, 'utf8'));
}
