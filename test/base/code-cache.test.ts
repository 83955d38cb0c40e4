import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { userCacheFolder } from '../../src/base/user-cache.ts';

let root: string;
let cacheHome: string;

/** Loads a program in a process of its own, as V8 remembers what a process has compiled. */
function load(environment: NodeJS.ProcessEnv = {}): { answer: number; cached: boolean } {
  const { PATH } = process.env;
  const output = execFileSync(process.execPath, [join(root, 'load.cjs')], {
    env: { PATH, XDG_CACHE_HOME: cacheHome, ...environment },
    encoding: 'utf8',
  });
  return JSON.parse(output);
}

const folder = (): string => join(cacheHome, 'pgbackstop');
const kept = (): string[] => readdirSync(folder()).map(name => join(folder(), name));

function onlyKept(): string {
  const [path, ...more] = kept();
  if (path === undefined || more.length > 0) throw new Error(`one file was expected: ${kept()}`);
  return path;
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'code-cache-'));
  const outfile = join(root, 'code-cache.cjs');
  const contents = ['code-cache', 'heap', 'user-cache']
    .map(name => `export * from './src/base/${name}.ts';`)
    .join('\n');
  buildSync({ stdin: { contents, resolveDir: '.' }, bundle: true, platform: 'node', format: 'cjs', outfile });
  writeFileSync(
    join(root, 'program-1.cjs'),
    `(function (exports, require) {
       const { basename } = require('node:path');
       exports.answer = () => Number(basename('/4/2')) + 40;
     })`,
  );
  writeFileSync(
    join(root, 'load.cjs'),
    `const { keepHeapsSmall, loadProgram, userCacheFolder } = require('./code-cache.cjs');
     const program = loadProgram(${JSON.stringify(join(root, 'program-1.cjs'))}, userCacheFolder(process.env), 'info');
     console.log(JSON.stringify({ answer: program.exports.answer(), cached: program.cached }));
     if (process.env.SMALL) keepHeapsSmall();
     program.keep();`,
  );
});

beforeEach(() => {
  cacheHome = mkdtempSync(join(root, 'home-'));
});

afterAll(() => rmSync(root, { recursive: true }));

describe('compiled code', () => {
  test('is kept by the first run, for its user alone, and used by the next', () => {
    expect(load()).toEqual({ answer: 42, cached: false });
    expect(statSync(onlyKept()).mode & 0o777).toBe(0o600);
    expect(statSync(folder()).mode & 0o777).toBe(0o700);
    expect(load()).toEqual({ answer: 42, cached: true });
  });

  test('is used also when the run that kept it had set flags of V8', () => {
    expect(load({ SMALL: '1' })).toEqual({ answer: 42, cached: false });
    expect(load()).toEqual({ answer: 42, cached: true });
  });

  test.each([
    ['damaged', (bytes: Buffer) => bytes.fill(0x55, bytes.length / 2, bytes.length / 2 + 8)],
    ['cut', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['empty', () => Buffer.alloc(0)],
  ])('that is %s is not used, and replaced', (_, damage) => {
    load();
    const path = onlyKept();
    writeFileSync(path, damage(readFileSync(path)));
    expect(load()).toEqual({ answer: 42, cached: false });
    expect(load()).toEqual({ answer: 42, cached: true });
  });

  test('that another user could have written is not used', () => {
    load();
    chmodSync(onlyKept(), 0o620);
    expect(load()).toEqual({ answer: 42, cached: false });
  });

  test('is not needed: no folder for it, or none wanted', () => {
    expect(load({ XDG_CACHE_HOME: join(root, 'load.cjs') })).toEqual({ answer: 42, cached: false });
    expect(load({ NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual({ answer: 42, cached: false });
    expect(readdirSync(cacheHome)).toEqual([]);
  });

  test('is not kept behind a link that somebody else may have made: nothing is written or removed there', () => {
    const elsewhere = mkdtempSync(join(root, 'elsewhere-'));
    for (let file = 0; file < 70; file++) writeFileSync(join(elsewhere, `file-${file}`), '');
    symlinkSync(elsewhere, folder());
    expect(load()).toEqual({ answer: 42, cached: false });
    expect(load()).toEqual({ answer: 42, cached: false });
    expect(readdirSync(elsewhere)).toHaveLength(70);
  });

  test('is not kept in a folder to which others may write', () => {
    mkdirSync(folder());
    chmodSync(folder(), 0o777);
    expect(load()).toEqual({ answer: 42, cached: false });
    expect(kept()).toEqual([]);
  });

  test.runIf(process.getuid?.() === 0)('is not kept in the home of another user, as sudo may have it', () => {
    chownSync(cacheHome, 65534, 65534);
    expect(load({ XDG_CACHE_HOME: undefined, HOME: cacheHome })).toEqual({ answer: 42, cached: false });
    expect(readdirSync(cacheHome)).toEqual([]);
  });

  test('is not kept where there is no home', () => {
    for (const HOME of ['', 'relative']) {
      expect(load({ XDG_CACHE_HOME: undefined, HOME })).toEqual({ answer: 42, cached: false });
    }
    expect(userCacheFolder({ HOME: 'relative' })).toBeUndefined();
    expect(existsSync('.cache/pgbackstop')).toBe(false);
    expect(existsSync('relative')).toBe(false);
  });

  test('does not pile up: the oldest goes', () => {
    load();
    const name = onlyKept();
    rmSync(name);
    for (let old = 0; old < 64; old++) {
      const path = join(folder(), `old-${old}`);
      writeFileSync(path, '');
      utimesSync(path, 1_000_000 + old, 1_000_000 + old);
    }
    load();
    expect(kept()).toHaveLength(64);
    expect(kept()).toContain(name);
    expect(kept()).not.toContain(join(folder(), 'old-0'));
  });

  test('lies in the cache folder of the user', () => {
    expect(userCacheFolder({ XDG_CACHE_HOME: '/var/cache/me' })).toBe('/var/cache/me/pgbackstop');
    expect(userCacheFolder({ XDG_CACHE_HOME: 'relative' })).toMatch(/^\/.*\/\.cache\/pgbackstop$/);
    expect(userCacheFolder({ NODE_DISABLE_COMPILE_CACHE: '1' })).toBeUndefined();
  });
});
