/** What the tests of credentials share: services on a local port, folders with shared AWS files. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { type BackstopError, isBackstopError } from '../../../../src/base/error.ts';
import { openCredentials } from '../../../../src/storage/s3/credentials.ts';
import type { CredentialSettings } from '../../../../src/storage/s3/settings.ts';
import { LocalService } from '../../../support/s3/local-service.ts';

const open = new Set<LocalService>();
afterEach(() => {
  for (const service of open) service.close();
  open.clear();
});

/** A service for one test. */
export async function serve(...given: Parameters<typeof LocalService.start>): Promise<LocalService> {
  const service = await LocalService.start(...given);
  open.add(service);
  return service;
}

const root = mkdtempSync(join(tmpdir(), 'pgbackstop-credentials-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** A folder with these files, by path. */
export function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = join(root, String(++count));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
    if (text.startsWith('#!')) chmodSync(join(path, name), 0o755);
  }
  return path;
}

/** An environment without anything of this machine's user; no instance is asked. */
export const bare = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  HOME: folder(),
  PATH: process.env.PATH,
  AWS_EC2_METADATA_DISABLED: 'true',
  ...more,
});

export const given = (more: Partial<CredentialSettings>): CredentialSettings => ({
  keyType: 'default',
  label: 'repo1',
  certificates: {},
  ioTimeout: 2000,
  ...more,
});

/** The key that is found, and where. */
export async function find(settings: Partial<CredentialSettings>, environment: NodeJS.ProcessEnv) {
  const credentials = openCredentials(given(settings), environment);
  const key = await credentials.provider();
  return { ...key, from: credentials.describe() };
}

/** The error when none can be found. */
export async function failure(settings: Partial<CredentialSettings>, environment: NodeJS.ProcessEnv) {
  try {
    await find(settings, environment);
  } catch (error) {
    if (isBackstopError(error)) return error;
    throw error;
  }
  throw new Error('expected an error');
}

/** `[039] message`, with all that a log could show of it. */
export const told = (error: BackstopError): string =>
  `[${String(error.code).padStart(3, '0')}] ${error.text}\n${causes(error)}`;

const causes = (error: unknown): string =>
  error instanceof Error ? `${error.message}\n${causes(error.cause)}` : String(error ?? '');
