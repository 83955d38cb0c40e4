/** What the tests of the configuration share: configuration files in a directory of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type BackstopError, isBackstopError } from '../../src/base/error.ts';
import { type Loaded, load, type Settings } from '../../src/config/index.ts';

export const program = '/usr/bin/pgbackrest';

const root = mkdtempSync(join(tmpdir(), 'pgbackstop-config-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** A fresh directory. */
export function directory(): string {
  const path = join(root, String(++count));
  mkdirSync(path);
  return path;
}

/** Writes a file (with its directories). @returns its path */
export function file(path: string, content: string): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A configuration file. @returns the `--config` argument for it */
export const config = (content: string): string => `--config=${file(join(directory(), 'c.conf'), content)}`;

export interface Sources {
  readonly args?: readonly string[];
  readonly file?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

export function loadFrom({ args = [], file: content, environment = {} }: Sources): Loaded {
  return load([content === undefined ? '--no-config' : config(content), ...args], environment, program);
}

export type Run = Extract<Loaded, { kind: 'run' }>;

export function run(sources: Sources): Run {
  const loaded = loadFrom(sources);
  if (loaded.kind !== 'run') throw new Error(`expected a command to run, got ${loaded.kind}`);
  return loaded;
}

export const settings = (sources: Sources): Settings => run(sources).settings;

/** The error of a load that must fail. */
export function failure(action: () => unknown): BackstopError & { readonly stage?: string } {
  try {
    action();
  } catch (error) {
    if (isBackstopError(error)) return error;
    throw error;
  }
  throw new Error('expected an error');
}

/** `[031] message` */
export const summary = (error: BackstopError): string => `[${String(error.code).padStart(3, '0')}] ${error.message}`;
