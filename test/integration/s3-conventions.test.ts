/**
 * The program on S3 as other tools are told of it: by the environment and the shared AWS files, as GoReplay is, and by
 * endpoint URL, key, secret and bucket, as OpenReplay's guide has it for every service. Over TLS, through a proxy that
 * sees which key and region a request is signed with. No PostgreSQL server.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { forgeSegment, systemId } from '../command/archive/archive-bed.ts';
import { chownTree, makeTemporaryFolder } from '../support/cluster.ts';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type FaultRule, noBatchDelete, noChecksums, notImplemented } from '../support/s3/faults.ts';
import { isFullS3Run, requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { canRename, NamedService } from '../support/s3/named-service.ts';
import type { S3Request } from '../support/s3/s3-request.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunOptions, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

type Variables = Readonly<Record<string, string | undefined>>;

const user = unprivilegedUser();
const segment = (number: number): string => `00000001000000000000000${number}`;

/** How a program is started: `runAs`, or where a name of the world leads to the lab. */
type Start = (argv: readonly string[], options: RunOptions) => Promise<RunResult>;
const plainly: Start = (argv, options) => runAs(user, argv, options);

describe.skipIf(!requireS3Server())('S3 as other tools are told of it', () => {
  let lab: S3Lab;
  let project: RunnableProject;
  let root: string;
  let cluster: TinyCluster;
  let proxy: FaultProxy;
  let bucket: string;
  let home: string;
  let folders = 0;

  beforeAll(async () => {
    lab = await s3Lab();
    project = runnableProject(user);
    root = makeTemporaryFolder(user, 's3-told-');
    chmodSync(root, 0o755);
    cluster = new TinyCluster(join(root, 'pg'), user, systemId);
    for (const number of [1, 2]) cluster.write(`pg_wal/${segment(number)}`, forgeSegment(segment(number)));
    cluster.write('postgresql.auto.conf', '');
    proxy = await FaultProxy.start(lab);
    bucket = await lab.newBucket();
    home = join(root, 'home');
    mkdirSync(join(home, '.aws'), { recursive: true });
    await chownTree(user, root);
  });
  afterAll(async () => {
    await proxy?.close();
    project?.remove();
    rmSync(root, { recursive: true, force: true });
  });
  beforeEach(() => proxy.reset());

  /** A configuration with a repository in a bucket and nothing else. @param lines options of the repository */
  function configure(lines: Readonly<Record<string, string>>): string {
    const folder = join(root, String(++folders));
    mkdirSync(folder, { mode: 0o777 });
    chmodSync(folder, 0o777);
    const path = join(folder, 'pgbackrest.conf');
    const all = {
      'repo1-type': 's3',
      'repo1-path': `/${folders}`,
      'repo1-retention-full': '1',
      ...lines,
      'process-max': '2',
      'io-timeout': '5',
      'log-path': folder,
      'lock-path': join(folder, 'lock'),
    };
    const text = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(path, `[global]\n${text.join('')}[demo]\npg1-path=${cluster.data}\n`, { mode: 0o600 });
    giveTo(user, path);
    return path;
  }

  /** Runs the program with nothing of AWS in its environment but what is given. */
  async function run(
    config: string,
    args: readonly string[],
    env: Variables = {},
    start = plainly,
  ): Promise<RunResult> {
    const mine = Object.keys(process.env).filter(name => /^(AWS_|SSL_CERT_|NODE_EXTRA_CA)/.test(name));
    const clean = Object.fromEntries(mine.map(name => [name, undefined]));
    const argv = [...project.command, `--config=${config}`, '--stanza=demo', '--log-level-console=off', ...args];
    // an instance would be asked for its role when nothing else is found
    return await start(argv, { env: { ...clean, HOME: home, AWS_EC2_METADATA_DISABLED: 'true', ...env } });
  }

  /**
   * The life of a stanza from its creation to its end, by the program.
   * @param options whole: with backups, of which one expires, and a restore
   */
  async function live(config: string, env: Variables, { start = plainly, whole = true } = {}): Promise<void> {
    const well = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(config, args, { PGBACKREST_LOG_LEVEL_STDERR: 'warn', ...env }, start);
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
      return stdout;
    };
    await well('stanza-create', '--no-online');
    for (const number of [1, 2]) await well('archive-push', join(cluster.data, 'pg_wal', segment(number)));
    const folder = mkdtempSync(join(dirname(config), 'life-'));
    const [copy, copied, space] = [join(folder, 'segment'), join(folder, 'data'), join(folder, 'space')];
    for (const path of [copied, space]) mkdirSync(path, { mode: 0o700 });
    await chownTree(user, folder);
    await well('archive-get', segment(2), copy);
    expect(readFileSync(copy).equals(forgeSegment(segment(2)))).toBe(true);
    if (whole) {
      // by worker threads; the cluster is made up, and so are its pages
      const pages = '--no-checksum-page';
      await well('backup', '--no-online', '--type=full', pages);
      await well('backup', '--no-online', '--type=full', pages, '--no-expire-auto');
      await well('restore', '--type=none', `--pg1-path=${copied}`, `--tablespace-map-all=${space}`);
      for (const name of ['base/5/1247', 'postgresql.conf', 'pg_tblspc/16400/PG_15_202209061/5/16401'])
        expect(readFileSync(join(copied, name)).equals(readFileSync(join(cluster.data, name)))).toBe(true);
      await well('verify');
      await well('expire');
    }
    const [stanza] = JSON.parse(await well('info', '--output=json'));
    expect(stanza).toMatchObject({ name: 'demo', status: { code: whole ? 0 : 2 } });
    expect(stanza.backup).toHaveLength(whole ? 1 : 0);
    await well('stop');
    await well('stanza-delete');
  }

  describe('by the environment', () => {
    const files: Record<string, string> = {
      credentials:
        '[default]\naws_access_key_id = FILEKEY\naws_secret_access_key = file-secret\n' +
        '[other]\naws_access_key_id = OTHERKEY\naws_secret_access_key = other-secret\n',
      config: '[default]\nregion = eu-file-1\n[profile other]\nregion = eu-other-1\nendpoint_url = ENDPOINT\n',
    };
    let config: string;
    let endpoint: string;

    beforeAll(() => {
      endpoint = `https://127.0.0.1:${proxy.port}`;
      for (const [name, text] of Object.entries(files))
        writeFileSync(join(home, '.aws', name), text.replace('ENDPOINT', endpoint), { mode: 0o644 });
      config = configure({ 'repo1-s3-bucket': bucket, 'repo1-storage-ca-file': lab.caFile });
    });

    /** Nobody listens there. */
    const nowhere = 'https://127.0.0.1:9';
    const nowhereRegion = 'xx-nowhere-1';
    type Case = {
      readonly name: string;
      readonly env: () => Variables;
      /** Absent: the lab's key, which the server takes. */
      readonly key?: string;
      readonly region: string;
      readonly from: RegExp;
    };
    const cases: readonly Case[] = [
      {
        name: 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, which win over the files',
        env: () => ({ ...newer(), AWS_REGION: 'us-west-2', AWS_ENDPOINT_URL: endpoint }),
        region: 'us-west-2',
        from: /environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
      },
      {
        name: 'AWS_ACCESS_KEY, AWS_SECRET_KEY, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, which win over the files too',
        env: () => ({
          ...older(),
          AWS_DEFAULT_REGION: 'us-west-1',
          AWS_ENDPOINT_URL_S3: endpoint,
          AWS_ENDPOINT_URL: nowhere,
        }),
        region: 'us-west-1',
        from: /environment variables AWS_ACCESS_KEY and AWS_SECRET_KEY/,
      },
      {
        name: 'both spellings: the newer one wins',
        env: () => ({
          ...newer(),
          AWS_ACCESS_KEY: 'OLDKEY',
          AWS_SECRET_KEY: 'old-secret',
          AWS_REGION: 'us-west-2',
          AWS_DEFAULT_REGION: nowhereRegion,
          AWS_ENDPOINT_URL: endpoint,
        }),
        region: 'us-west-2',
        from: /environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
      },
      {
        name: 'one of each spelling',
        env: () => ({ AWS_ACCESS_KEY_ID: lab.key, AWS_SECRET_KEY: lab.secret, AWS_ENDPOINT_URL: endpoint }),
        region: 'eu-file-1',
        from: /environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_KEY/,
      },
      {
        name: 'AWS_PROFILE beside keys: the keys win, region and endpoint are those of the profile',
        env: () => ({ ...older(), AWS_PROFILE: 'other' }),
        region: 'eu-other-1',
        from: /environment variables AWS_ACCESS_KEY and AWS_SECRET_KEY/,
      },
      {
        name: 'AWS_PROFILE with AWS_SDK_LOAD_CONFIG',
        env: () => ({ AWS_PROFILE: 'other', AWS_SDK_LOAD_CONFIG: '1' }),
        key: 'OTHERKEY',
        region: 'eu-other-1',
        from: /profile 'other' of '.*\/\.aws\/credentials'/,
      },
      {
        name: 'AWS_SDK_LOAD_CONFIG=0: the config file is left out',
        env: () => ({ AWS_PROFILE: 'other', AWS_SDK_LOAD_CONFIG: '0', AWS_ENDPOINT_URL: endpoint }),
        key: 'OTHERKEY',
        region: 'us-east-1',
        from: /profile 'other' of '.*\/\.aws\/credentials'/,
      },
      {
        name: 'nothing but an endpoint: the default profile',
        env: () => ({ AWS_ENDPOINT_URL: endpoint }),
        key: 'FILEKEY',
        region: 'eu-file-1',
        from: /profile 'default' of '.*\/\.aws\/credentials'/,
      },
    ];
    const newer = (): Variables => ({ AWS_ACCESS_KEY_ID: lab.key, AWS_SECRET_ACCESS_KEY: lab.secret });
    const older = (): Variables => ({ AWS_ACCESS_KEY: lab.key, AWS_SECRET_KEY: lab.secret });

    test.for(cases.map(row => [row.name, row] as const))('%s', async ([, { env, key, region, from }]) => {
      const { code, stderr } = await run(config, ['--log-level-stderr=debug', 'repo-ls'], env());
      expect(signers()).toEqual([`${key ?? lab.key} ${region}`]);
      expect(stderr).toMatch(from);
      expect(stderr).not.toContain(env().AWS_SECRET_ACCESS_KEY ?? lab.secret);
      // the keys in the files are known to nobody
      expect(code).toBe(key === undefined ? 0 : 39);
    });

    test('info says where the key comes from, too', async () => {
      const env = { ...newer(), AWS_ENDPOINT_URL: endpoint };
      const { stderr } = await run(config, ['--log-level-stderr=debug', 'info'], env);
      expect(stderr).toMatch(/credentials of repo1 from environment variables AWS_ACCESS_KEY_ID/);
    });

    test('options win over all of it', async () => {
      const options = {
        'repo1-s3-bucket': bucket,
        'repo1-storage-ca-file': lab.caFile,
        'repo1-s3-region': 'eu-option-1',
      };
      const place = { 'repo1-s3-endpoint': endpoint, 'repo1-s3-uri-style': 'path' };
      const own = configure({ ...options, ...place, 'repo1-s3-key': lab.key, 'repo1-s3-key-secret': lab.secret });
      const env = { AWS_ACCESS_KEY_ID: 'ENVKEY', AWS_SECRET_ACCESS_KEY: 'env-secret', AWS_PROFILE: 'other' };
      const { code } = await run(own, ['repo-ls'], { ...env, AWS_REGION: nowhereRegion, AWS_ENDPOINT_URL: nowhere });
      expect(code).toBe(0);
      expect(signers()).toEqual([`${lab.key} eu-option-1`]);
    });

    test('AWS_SESSION_TOKEN goes with the keys, and the life of a stanza with them', async ({ skip }) => {
      if (lab.tokens === undefined) return skip('this lab gives no temporary keys');
      const tokens = await FaultProxy.start(lab, { to: Number(new URL(lab.tokens).port) });
      try {
        const { keys, token } = await lab.temporaryKeys(900);
        const place = { AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL: `https://127.0.0.1:${tokens.port}` };
        const pair = { AWS_ACCESS_KEY_ID: keys.key, AWS_SECRET_ACCESS_KEY: keys.secret };
        expect(await run(config, ['repo-ls'], { ...place, ...pair })).not.toMatchObject({ code: 0 });
        tokens.reset();
        await live(config, { ...place, ...pair, AWS_SESSION_TOKEN: token });
        expect(new Set(tokens.requests.map(({ headers }) => headers['x-amz-security-token']))).toEqual(
          new Set([token]),
        );
      } finally {
        await tokens.close();
      }
    });

    test('the life of a stanza, with lists by prefix', async () => {
      await live(config, { ...older(), AWS_DEFAULT_REGION: 'us-east-1', AWS_ENDPOINT_URL: endpoint });
      expect(signers()).toEqual([`${lab.key} us-east-1`]);
      const lists = proxy.requests.filter(({ kind }) => kind === 'ListObjectsV2');
      expect(lists.length).toBeGreaterThan(0);
      const repo = /^repo1-path=\/(\d+)$/m.exec(readFileSync(config, 'utf8'))?.[1];
      for (const { query } of lists) expect(query.get('prefix')).toMatch(new RegExp(`^${repo}/`));
      expect([...(await lab.list(bucket, `${repo}/`)).keys()]).toEqual([]);
    });
  });

  /** Key and region of the signatures that the proxy has seen. */
  function signers(): string[] {
    return [...new Set(proxy.requests.map(signerOf))];
  }

  describe('by endpoint URL, key, secret and bucket', () => {
    const place = (endpoint: string, caFile: string): Record<string, string> => ({
      'repo1-s3-endpoint': endpoint,
      'repo1-storage-ca-file': caFile,
      'repo1-s3-key': lab.key,
      'repo1-s3-key-secret': lab.secret,
    });

    test('MinIO: a URL with address and port, no region, path style', async () => {
      const config = configure({ ...place(`https://127.0.0.1:${proxy.port}`, lab.caFile), 'repo1-s3-bucket': bucket });
      await live(config, { HOME: root }, { whole: isFullS3Run() });
      expect(signers()).toEqual([`${lab.key} us-east-1`]);
      expect(new Set(proxy.requests.map(({ headers }) => headers.host))).toEqual(new Set([`127.0.0.1:${proxy.port}`]));
    });

    test.for([
      ['AWS: a URL and a region', 's3.eu-west-1.amazonaws.com', 'eu-west-1'],
      ['Ceph: a URL alone', 'ceph.example.com', undefined],
    ] as const)('%s, with the bucket before the name', async ([, name, region]) => {
      const service = await named(name, [bucket]);
      const { proxy } = service;
      try {
        const endpoint = place(`https://${name}`, service.caFile);
        const more: Record<string, string> = region === undefined ? {} : { 'repo1-s3-region': region };
        const config = configure({ ...endpoint, ...more, 'repo1-s3-bucket': bucket });
        const start: Start = (argv, options) => service.run(user, argv, options);
        await live(config, { HOME: root, ...service.environment }, { start, whole: isFullS3Run() });
        expect(hostsOf(proxy)).toEqual([`${bucket}.${name}`]);
        expect([...new Set(proxy.requests.map(signerOf))]).toEqual([`${lab.key} ${region ?? 'us-east-1'}`]);
      } finally {
        await service.close();
      }
    });

    test('Google: HMAC keys, no region, no removal of many at once, and no checksums of Amazon', async () => {
      const service = await named('storage.googleapis.com', [bucket], [noBatchDelete, noChecksums]);
      const { proxy } = service;
      const start: Start = (argv, options) => service.run(user, argv, options);
      try {
        const endpoint = place('https://storage.googleapis.com', service.caFile);
        // one file goes up in parts, by a thread
        cluster.write('base/5/16500', Buffer.alloc(12 * 1024 * 1024, 'page'));
        const parts = { 'compress-type': 'none', 'repo1-storage-upload-chunk-size': '5MiB' };
        const config = configure({ ...endpoint, 'repo1-s3-bucket': bucket, ...parts });
        await live(config, { HOME: root, ...service.environment }, { start });
        expect(hostsOf(proxy)).toEqual([`${bucket}.storage.googleapis.com`]);
        expect([...(await lab.list(bucket, `${folders}/`)).keys()]).toEqual([]);
        expect(proxy.requests.filter(({ fault }) => fault === undefined).length).toBe(
          proxy.count() - proxy.count('DeleteObjects'),
        );
        expect(proxy.count('UploadPart')).toBe(2 * 3);
        // Google's gateways change this header, which breaks a signature over it
        for (const { headers } of proxy.requests)
          expect(headers.authorization).not.toMatch(/SignedHeaders=[^,]*accept-encoding/);
        // asked for once by each process that has more than one to remove
        expect(proxy.count('DeleteObjects')).toBeLessThanOrEqual(3);
        expect(proxy.count('DeleteObject')).toBeGreaterThan(20);
      } finally {
        rmSync(join(cluster.data, 'base/5/16500'), { force: true });
        await service.close();
      }
    });

    test.for([
      { status: 400, code: 'InvalidArgument' },
      { status: 405, code: 'MethodNotAllowed' },
      { status: 501, code: 'NotImplemented' },
    ])('a service that answers $status $code to the removal of many gets single ones', async ({ status, code }) => {
      const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>not here</Message></Error>`;
      proxy.setRules([{ kinds: ['DeleteObjects'], fault: { ...notImplemented(), status, body } }]);
      try {
        const endpoint = place(`https://127.0.0.1:${proxy.port}`, lab.caFile);
        const config = configure({ ...endpoint, 'repo1-s3-bucket': bucket });
        for (const key of ['archive/demo/a', 'archive/demo/b/c', 'backup/demo/d', 'backup/demo/e'])
          await lab.put(bucket, `${folders}/${key}`, 'left by nobody');
        const stopped = await run(config, ['stop'], { HOME: root });
        const { code: ended, stderr } = await run(config, ['--log-level-stderr=warn', 'stanza-delete'], {
          HOME: root,
        });
        expect({ stopped: stopped.code, ended, stderr }).toEqual({ stopped: 0, ended: 0, stderr: '' });
        expect([...(await lab.list(bucket, `${folders}/`)).keys()]).toEqual([]);
        // archive and backups are removed at the same time
        expect(proxy.count('DeleteObjects')).toBeLessThanOrEqual(2);
        expect(proxy.count('DeleteObject')).toBeGreaterThanOrEqual(4);
      } finally {
        proxy.setRules([]);
      }
    });

    async function named(
      name: string,
      buckets: readonly string[],
      rules: readonly FaultRule[] = [],
    ): Promise<NamedService> {
      const folder = join(root, name);
      if (!existsSync(folder)) mkdirSync(folder, { mode: 0o755 });
      if (!canRename()) console.log(`${name}: no mount namespace, so repo1-storage-host and -port lead there`);
      return await NamedService.start(lab, { folder, name, buckets, rules });
    }
  });
});

/** Access key and region in the signature of a request. */
function signerOf({ headers }: S3Request): string {
  const [, key, region] =
    /Credential=([^/]+)\/\d{8}\/([^/]+)\/s3\/aws4_request/.exec(headers.authorization ?? '') ?? [];
  return `${key} ${region}`;
}

/** Names that requests are for. */
function hostsOf(proxy: FaultProxy): string[] {
  return [...new Set(proxy.requests.map(({ headers }) => headers.host?.replace(/:\d+$/, '') ?? ''))];
}
