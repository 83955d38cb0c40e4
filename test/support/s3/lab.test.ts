import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findRealPgbackrest } from '../real-pgbackrest.ts';
import { runAs, unprivilegedUser } from '../unprivileged.ts';
import { type S3Lab, s3Lab } from './lab.ts';
import { readPlace } from './lab-file.ts';
import { hasS3Server, requireS3Server } from './radosgw.ts';
import { repoLines } from './repo-options.ts';
import { isAlive, ownerOf } from './run-owner.ts';

describe('the search for radosgw', () => {
  test('lets a suite be skipped, unless that is forbidden', () => {
    expect(hasS3Server({ PATH: '/nonexistent' })).toBe(false);
    expect(requireS3Server({ PATH: '/nonexistent' })).toBe(false);
    expect(() => requireS3Server({ PATH: '/nonexistent', PGBACKSTOP_REQUIRE_COMPAT: '1' })).toThrow(/radosgw/);
  });

  test('is not made when a server is named', () => {
    expect(requireS3Server({ PATH: '/nonexistent', PGBACKSTOP_S3_LAB: '/lab/env.sh' })).toBe(true);
  });
});

describe('the file of a server that is up', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgbackstop-s3-file-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('names what is missing', () => {
    const file = join(folder, 'env.sh');
    writeFileSync(file, 'S3_ENDPOINT=http://127.0.0.1:8480\nexport S3_ENDPOINT_TLS="https://127.0.0.1:8443"\n');
    expect(() => readPlace(file)).toThrow('S3_DNS_NAME');
  });
});

test('a process that has ended is not taken for its successor of the same number', async () => {
  const child = spawn('sleep', ['60']);
  const owner = ownerOf(child.pid ?? 0) ?? '';
  expect(isAlive(owner)).toBe(true);
  expect(isAlive(owner.replace(/-.*/, '-1'))).toBe(false);
  child.kill();
  await once(child, 'exit');
  expect(isAlive(owner)).toBe(false);
});

describe.skipIf(!requireS3Server())('the S3 server', () => {
  let lab: S3Lab;
  beforeAll(async () => {
    lab = await s3Lab();
  });

  test('keeps objects', async () => {
    const bucket = await lab.newBucket();
    await lab.put(bucket, 'a/one', 'first');
    await lab.put(bucket, 'a/two', Buffer.alloc(70_000, 7));
    await lab.put(bucket, 'b', '');
    expect([...(await lab.list(bucket))]).toEqual([
      ['a/one', 5],
      ['a/two', 70_000],
      ['b', 0],
    ]);
    expect(String(await lab.get(bucket, 'a/one'))).toBe('first');
    expect((await lab.head(bucket, 'a/two')).ContentLength).toBe(70_000);
    await lab.delete(bucket, ['a/one', 'b']);
    expect([...(await lab.list(bucket, 'a/')).keys()]).toEqual(['a/two']);
    await expect(lab.get(bucket, 'b')).rejects.toThrow(expect.objectContaining({ name: 'NoSuchKey' }));
  });

  test('is one for all who ask', async () => {
    expect((await s3Lab()).http).toBe(lab.http);
  });

  test('keeps versions where it is asked to', async () => {
    const bucket = await lab.newBucket({ versioned: true });
    await lab.put(bucket, 'a', 'first');
    await lab.put(bucket, 'a', 'second!');
    await lab.delete(bucket, ['a']);
    expect((await lab.versions(bucket)).map(({ Size }) => Size)).toEqual([7, 5]);
    expect(await lab.list(bucket)).toEqual(new Map());
  });

  test('has users who may not do everything', async () => {
    const bucket = await lab.newBucket();
    await lab.put(bucket, 'a', 'first');
    const keys = await lab.newUser(bucket, ['s3:GetObject', 's3:PutObject', 's3:ListBucket']);
    const client = lab.clientWith({ keys });
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: 'a' }));
    expect(await Body?.transformToString()).toBe('first');
    await expect(client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'a' }))).rejects.toThrow(
      expect.objectContaining({ name: 'AccessDenied' }),
    );
    expect((await lab.list(bucket)).size).toBe(1);
  });

  test('gives temporary keys, and refuses made-up ones', async () => {
    const bucket = await lab.newBucket();
    await lab.put(bucket, 'a', 'first');
    const temporary = await lab.temporaryKeys(900);
    const get = new GetObjectCommand({ Bucket: bucket, Key: 'a' });
    const { Body } = await lab.clientWith({ ...temporary, endpoint: lab.tokens ?? '' }).send(get);
    expect(await Body?.transformToString()).toBe('first');
    const forged = lab.clientWith({ ...temporary, token: 'bWFkZSB1cA==', endpoint: lab.tokens ?? '' });
    await expect(forged.send(get)).rejects.toThrow(
      expect.objectContaining({ $metadata: expect.objectContaining({ httpStatusCode: 403 }) }),
    );
  });

  test('shows a certificate of its authority, for the name of the service and for names of buckets', async () => {
    const status = async (servername: string): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const asked = request(lab.https, { servername, ca: readFileSync(lab.caFile), agent: false }, answer => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.on('error', reject).end();
      });
    expect(await status(lab.dnsName)).toBe(200);
    expect(await status(`bucket.${lab.dnsName}`)).toBe(200);
    await expect(status('elsewhere.example')).rejects.toThrow(/altnames/);
  });

  const real = findRealPgbackrest();
  test.skipIf(real === undefined)('takes the real pgBackRest, started by another user than root', async () => {
    const bucket = await lab.newBucket();
    await lab.put(bucket, 'repo/some/file', 'there');
    const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-s3-real-'));
    chmodSync(folder, 0o755);
    for (const uriStyle of ['path', 'host'] as const) {
      const config = join(folder, `${uriStyle}.conf`);
      writeFileSync(config, `[global]\n${repoLines(lab, { bucket, path: '/repo', uriStyle })}`);
      chmodSync(config, 0o644);
      const { stdout, stderr } = await runAs(unprivilegedUser(), [
        ...[real?.path ?? '', `--config=${config}`, '--log-level-file=off'],
        ...['repo-ls', '--recurse'],
      ]);
      expect(stdout, stderr).toBe('some\nsome/file\n');
    }
    rmSync(folder, { recursive: true });
  });
});
