/**
 * Brings up a Ceph of one monitor, one store in memory and two S3 gateways from Debian's packages, as root or not. All of
 * it lies in one folder, listens on 127.0.0.1 only, and ends with the process that started it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type CephPorts, cephConfig, cephKeyring, loopback } from './ceph-config.ts';
import { issueCertificate, labNames, makeAuthority } from './certificates.ts';
import { freePorts } from './free-port.ts';
import type { S3Place } from './lab-file.ts';

const run = promisify(execFile);

/** Milliseconds until a start is given up. */
const startLimit = 120_000;

export class Ceph {
  readonly place: S3Place;
  readonly #folder: string;
  readonly #ports: CephPorts;
  readonly #daemons: Daemon[] = [];

  private constructor(folder: string, ports: CephPorts) {
    this.#folder = folder;
    this.#ports = ports;
    this.place = {
      http: `http://${loopback}:${ports.http}`,
      https: `https://${loopback}:${ports.https}`,
      tokens: `http://${loopback}:${ports.tokens}`,
      dnsName: 's3.localhost',
      caFile: this.#path('tls', 'ca.crt'),
      region: 'us-east-1',
      key: randomBytes(10).toString('hex').toUpperCase(),
      secret: randomBytes(30).toString('base64'),
      cephConfig: this.#path('ceph.conf'),
    };
  }

  /**
   * @param folder exists and is empty; others must be able to enter it, as they read the authority's certificate there
   * @returns when the gateways answer
   */
  static async start(folder: string): Promise<Ceph> {
    const [monitor = 0, http = 0, https = 0, tokens = 0] = await freePorts(4);
    const ceph = new Ceph(folder, { monitor, http, https, tokens });
    try {
      await ceph.#start();
    } catch (error) {
      await ceph.stop();
      throw error;
    }
    return ceph;
  }

  /** Ends the daemons; what was stored is gone. */
  async stop(): Promise<void> {
    await Promise.all(this.#daemons.map(daemon => daemon.stop()));
  }

  async #start(): Promise<void> {
    for (const name of ['run', 'log', 'crash', 'mon', 'osd', 'rgw']) mkdirSync(this.#path(name), { mode: 0o700 });
    const clusterId = randomUUID();
    writeFileSync(this.#path('ceph.conf'), cephConfig(this.#folder, clusterId, this.place.dnsName, this.#ports));
    writeFileSync(this.#path('keyring'), cephKeyring(), { mode: 0o600 });
    await Promise.all([this.#makeCertificates(), this.#startStore(clusterId)]);
    const gateway = this.#daemon('radosgw', '-n', 'client.rgw');
    await this.#answers(this.place.http, gateway);
    // The second finds the pools that the first has made.
    const second = this.#daemon('radosgw', '-n', 'client.tokens');
    await this.#makeOwner();
    await this.#answers(`http://${loopback}:${this.#ports.tokens}`, second);
  }

  async #startStore(clusterId: string): Promise<void> {
    const map = this.#path('monmap');
    const monitorAt = `[v2:${loopback}:${this.#ports.monitor}]`;
    await run('monmaptool', ['--create', '--fsid', clusterId, '--addv', 'a', monitorAt, map]);
    await this.#run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', this.#path('keyring'));
    this.#daemon('ceph-mon', '-i', 'a');
    const storeId = randomUUID();
    await this.#run('ceph', '--connect-timeout', '60', 'osd', 'new', storeId, '0');
    await this.#run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', storeId);
    this.#daemon('ceph-osd', '-i', '0');
  }

  async #makeCertificates(): Promise<void> {
    const folder = this.#path('tls');
    const authority = await makeAuthority(folder);
    await issueCertificate(folder, authority, 'server', labNames(this.place.dnsName));
    chmodSync(folder, 0o755);
  }

  /** The user whom all buckets belong to; may give itself the right to ask for temporary keys. */
  async #makeOwner(): Promise<void> {
    const { key, secret } = this.place;
    const caps = ['--caps', 'user-policy=*;roles=*'];
    const keys = ['--access-key', key, '--secret-key', secret];
    await this.#run(
      'radosgw-admin',
      '-n',
      'client.rgw',
      'user',
      'create',
      '--uid=lab',
      '--display-name=lab',
      ...keys,
      ...caps,
    );
  }

  /** Waits until somebody speaks HTTP there. */
  async #answers(url: string, daemon: Daemon): Promise<void> {
    for (const end = Date.now() + startLimit; ; await sleep(50)) {
      if (daemon.failure() !== undefined) throw new Error(daemon.failure());
      try {
        await fetch(url);
        return;
      } catch (error) {
        if (Date.now() > end) throw new Error(`radosgw did not answer at ${url}: ${error}; ${daemon.log()}`);
      }
    }
  }

  #path(...names: readonly string[]): string {
    return join(this.#folder, ...names);
  }

  async #run(program: string, ...args: readonly string[]): Promise<void> {
    await run(program, ['-c', this.#path('ceph.conf'), ...args], { timeout: startLimit });
  }

  #daemon(program: string, ...args: readonly string[]): Daemon {
    const daemon = new Daemon(
      program,
      ['-c', this.#path('ceph.conf'), '-f', ...args],
      this.#path('log', `${args.at(-1)}.out`),
    );
    this.#daemons.push(daemon);
    return daemon;
  }
}

/** A program in the foreground that dies with us, whatever ends us. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #program: string;
  readonly #output: string;
  readonly #ended: Promise<void>;
  #stopping = false;

  constructor(program: string, args: readonly string[], output: string) {
    const out = openSync(output, 'a');
    this.#program = program;
    this.#output = output;
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: ['ignore', out, out] });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', () => resolve());
    });
  }

  /** Why it does not run, once that is so without our doing. */
  failure(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if (this.#stopping || (exitCode === null && signalCode === null)) return undefined;
    return `${this.#program} ended with ${exitCode ?? signalCode}: ${this.log()}`;
  }

  /** The end of what it wrote. */
  log(): string {
    return readFileSync(this.#output, 'utf8').slice(-2000).trim();
  }

  /** The data is thrown away: nothing to end in good order for. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
