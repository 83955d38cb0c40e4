/**
 * Every option of a repository in S3, given to every command that has it, through the life of a stanza: once for each way
 * to a key, which are given with the other options in turn. A proxy between the program and the bucket sees what each
 * command makes of them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunCommand } from '../../src/config/command.ts';
import { optionIsValid } from '../../src/config/table.ts';
import { TestCluster } from '../support/cluster.ts';
import { issueCertificate, labNames, makeAuthority } from '../support/s3/certificates.ts';
import { FaultProxy, type FaultProxyOptions, type SeenRequest } from '../support/s3/fault-proxy.ts';
import {
  inHours,
  instanceKey,
  instanceReply,
  rolesPath,
  type ServedKey,
  webIdentityAnswer,
} from '../support/s3/key-services.ts';
import { requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { LocalService, type Reply, type Request } from '../support/s3/local-service.ts';
import { Archiver, type OptionValues, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const mebibyte = 1024 * 1024;

const now = (): string => new Date().toISOString().replace('T', ' ').replace('Z', '+00');

/** How a stanza's commands get at their bucket. */
interface Way {
  readonly proxy: FaultProxy;
  /** What the repository is told, beside what every way tells it. */
  readonly options: OptionValues;
  /** Variables of the program. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Looks at one request of any command. */
  readonly look?: (request: SeenRequest) => void;
  /** What TLS shall come to. */
  readonly cipher?: RegExp;
  /** How often somebody has been asked for a key. */
  readonly asked?: () => number;
  /** The bucket locks objects, and so keeps versions: what can look at a time in the past does. */
  readonly objectLock?: boolean;
}

