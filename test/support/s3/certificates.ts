/** Certificates for servers of tests, made by openssl. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Makes an authority in the folder: `ca.crt`, which anybody can read, and `ca.key`. */
export async function makeAuthority(folder: string): Promise<Certificate> {
  mkdirSync(folder, { recursive: true });
  const made = { certificate: join(folder, 'ca.crt'), key: join(folder, 'ca.key') };
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'],
    ...['-subj', '/CN=pgbackstop test authority', '-addext', 'basicConstraints=critical,CA:TRUE'],
    ...['-keyout', made.key, '-out', made.certificate],
  ]);
  chmodSync(made.certificate, 0o644);
  return made;
}

/**
 * Makes a certificate for a server: `NAME.key` and `NAME.pem` with the authority's certificate after its own.
 * @param names what it is for: `DNS:s3.localhost`, `IP:127.0.0.1`
 */
export async function issueCertificate(
  folder: string,
  authority: Certificate,
  name: string,
  names: readonly string[],
): Promise<Certificate> {
  const path = (ending: string): string => join(folder, `${name}.${ending}`);
  writeFileSync(path('ext'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`);
  await run('openssl', [
    ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`],
    ...['-keyout', path('key'), '-out', path('csr')],
  ]);
  await run('openssl', [
    ...['x509', '-req', '-in', path('csr'), '-CA', authority.certificate, '-CAkey', authority.key],
    ...['-CAcreateserial', '-days', '3650', '-extfile', path('ext'), '-out', path('pem')],
  ]);
  return { certificate: path('pem'), key: path('key') };
}

/** What the lab's certificate is for. pgBackRest 2.45 looks for an address among the DNS names. */
export function labNames(dnsName: string): string[] {
  return [`DNS:${dnsName}`, `DNS:*.${dnsName}`, 'DNS:localhost', 'DNS:127.0.0.1', 'IP:127.0.0.1', 'IP:::1'];
}
