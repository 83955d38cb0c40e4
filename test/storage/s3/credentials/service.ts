/** What the tests of credentials share: services on a local port, folders with shared AWS files. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { type BackstopError, isBackstopError } from '../../../../src/base/error.ts';
import { openCredentials } from '../../../../src/storage/s3/credentials.ts';
import type { CredentialSettings } from '../../../../src/storage/s3/settings.ts';
import type { Certificate } from '../../../support/s3/certificates.ts';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface Reply {
  readonly status?: number;
  readonly body?: string;
  /** Answers nothing. */
  readonly silent?: true;
}

export interface Service {
  readonly url: string;
  readonly requests: Request[];
}

const open = new Set<http.Server>();
afterEach(() => {
  for (const server of open) {
    server.close();
    server.closeAllConnections();
  }
  open.clear();
});

/** A service for one test. */
export async function serve(
  reply: (request: Request) => Reply | Promise<Reply>,
  certificate?: Certificate,
): Promise<Service> {
  const requests: Request[] = [];
  const handle = async (incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = '', url = '', headers } = incoming;
    const request = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
    requests.push(request);
    const { status = 200, body = '', silent } = await reply(request);
    if (silent !== true) response.writeHead(status).end(body);
  };
  const listener: http.RequestListener = (incoming, response) => void handle(incoming, response);
  const server =
    certificate === undefined
      ? http.createServer(listener)
      : https.createServer(
          { cert: readFileSync(certificate.certificate), key: readFileSync(certificate.key) },
          listener,
        );
  open.add(server);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, requests };
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

/** Hours from now, as services write times. */
export const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();
