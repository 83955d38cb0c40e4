/** What is wrong with a bucket, or with the way to it: told plainly, with the exit code of the real tool, and nothing is lost. */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { issueCertificate, makeAuthority } from '../support/s3/certificates.ts';
import { FaultProxy, type FaultProxyOptions } from '../support/s3/fault-proxy.ts';
import {
  bucketElsewhere,
  expiredToken,
  type FaultRule,
  skewedClock,
  wrongSigningRegion,
} from '../support/s3/faults.ts';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../support/s3/radosgw.ts';
import type { RepoOptions } from '../support/s3/repo-options.ts';
import type { OptionValues } from '../support/stanza.ts';
import { pages } from '../support/tiny-cluster.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { BucketBed, type Outcome } from './bucket-bed.ts';

const first = '000000010000000000000001';
const second = '000000010000000000000002';
const secret = 'neverToBeSeenSecret';
const token = 'neverToBeSeenToken';

/** Of archive-push and archive-get when no repository can be used. */
const noRepository = 103;

const real = findRealPgbackrest();

describe.skipIf(!requireS3Server())('with a bucket', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let bucket: string;
  let good: RepoOptions;
  let folder: string;
  const proxies: FaultProxy[] = [];
  /** Objects of the repository when it was left. */
  let stored: Map<string, number>;

  async function proxied(options: FaultProxyOptions): Promise<number> {
    const proxy = await FaultProxy.start(lab, options);
    proxies.push(proxy);
    return proxy.port;
  }

  function expectNoSecret({ output }: Outcome): void {
    for (const hidden of [lab.secret, secret, token]) expect(output).not.toContain(hidden);
  }

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    bucket = await lab.newBucket();
    folder = makeTemporaryFolder(unprivilegedUser(), 's3-bad-');
    good = { bucket, path: '/repo', port: await proxied({}) };
    bed.use(good);
    await bed.run('stanza-create');
    await bed.push(first);
    await bed.run('backup', '--type=full');
    stored = await lab.list(bucket);
  });

  afterAll(async () => {
    for (const proxy of proxies) await proxy.close();
    bed?.dispose();
  });

  interface Case {
    readonly repo?: Partial<RepoOptions>;
    readonly proxy?: FaultProxyOptions;
    readonly options?: OptionValues;
    readonly code: number;
    readonly message: RegExp;
    readonly hint: RegExp;
    /** Exit code of the real tool where it is another; undefined where it cannot be asked. */
    readonly real?: number | undefined;
    /** The real tool tries again for long. */
    readonly slow?: true;
  }

  const answered = (fault: FaultRule['fault']): FaultProxyOptions => ({ rules: [{ fault }] });
  const host = (name: string): OptionValues => ({ 'repo1-storage-host': name });

  const cases: Readonly<Record<string, () => Promise<Case> | Case>> = {
    'a wrong key': () => ({
      repo: { key: 'NOSUCHKEY', secret },
      code: 39,
      message: /HTTP request failed with 403 \(Forbidden\)/,
      hint: /is repo1-s3-key right\?/,
    }),
    'a wrong secret': () => ({
      repo: { secret },
      code: 39,
      message: /HTTP request failed with 403 \(Forbidden\)/,
      hint: /is repo1-s3-key-secret right\?/,
    }),
    'an expired token': () => ({
      repo: { token },
      proxy: answered(expiredToken()),
      code: 39,
      message: /HTTP request failed with 400 \(Bad Request\)/,
      hint: /temporary credentials have expired/,
    }),
    'another region': () => ({
      proxy: answered(bucketElsewhere('eu-west-1')),
      code: 39,
      message: /HTTP request failed with 301 \(Moved Permanently\)/,
      hint: /is in region 'eu-west-1': set repo1-s3-region=eu-west-1/,
    }),
    'a signature for another region': () => ({
      proxy: answered(wrongSigningRegion('us-east-1', 'eu-west-1')),
      code: 39,
      message: /HTTP request failed with 400 \(Bad Request\)/,
      hint: /is in region 'eu-west-1': set repo1-s3-region=eu-west-1/,
    }),
    'no bucket': () => ({
      repo: { bucket: 'no-such-bucket' },
      code: 39,
      message: /HTTP request failed with 404 \(Not Found\)/,
      // which takes every 404 for a file that is missing, and asks for a stanza-create
      real: 55,
      hint: /bucket 'no-such-bucket' does not exist[\s\S]*create-bucket --bucket no-such-bucket/,
    }),
    'a host that is not known': () => ({
      options: host('no-such-host.invalid'),
      code: 49,
      slow: true,
      message: /unable to get address for 'no-such-host\.invalid': \[-2\] Name or service not known/,
      hint: /does this host resolve it\?/,
    }),
    'a host that does not answer': async () => {
      const port = await proxied({});
      await proxies.at(-1)?.down();
      return {
        repo: { port },
        code: 49,
        slow: true,
        message: /unable to connect to '127\.0\.0\.1:\d+': \[111\] Connection refused/,
        hint: /is the service up/,
      };
    },
    'plain http where TLS is spoken': () => ({
      options: host('http://127.0.0.1'),
      code: 39,
      message: /unable to connect to '127\.0\.0\.1:\d+': Connection reset by peer/,
      hint: /or TLS where repo1-s3-endpoint says http:/,
      // 2.45 speaks TLS only
      real: undefined,
    }),
    'TLS where plain http is spoken': () => ({
      proxy: { tls: false },
      code: 101,
      slow: true,
      message: /unable to speak TLS with '127\.0\.0\.1:\d+': wrong version number/,
      hint: /does the service speak plain http there\?/,
    }),
    'a certificate of an authority that nobody knows': async () => ({
      options: { 'repo1-storage-ca-file': (await makeAuthority(join(folder, 'unknown'))).certificate },
      code: 95,
      slow: true,
      message: /unable to verify certificate presented by '127\.0\.0\.1:\d+': \[\d+\] [\w -]+/,
      hint: /repo1-storage-ca-file[\s\S]*repo1-storage-verify-tls=n/,
    }),
    'a certificate with a name that is not ours': async () => {
      const authority = await makeAuthority(join(folder, 'known'));
      const certificate = await issueCertificate(join(folder, 'known'), authority, 'other', ['DNS:s3.other.example']);
      return {
        proxy: { certificate },
        options: { 'repo1-storage-ca-file': authority.certificate },
        code: 95,
        slow: true,
        message: /unable to find hostname '127\.0\.0\.1' in certificate common name or subject alternative names/,
        hint: /DNS:s3\.other\.example/,
      };
    },
    'a list of authorities that is not there': () => ({
      options: { 'repo1-storage-ca-file': '/nonexistent/ca.crt' },
      code: 95,
      message: /unable to set user-defined CA certificate location: .*'\/nonexistent\/ca\.crt'/,
      hint: /^/,
    }),
    'a clock that is behind': () => ({
      proxy: answered(skewedClock(3600)),
      code: 39,
      message: /RequestTimeTooSkewed/,
      hint: /the clock of this host is 3\d\d\d seconds behind that of the service: set the clock/,
    }),
    'a clock that is ahead': () => ({
      proxy: answered(skewedClock(-3600)),
      code: 39,
      message: /RequestTimeTooSkewed/,
      hint: /the clock of this host is 3\d\d\d seconds ahead of that of the service: set the clock/,
    }),
  };

  describe.each(Object.entries(cases))('and %s', (_, make) => {
    let found: Case;
    beforeAll(async () => {
      found = await make();
      const port = found.proxy === undefined ? good.port : await proxied(found.proxy);
      bed.use(
        { ...good, ...(port === undefined ? {} : { port }), ...found.repo },
        { 'io-timeout': 1, 'log-level-console': 'off', 'log-level-stderr': 'debug', ...found.options },
      );
      bed.cluster.write(`pg_wal/${second}`, Buffer.alloc(16));
    });

    it('fails with a reason and a hint, and does nothing', async () => {
      for (const [command, ...args] of [
        ['backup', '--type=full'],
        ['archive-push', join(bed.cluster.data, 'pg_wal', first)],
        ['archive-get', first, join(bed.cluster.data, 'pg_wal', 'RECOVERYXLOG')],
      ] as const) {
        const outcome = await bed.attempt(command, args);
        // archive-get is asked for errors alone: the reason is in the warnings before it
        if (command !== 'archive-get') expect(outcome.output).toMatch(found.message);
        if (command !== 'archive-get') expect(outcome.output).toMatch(found.hint);
        expect(outcome.code, command).toBe(command === 'backup' ? found.code : noRepository);
        expectNoSecret(outcome);
      }
      expect(await lab.list(bucket)).toEqual(stored);
    });

    it.skipIf(real === undefined)('has the exit codes of the real tool', async () => {
      const expected = 'real' in found ? found.real : found.code;
      // which tries for several times io-timeout
      if (expected === undefined || (found.slow && !isFullS3Run())) return;
      const tool = [real?.path ?? ''];
      const backup = await bed.attempt('backup', ['--type=full'], tool);
      expect(backup.code, backup.output).toBe(expected);
      if (found.slow) return;
      const push = await bed.attempt('archive-push', [join(bed.cluster.data, 'pg_wal', first)], tool);
      expect(push.code, push.output).toBe(noRepository);
    });
  });

  test('a wrong certificate is taken with repo1-storage-verify-tls=n', async () => {
    const authority = await makeAuthority(join(folder, 'any'));
    const certificate = await issueCertificate(join(folder, 'any'), authority, 'any', ['DNS:s3.other.example']);
    bed.use({ ...good, port: await proxied({ certificate }) }, { 'repo1-storage-verify-tls': 'n' });
    expect(await bed.labels()).toHaveLength(1);
  });

  describe('that objects of others are in', () => {
    const others = [
      'repo/backup/demo2/backup.info',
      'repo/backup/demo-old/file',
      'repo/archive/demo.txt',
      'repo/archive/demo2/archive.info',
      'repo/backup/other',
      'repo2/backup/demo/backup.info',
      'repo',
      'backup/demo/file',
      'a file with spaces & <signs>',
    ];

    beforeEach(async () => {
      for (const key of others) await lab.put(bucket, key, `of others: ${key}`);
      bed.use(good);
    });

    async function expectUntouched(): Promise<void> {
      for (const key of others) expect(String(await lab.get(bucket, key))).toBe(`of others: ${key}`);
    }

    test('expire, repo-rm and stanza-delete leave them alone', async () => {
      await bed.run('backup', '--type=full', '--repo1-retention-full=1');
      expect(await bed.labels()).toHaveLength(1);
      await expectUntouched();
      await lab.put(bucket, 'repo/backup/demo/left/over', 'x');
      await bed.run('repo-rm', '--recurse', 'backup/demo/left');
      await expectUntouched();
      await bed.run('stop');
      await bed.run('stanza-delete');
      await bed.run('start');
      expect([...(await lab.list(bucket)).keys()].sort()).toEqual([...others].sort());
      await expectUntouched();
    });
  });

  test('who may not delete is told, loses nothing, and can go on later', async () => {
    const own = await lab.newBucket();
    const actions = ['s3:GetObject', 's3:PutObject', 's3:ListBucket'];
    const keys = await lab.newUser(own, actions);
    const repo: RepoOptions = { bucket: own, path: '/repo', ...keys };
    bed.use(repo);
    await bed.run('stanza-create');
    await bed.push(first);
    await bed.run('backup', '--type=full');
    bed.cluster.write('base/5/1259', pages(5, 9));
    // the backup itself ends well, and what follows it does not
    const outcome = await bed.attempt('backup', ['--type=full', '--repo1-retention-full=1']);
    expect(outcome).toMatchObject({
      code: 104,
      output: expect.stringContaining(`may the credentials delete in bucket '${own}'?`),
    });
    expectNoSecret(outcome);
    const content = bed.content();
    bed.use({ ...repo, ...(await lab.newUser(own, [...actions, 's3:DeleteObject'])) });
    const [last = ''] = (await bed.labels()).slice(-1);
    expect(await bed.restore([`--set=${last}`, '--type=none'])).toMatchObject(content);
    await bed.run('expire', '--repo1-retention-full=1');
    expect(await bed.labels()).toEqual([last]);
    expect([...(await lab.list(own, 'repo/backup/demo/2')).keys()].every(key => key.includes(`/${last}/`))).toBe(true);
    expect(await bed.restore(['--type=none'])).toMatchObject(content);
  });
});
