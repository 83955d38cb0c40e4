/**
 * Where an S3 server for tests is, and its keys: lines `NAME=value` that a shell can source too. The file of a server
 * that is already up can be named in PGBACKSTOP_S3_LAB.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface S3Place {
  /** `http://127.0.0.1:8480` */
  readonly http: string;
  /** `https://127.0.0.1:8443` */
  readonly https: string;
  /** The same store by a server that knows temporary keys, plain http; not every lab has one. */
  readonly tokens?: string;
  /** Name of the service in its certificate; buckets are `NAME.dnsName` in host style. It need not resolve. */
  readonly dnsName: string;
  /** Certificate of the authority that signed the server's, PEM; anybody can read it. */
  readonly caFile: string;
  readonly region: string;
  readonly key: string;
  readonly secret: string;
  /** Configuration with which radosgw-admin reaches the store. */
  readonly cephConfig?: string;
}

const names = {
  http: 'S3_ENDPOINT',
  https: 'S3_ENDPOINT_TLS',
  tokens: 'S3_ENDPOINT_TOKENS',
  dnsName: 'S3_DNS_NAME',
  caFile: 'S3_CA',
  region: 'S3_REGION',
  key: 'S3_KEY',
  secret: 'S3_SECRET',
  cephConfig: 'S3_CEPH_CONFIG',
} as const;

/** @throws when a needed line is not there */
export function readPlace(path: string): S3Place {
  const values = new Map<string, string>();
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const match = /^\s*(?:export\s+)?(\w+)=(['"]?)(.*)\2\s*$/.exec(line);
    if (match?.[1] !== undefined) values.set(match[1], match[3] ?? '');
  }
  const needed = (name: string): string => {
    const value = values.get(name);
    if (!value) throw new Error(`${path} has no line ${name}=`);
    return value;
  };
  const beside = join(dirname(path), 'ceph.conf');
  const cephConfig = values.get(names.cephConfig) ?? (existsSync(beside) ? beside : undefined);
  const tokens = values.get(names.tokens);
  return {
    http: needed(names.http),
    https: needed(names.https),
    dnsName: needed(names.dnsName),
    caFile: needed(names.caFile),
    region: needed(names.region),
    key: needed(names.key),
    secret: needed(names.secret),
    ...(tokens === undefined ? {} : { tokens }),
    ...(cephConfig === undefined ? {} : { cephConfig }),
  };
}

/** Writes it whole: who waits for the file finds all of it. */
export function writePlace(path: string, place: S3Place): void {
  const lines = Object.entries(place).map(([field, value]) => `${names[field as keyof S3Place]}=${value}\n`);
  writeFileSync(`${path}.new`, lines.join(''), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
