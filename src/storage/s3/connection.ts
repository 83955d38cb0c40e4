/** Sockets to the service: kept open, bounded, to the host that the options name, with the certificates they name. */
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { isIP, Socket } from 'node:net';
import { join } from 'node:path';
import { checkServerIdentity, DEFAULT_CIPHERS } from 'node:tls';
import { BackstopError, systemError } from '../../base/error.ts';
import { EarlySocket, type Target } from './early-socket.ts';
import type { S3Settings } from './settings.ts';

/** Where systems keep the certificates they trust, which Node itself does not look at. */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Most sockets of one thread. More requests wait for a free one. */
const socketLimit = 32;

type ConnectionSettings = Pick<
  S3Settings,
  'host' | 'port' | 'caFile' | 'caPath' | 'verifyTls' | 'keepAliveIdle' | 'ciphers'
>;

type Connect = http.Agent['createConnection'];

/** Gives sockets to requests. */
export interface ServiceAgent extends http.Agent {
  /** Begins a connection that the first request to this host will take. */
  openEarly(target: Target): void;
}

/** An agent for the endpoint's protocol. Destroy it to close its sockets. */
export function openAgent(endpoint: URL, settings: ConnectionSettings, environment: NodeJS.ProcessEnv): ServiceAgent {
  const kept = {
    keepAlive: true,
    maxSockets: socketLimit,
    scheduling: 'lifo',
    ...(settings.keepAliveIdle === undefined ? {} : { keepAliveMsecs: settings.keepAliveIdle * 1000 }),
  } as const;
  // what the sockets connect to; the request itself keeps the endpoint's name
  const place = {
    ...(settings.host === undefined ? {} : { host: settings.host }),
    ...(settings.port === undefined ? {} : { port: settings.port }),
  };
  if (endpoint.protocol === 'http:') return new PlacedHttpAgent(kept, place);
  const certificates = settings.verifyTls ? trustedCertificates(settings, environment) : undefined;
  return new PlacedHttpsAgent(
    {
      ...kept,
      rejectUnauthorized: settings.verifyTls,
      ...(certificates === undefined ? {} : { ca: certificates }),
      ...(settings.ciphers === undefined ? {} : { ciphers: cipherList(settings.ciphers) }),
    },
    place,
  );
}

/** Node has one list for both; what is not given stays Node's. */
function cipherList({ tls12, tls13 }: NonNullable<S3Settings['ciphers']>): string {
  const own = DEFAULT_CIPHERS.split(':');
  const is13 = (name: string) => name.startsWith('TLS_');
  return [tls13 ?? own.filter(is13).join(':'), tls12 ?? own.filter(name => !is13(name)).join(':')].join(':');
}

interface Place {
  readonly host?: string;
  readonly port?: number;
}

/** For requests after the end: those that had waited for their turn get it when the sockets are gone, and must fail, too. */
function deadSocket(): Socket {
  const socket = new Socket();
  // once the request listens
  setImmediate(() => socket.destroy(Object.assign(new Error('closed by us'), { code: 'ECONNABORTED' })));
  return socket;
}

class PlacedHttpAgent extends http.Agent implements ServiceAgent {
  readonly #options: http.AgentOptions;
  readonly #early = new EarlySocket();
  readonly #place: Place;
  #closed = false;
  constructor(options: http.AgentOptions, place: Place) {
    super(options);
    this.#options = options;
    this.#place = place;
  }
  openEarly(target: Target): void {
    this.#early.open(target, this.#connect({ ...this.#options, ...target }, undefined) as Socket);
  }
  override createConnection(...[options, callback]: Parameters<Connect>) {
    if (this.#closed) return deadSocket();
    return this.#early.take(options.host) ?? this.#connect(options, callback);
  }
  override destroy(): void {
    this.#closed = true;
    this.#early.close();
    super.destroy();
  }
  #connect(...[options, callback]: Parameters<Connect>) {
    return super.createConnection({ ...options, ...this.#place }, callback);
  }
}

class PlacedHttpsAgent extends https.Agent implements ServiceAgent {
  readonly #options: https.AgentOptions;
  readonly #early = new EarlySocket();
  readonly #place: Place;
  #closed = false;
  constructor(options: https.AgentOptions, place: Place) {
    super(options);
    this.#options = options;
    this.#place = place;
  }
  openEarly(target: Target): void {
    this.#early.open(target, this.#connect({ ...this.#options, ...target }, undefined) as Socket);
  }
  override createConnection(...[options, callback]: Parameters<Connect>) {
    if (this.#closed) return deadSocket();
    return this.#early.take((options as Target).host) ?? this.#connect(options, callback);
  }
  override destroy(): void {
    this.#closed = true;
    this.#early.close();
    super.destroy();
  }
  #connect(...[options, callback]: Parameters<Connect>) {
    const { host } = this.#place;
    const endpointHost = (options as { readonly host?: string | null }).host ?? '';
    const name = host === undefined || isIP(host) !== 0 ? endpointHost : host;
    return super.createConnection(
      {
        ...options,
        ...this.#place,
        ...(isIP(name) === 0 ? { servername: name } : {}),
        // as pgBackRest, a certificate for the host that is connected to is right; so is one for the endpoint
        checkServerIdentity: (_name: string, certificate: Parameters<typeof checkServerIdentity>[1]) => {
          const wrong = checkServerIdentity(host ?? endpointHost, certificate);
          return wrong !== undefined && host !== undefined ? checkServerIdentity(endpointHost, certificate) : wrong;
        },
      } as typeof options,
      callback,
    );
  }
}

/**
 * The certificates to trust: those of the options, else the system's, as OpenSSL's programs have them.
 * @returns undefined when there are none: Node then has its own
 * @throws crypto for a file or folder of the options that cannot be read
 */
function trustedCertificates(settings: ConnectionSettings, environment: NodeJS.ProcessEnv): string[] | undefined {
  const { caFile, caPath } = settings;
  if (caFile === undefined && caPath === undefined) {
    for (const path of [environment.AWS_CA_BUNDLE, environment.SSL_CERT_FILE, ...systemBundles]) {
      const text = path === undefined ? undefined : readIfThere(path);
      if (text !== undefined) return [text, ...extra(environment)];
    }
    return undefined;
  }
  return [
    ...(caFile === undefined ? [] : [readCertificates(caFile)]),
    ...(caPath === undefined ? [] : certificatesIn(caPath)),
  ];
}

/** Node adds these to its own list only, which ours replaces. */
function extra({ NODE_EXTRA_CA_CERTS: path }: NodeJS.ProcessEnv): string[] {
  const text = path === undefined || path === '' ? undefined : readIfThere(path);
  return text === undefined ? [] : [text];
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // not this system's place, or not for us: the next, or Node's own list
  }
}

function readCertificates(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    throw systemError(
      error,
      { missing: 'crypto', other: 'crypto' },
      `unable to set user-defined CA certificate location: unable to read '${path}'`,
    );
  }
  if (text.includes('-----BEGIN')) return text;
  throw new BackstopError('crypto', `unable to set user-defined CA certificate location: no certificate in '${path}'`, {
    hint: 'certificates are read in PEM form: they begin with -----BEGIN CERTIFICATE-----.',
  });
}

function certificatesIn(path: string): string[] {
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    throw systemError(
      error,
      { missing: 'crypto', other: 'crypto' },
      `unable to set user-defined CA certificate location: unable to list '${path}'`,
    );
  }
  const texts = names.map(name => readIfThere(join(path, name)) ?? '');
  return texts.filter(text => text.includes('-----BEGIN'));
}