describe.skipIf(!requireS3Server())('every command, told of a bucket and', () => {
  let lab: S3Lab;
  let project: RunnableProject;
  let cluster: TestCluster;
  let archiver: Archiver;
  /** A key for a time, which is worth nothing without its token. */
  let served: ServedKey;
  const open: { close(): unknown }[] = [];

  beforeAll(async () => {
    lab = await s3Lab();
    // another lab than our own looks at no token
    const { keys, token } = lab.tokens === undefined ? { keys: lab, token: 'made-up' } : await lab.temporaryKeys(3600);
    served = { ...keys, token, expiration: inHours(1) };
    cluster = await TestCluster.create({ walSegmentSize: 1 });
    archiver = new Archiver(cluster);
    project = runnableProject(cluster.user);
    await cluster.start();
    // they would be two thirds of every backup
    for (const name of ['template0', 'template1']) {
      await cluster.sql(`update pg_database set datistemplate = false where datname = '${name}'`);
      await cluster.sql(`drop database ${name}`);
    }
  });
  afterAll(async () => {
    await Promise.all(open.map(one => one.close()));
    await cluster?.dispose();
    project?.remove();
  });

  async function startProxy(options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const to = lab.tokens === undefined ? {} : { to: Number(new URL(lab.tokens).port) };
    const proxy = await FaultProxy.start(lab, { ...to, ...options });
    open.push(proxy);
    return proxy;
  }

  async function serve(...given: [(request: Request) => Reply, { certificate: string; key: string }?]) {
    const service = await LocalService.start(...given);
    open.push(service);
    return service;
  }

  const creates = ({ kind }: SeenRequest) => kind === 'PutObject' || kind === 'CreateMultipartUpload';
  const isData = ({ key }: SeenRequest) => /^archive\/demo\/.*-[0-9a-f]{40}|\/pg_data\/|\/bundle\//.test(key);

  /** A key for a time by its options, and all that is said of requests and objects but who holds the key. */
  async function sharedKey(): Promise<Way> {
    return {
      proxy: await startProxy(),
      options: {
        'repo1-s3-key': served.key,
        'repo1-s3-key-secret': served.secret,
        'repo1-s3-token': served.token,
        'repo1-s3-uri-style': 'path',
        'repo1-s3-service': 's3-lab',
        'repo1-s3-requester-pays': 'y',
        'repo1-s3-kms-key-id': 'labkey',
        'repo1-storage-tag': 'owner=lab',
        'repo1-storage-upload-chunk-size': '6MiB',
        'repo1-storage-ca-file': lab.caFile,
      },
      look: request => {
        const { headers } = request;
        expect(headers.host).toMatch(new RegExp(`^${lab.dnsName}(:|$)`));
        expect(headers.authorization).toContain(`/${lab.region}/s3-lab/aws4_request`);
        expect(headers['x-amz-request-payer']).toBe('requester');
        if (!creates(request)) return;
        expect(headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe('labkey');
        expect(headers['x-amz-tagging']).toBe('owner=lab');
      },
    };
  }

  /** The role of an instance. Objects are locked and encrypted by a key of ours, and the authority is in a folder. */
  async function instanceRole(): Promise<Way> {
    const service = await serve(request => instanceReply(request, { other: '', backup: instanceKey(served) }));
    const folder = cluster.makeFolder('trusted');
    copyFileSync(lab.caFile, join(folder, 'ca.pem'));
    const customerKey = randomBytes(32);
    return {
      proxy: await startProxy(),
      options: {
        'repo1-s3-key-type': 'auto',
        'repo1-s3-role': 'backup',
        'repo1-s3-sse-customer-key': customerKey.toString('base64'),
        'repo1-s3-object-lock-mode': 'governance',
        'repo1-s3-object-lock-days': 1,
        'repo1-storage-ca-path': folder,
      },
      variables: { AWS_EC2_METADATA_SERVICE_ENDPOINT: service.url },
      look: request => {
        const { kind, headers, bucket } = request;
        expect(headers.host).toMatch(new RegExp(`^${bucket}.${lab.dnsName}(:|$)`));
        if (kind === 'PutObject' || kind === 'GetObject' || kind === 'HeadObject') {
          expect(headers['x-amz-server-side-encryption-customer-key-md5']).toBe(
            createHash('md5').update(customerKey).digest('base64'),
          );
        }
        if (creates(request) && isData(request)) expect(headers['x-amz-object-lock-mode']).toBe('GOVERNANCE');
      },
      asked: () => service.requests.filter(({ path }) => path === `${rolesPath}backup`).length,
      objectLock: true,
    };
  }

  /** A token of a pod, for a service of keys that proves who it is; nobody knows who certified the bucket's service. */
  async function webIdentity(): Promise<Way> {
    const service = await serve(() => ({ body: webIdentityAnswer(served) }), {
      certificate: join(dirname(lab.caFile), 'server.pem'),
      key: join(dirname(lab.caFile), 'server.key'),
    });
    const folder = cluster.makeFolder('stranger');
    const certificate = await issueCertificate(folder, await makeAuthority(folder), 'stranger', labNames(lab.dnsName));
    return {
      proxy: await startProxy({ certificate }),
      options: {
        'repo1-s3-key-type': 'web-id',
        'repo1-s3-sts-host': service.url,
        'repo1-storage-verify-tls': 'n',
        'repo1-storage-ca-file': lab.caFile,
      },
      variables: {
        AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/backup',
        AWS_WEB_IDENTITY_TOKEN_FILE: cluster.writeFile('token', 'jwt\n'),
      },
      asked: () => service.requests.length,
    };
  }

  /** A program that prints the key, for a service that knows only TLS 1.2. */
  async function program(): Promise<Way> {
    const { key, secret, token, expiration } = served;
    const printed = {
      Version: 1,
      AccessKeyId: key,
      SecretAccessKey: secret,
      SessionToken: token,
      Expiration: expiration,
    };
    const told = cluster.writeFile('asked', '');
    const path = cluster.writeFile(
      'print-key',
      `#!/bin/sh\necho asked >>${told}\necho '${JSON.stringify(printed)}'\n`,
      0o750,
    );
    return {
      proxy: await startProxy({ maxVersion: 'TLSv1.2' }),
      cipher: /^TLS_ECDHE_(ECDSA|RSA)_WITH_AES_256_GCM_SHA384$/,
      options: { 'repo1-s3-key-type': 'process', 'repo1-s3-process-cmd': path, 'repo1-storage-ca-file': lab.caFile },
      asked: () => readFileSync(told, 'utf8').length,
    };
  }

  describe.each([
    ['a shared key, whose it is, who pays, what to encrypt and tag', sharedKey],
    ['the role of an instance, what to lock and encrypt, and as of when', instanceRole],
    ["a pod's token, and whom not to mistrust", webIdentity],
    ['a program that prints the key, and an older service', program],
  ])('%s', (_, makeWay) => {
    let way: Way;
    let stanza: TestStanza;
    let tool: Tool;
    let bucket: string;
    let wal: string;
    let label: string;

    beforeAll(async () => {
      way = await makeWay();
      bucket = await lab.newBucket({ objectLock: way.objectLock ?? false });
      tool = ['env', ...Object.entries(way.variables ?? {}).map(pair => pair.join('=')), ...project.command];
      stanza = new TestStanza(cluster, makeWay.name, {
        'repo1-type': 's3',
        'repo1-path': '/',
        'repo1-s3-bucket': bucket,
        'repo1-s3-endpoint': lab.dnsName,
        'repo1-s3-region': lab.region,
        'repo1-storage-host': '127.0.0.1',
        'repo1-storage-port': way.proxy.port,
        'repo1-bundle': 'y',
        'compress-type': 'lz4',
        'io-timeout': 30,
        'tls-cipher-12': 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384',
        'tls-cipher-13': 'TLS_AES_128_GCM_SHA256',
        'tcp-keep-alive-idle': 7,
        ...way.options,
      });
    });
    afterAll(() => archiver?.pause());

    /** Runs a command, and looks at what the way is told and what comes by at the proxy. */
    async function run(command: RunCommand, args: readonly string[] = [], input = ''): Promise<string> {
      const asked = way.asked?.() ?? 0;
      way.proxy.reset();
      const inPast = way.objectLock && optionIsValid('repo-target-time', command, 'main');
      const time = inPast ? ['--repo=1', `--repo-target-time=${now()}`] : [];
      const { code, stdout, stderr } = await stanza.attempt(tool, [command, ...time, ...args], {
        input,
        cwd: cluster.dataDirectory,
      });
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: '' });
      expect(way.proxy.count(), command).toBeGreaterThan(0);
      for (const request of way.proxy.requests) {
        expect(request.bucket).toBe(bucket);
        expect(request.headers.authorization).toContain(`Credential=${served.key}/`);
        expect(request.headers['x-amz-security-token']).toBe(served.token);
        expect(request.cipher).toMatch(way.cipher ?? /^TLS_AES_128_GCM_SHA256$/);
        way.look?.(request);
      }
      if (way.asked !== undefined) expect(way.asked(), command).toBeGreaterThan(asked);
      expect(way.proxy.count('ListObjectVersions') > 0, command).toBe(inPast ?? false);
      return stdout;
    }

    it('stanza-create, archive-push, check, stanza-upgrade', async () => {
      await run('stanza-create');
      wal = await cluster.walName();
      await cluster.switchWal();
      await run('archive-push', [join('pg_wal', wal)]);
      expect(way.proxy.requests.filter(request => creates(request) && isData(request))).toHaveLength(1);
      archiver.use(stanza, tool);
      await run('check');
      await run('stanza-upgrade');
    });

    it('backup, info, annotate, manifest', async () => {
      await run('backup', ['--type=full']);
      expect(way.proxy.requests.some(request => creates(request) && isData(request))).toBe(true);
      [, label = ''] = /full backup: (\S+)/.exec(await run('info')) ?? [];
      await run('annotate', [`--set=${label}`, '--annotation=by=options']);
      expect(way.proxy.requests.map(({ key }) => key)).toContain('backup/demo/backup.info');
      expect(await run('manifest')).toContain(label);
    });

    it('repo-put, repo-get, repo-ls, repo-rm', async () => {
      const note = 'a note\n'.repeat(mebibyte);
      await run('repo-put', ['archive/demo/note'], note);
      const parts = way.proxy.requests
        .filter(({ kind }) => kind === 'UploadPart')
        .map(({ requestBytes }) => requestBytes);
      if ('repo1-storage-upload-chunk-size' in way.options) expect(Math.max(...parts)).toBe(6 * mebibyte);
      expect((await run('repo-get', ['archive/demo/note'])) === note).toBe(true);
      expect(await run('repo-ls', ['archive/demo'])).toMatch(/^note$/m);
      await run('repo-rm', ['archive/demo/note']);
      expect((await lab.list(bucket, 'archive/demo/note')).size).toBe(0);
    });

    it('verify, expire, archive-get, restore', async () => {
      expect(await run('verify', ['--output=text', '--verbose'])).toContain(`backup: ${label}, status: valid`);
      await run('expire');
      const segment = join(stanza.folder, 'segment');
      await run('archive-get', [wal, segment]);
      expect(readFileSync(segment).length).toBe(mebibyte);
      const data = stanza.newDataDirectory();
      mkdirSync(data, { mode: 0o700 });
      giveTo(cluster.user, data);
      await run('restore', [`--pg1-path=${data}`]);
      for (const name of ['PG_VERSION', 'global/pg_filenode.map', 'pg_hba.conf'])
        expect(readFileSync(join(data, name)), name).toEqual(readFileSync(join(cluster.dataDirectory, name)));
      expect(existsSync(join(data, 'global/pg_control'))).toBe(true);
    });

    it('stanza-delete', async () => {
      archiver.pause();
      await stanza.run(tool, 'stop');
      await run('stanza-delete', ['--force']);
      expect((await lab.list(bucket)).size).toBe(0);
    });
  });
});
