/**
 * The lab's store under a name that the world knows, such as s3.amazonaws.com: a gateway of its own that answers to it and
 * to `BUCKET.NAME`, behind a proxy that speaks TLS on port 443, and programs that are started where the name leads there.
 *
 *     const service = await NamedService.start(lab, { folder, name: 's3.amazonaws.com', buckets: ['demo-bucket'] });
 *     await service.makeOwner({ key: 'accessKey1', secret: 'verySecretKey1' });
 *     await service.run(user, ['pgbackrest', 'stanza-create'], { env: service.environment });
 *
 * Where we are not root, or may not have a mount namespace, the name stays what it is, and `environment` says by
 * repo1-storage-host and -port where to connect instead.
 */
import { execFile, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type RunOptions, type RunResult, runAs, type UnprivilegedUser } from '../unprivileged.ts';
import { Daemon } from './ceph.ts';
import { issueCertificate, makeAuthority } from './certificates.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { FaultRule } from './faults.ts';
import { freePorts } from './free-port.ts';
import type { S3Keys } from './lab.ts';
import type { S3Place } from './lab-file.ts';

export interface NamedServiceOptions {
  /** Exists; everybody can enter it. */
  readonly folder: string;
  readonly name: string;
  /** Buckets whose own names shall lead to the service too. */
  readonly buckets: readonly string[];
  readonly rules?: readonly FaultRule[];
}

/** Milliseconds until a start is given up. */
const startLimit = 60_000;

export class NamedService {
  readonly proxy: FaultProxy;
  /** Certificate of the authority that signed the service's. */
  readonly caFile: string;
  /** What a program must be told beside the name; empty where the name leads to the service. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #cephConfig: string;
  readonly #gateway: Daemon;
  /** The file /etc/hosts of programs; absent where we cannot have our own. */
  readonly #hosts: string | undefined;

  private constructor(proxy: FaultProxy, caFile: string, cephConfig: string, gateway: Daemon, hosts?: string) {
    this.proxy = proxy;
    this.caFile = caFile;
    this.environment =
      hosts === undefined
        ? { PGBACKREST_REPO1_STORAGE_HOST: '127.0.0.1', PGBACKREST_REPO1_STORAGE_PORT: String(proxy.port) }
        : {};
    this.#cephConfig = cephConfig;
    this.#gateway = gateway;
    this.#hosts = hosts;
  }

  /** @returns when the service answers */
  static async start(lab: S3Place, options: NamedServiceOptions): Promise<NamedService> {
    const { folder, name, buckets, rules = [] } = options;
    const { cephConfig } = lab;
    if (cephConfig === undefined) throw new Error('this S3 server is not one of ours: it has no further gateway');
    const [port = 0] = await freePorts(1);
    const authority = await makeAuthority(join(folder, 'tls'));
    const names = [`DNS:${name}`, `DNS:*.${name}`, 'DNS:127.0.0.1', 'IP:127.0.0.1'];
    const certificate = await issueCertificate(join(folder, 'tls'), authority, 'service', names);
    const gateway = new Daemon(
      'radosgw',
      [
        ...['-c', cephConfig, '-f', '-n', 'client.rgw', `--rgw_dns_name=${name}`, `--log_file=${folder}/gateway.log`],
        `--rgw_frontends=beast tcp_nodelay=1 endpoint=127.0.0.1:${port}`,
      ],
      join(folder, 'gateway.out'),
    );
    try {
      await answers(`http://127.0.0.1:${port}`, gateway);
      // any address of the loopback network: others may have port 443 of the first one
      const address = canRename() ? `127.77.${randomInt(1, 255)}.${randomInt(1, 255)}` : undefined;
      const proxy = await FaultProxy.start(
        { ...lab, dnsName: name },
        { to: port, certificate, rules, ...(address === undefined ? {} : { address, port: 443 }) },
      );
      const caFile = authority.certificate;
      if (address === undefined) return new NamedService(proxy, caFile, cephConfig, gateway);
      const hosts = join(folder, 'hosts');
      const led = [name, ...buckets.map(bucket => `${bucket}.${name}`)];
      writeFileSync(hosts, `${readFileSync('/etc/hosts', 'utf8')}\n${address} ${led.join(' ')}\n`, { mode: 0o644 });
      return new NamedService(proxy, caFile, cephConfig, gateway, hosts);
    } catch (error) {
      await gateway.stop();
      throw error;
    }
  }

  /** Gives the key to somebody new who may make buckets; what its owner had in the store before is gone. */
  async makeOwner(keys: S3Keys): Promise<void> {
    const uid = `owner-${keys.key.toLowerCase()}`;
    const users = JSON.parse(await this.#admin('user', 'list')) as string[];
    if (users.includes(uid)) await this.#admin('user', 'rm', `--uid=${uid}`, '--purge-data');
    const pair = ['--access-key', keys.key, '--secret-key', keys.secret];
    await this.#admin('user', 'create', `--uid=${uid}`, '--display-name', uid, ...pair);
  }

  /** Runs a program as the user, for which the names lead to the service. */
  async run(user: UnprivilegedUser, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    if (this.#hosts === undefined) return await runAs(user, argv, options);
    const become = ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
    const rename = ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', this.#hosts];
    return await runAs({ ...user, foreign: false }, [...rename, ...become, ...argv], options);
  }

  async close(): Promise<void> {
    await this.proxy.close();
    await this.#gateway.stop();
  }

  async #admin(...args: readonly string[]): Promise<string> {
    const all = ['-c', this.#cephConfig, '-n', 'client.rgw', ...args];
    return (await promisify(execFile)('radosgw-admin', all)).stdout;
  }
}

/** May we give programs another /etc/hosts? A container may forbid it. */
export function canRename(): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('unshare', ['--mount', 'mount', '--bind', '/dev/null', '/etc/hosts']).status === 0;
}

async function answers(url: string, gateway: Daemon): Promise<void> {
  for (const end = Date.now() + startLimit; ; await sleep(50)) {
    const failure = gateway.failure();
    if (failure !== undefined) throw new Error(failure);
    try {
      await fetch(url);
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`radosgw did not answer at ${url}: ${error}`);
    }
  }
}
