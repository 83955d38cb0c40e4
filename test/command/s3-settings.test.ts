import { describe, expect, test } from 'vitest';
import { s3Settings } from '../../src/command/s3-settings.ts';
import { failure, settings } from '../config/given.ts';

const environment = { AWS_REGION: 'r', HOME: '/home/me', KRB5CCNAME: 'x' };

const read = (file: string, ...args: string[]) => {
  const all = settings({
    file: `[global]\nrepo1-type=s3\nrepo1-s3-bucket=demo\n${file}`,
    args: args.length === 0 ? ['--stanza=demo', 'info'] : args,
  });
  const [repo] = all.repos;
  return s3Settings(all, repo?.key ?? 0, repo?.values ?? {}, environment);
};

const plain = {
  environment,
  bucket: 'demo',
  service: 's3',
  verifyTls: true,
  requesterPays: false,
  tags: {},
  ioTimeout: 60_000,
  credentials: { label: 'repo1', keyType: 'default', certificates: {}, ioTimeout: 60_000 },
};

describe('a bucket of the options', () => {
  test('has what was given, and nothing of what was not', () => {
    expect(read('')).toEqual(plain);
  });

  test('has all options', () => {
    const key = Buffer.alloc(32, 7).toString('base64');
    const found = read(`repo1-s3-endpoint=http://minio:9000
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-service=s3x
repo1-s3-key=AK
repo1-s3-key-secret=SK
repo1-s3-token=TK
repo1-s3-kms-key-id=kms
repo1-s3-sse-customer-key=${key}
repo1-s3-requester-pays=y
repo1-s3-object-lock-mode=compliance
repo1-s3-object-lock-days=30
repo1-storage-host=127.0.0.1
repo1-storage-port=443
repo1-storage-ca-file=/ca.pem
repo1-storage-ca-path=/ca
repo1-storage-verify-tls=n
repo1-storage-tag=a=b
repo1-storage-tag=c=d
repo1-storage-upload-chunk-size=5MiB
io-timeout=2s
`);
    const certificates = { caFile: '/ca.pem', caPath: '/ca' };
    expect(found).toEqual({
      // what a program might need is left out where none is started
      environment: { AWS_REGION: 'r', HOME: '/home/me' },
      bucket: 'demo',
      ...certificates,
      endpoint: 'http://minio:9000',
      region: 'us-east-1',
      uriStyle: 'path',
      service: 's3x',
      kmsKeyId: 'kms',
      sseCustomerKey: key,
      requesterPays: true,
      lock: { mode: 'COMPLIANCE', days: 30 },
      host: '127.0.0.1',
      port: 443,
      verifyTls: false,
      tags: { a: 'b', c: 'd' },
      chunkSize: 5 * 1024 ** 2,
      ioTimeout: 2000,
      credentials: {
        label: 'repo1',
        keyType: 'shared',
        key: 'AK',
        keySecret: 'SK',
        token: 'TK',
        certificates,
        ioTimeout: 2000,
      },
    });
    expect(structuredClone(found)).toEqual(found);
  });

  test('has the options of a key type', () => {
    expect(read('repo1-s3-key-type=auto\nrepo1-s3-role=r\n').credentials).toMatchObject({ keyType: 'auto', role: 'r' });
    expect(read('repo1-s3-key-type=web-id\n').credentials).toMatchObject({ stsHost: 'sts.amazonaws.com' });
    expect(
      read('repo1-s3-key-type=process\nrepo1-s3-process-cmd=/x\nrepo1-s3-process-cmd=--a b\n').credentials,
    ).toMatchObject({ keyType: 'process', processCommand: ['/x', '--a b'] });
    expect(read('repo1-s3-key-type=process\nrepo1-s3-process-cmd=/x\n').environment).toEqual(environment);
  });

  test('is seen as of a time', () => {
    const args = ['--stanza=demo', '--repo=1', 'info'];
    expect(read('', ...args, '--repo-target-time=2026-11-21 02:00:00+02').targetTime).toBe(
      Date.parse('2026-11-21T00:00:00Z'),
    );
    const error = failure(() => read('', ...args, '--repo-target-time=2026-13-01 00:00:00'));
    expect(error.text).toMatch(/^'2026-13-01 00:00:00' is not valid for 'repo-target-time' option\nHINT: time format/);
    expect(error.code).toBe(32);
  });
});

describe('the key type', () => {
  const keyType = (file: string) => read(file).credentials.keyType;
  test('is default without keys, shared with them, and what is given in any case', () => {
    expect(keyType('')).toBe('default');
    expect(keyType('repo1-s3-key=a\nrepo1-s3-key-secret=b\n')).toBe('shared');
    expect(keyType('repo1-s3-key-type=default\n')).toBe('default');
    expect(keyType('repo1-s3-key-type=auto\nrepo1-s3-key=a\n')).toBe('auto');
    expect(keyType('repo1-s3-key-type=default\nrepo1-s3-key=a\nrepo1-s3-key-secret=b\n')).toBe('default');
  });

  const half: [file: string, missing: string][] = [
    ['repo1-s3-key=a\n', 'repo1-s3-key-secret'],
    ['repo1-s3-key-secret=a\n', 'repo1-s3-key'],
    ['repo1-s3-token=a\n', 'repo1-s3-key'],
    ['repo1-s3-key-type=shared\n', 'repo1-s3-key'],
  ];
  test.each(half)('%j is not enough', (file, missing) => {
    const error = failure(() => read(file));
    expect([error.code, error.message]).toEqual([37, `info command requires option: ${missing}`]);
  });

  test('is that of each repository', () => {
    const { repos } = settings({
      file: '[global]\nrepo1-type=s3\nrepo1-s3-bucket=a\nrepo2-type=s3\nrepo2-s3-bucket=b\nrepo2-s3-key=k\nrepo2-s3-key-secret=s\n',
      args: ['--stanza=demo', 'info'],
    });
    expect(repos.map(repo => repo.values['s3-key-type'])).toEqual(['default', 'shared']);
  });
});
