/**
 * A real S3 server for tests and the bench: Debian's radosgw (Ceph), started once for all that run together.
 *
 *     test.skipIf(!requireS3Server())('...', async () => {
 *       const lab = await s3Lab();
 *       const bucket = await lab.newBucket({ versioned: true });
 *       const stanza = new TestStanza(cluster, 'a', repoOptions(lab, { bucket, path: '/repo' }));
 *       await lab.list(bucket, 'repo/backup/');
 *
 * Free of vitest.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ObjectVersion,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { readPlace, type S3Place } from './lab-file.ts';
import { sharedServer } from './shared-server.ts';
import { postSigned } from './signed-form.ts';

export { isFullS3Run, requireS3Server, s3SkipReason } from './radosgw.ts';

export interface BucketOptions {
  readonly versioned?: boolean;
  /** Implies versions. */
  readonly objectLock?: boolean;
}

export interface S3Keys {
  readonly key: string;
  readonly secret: string;
}

/** Valid at the gateway `tokens` of the lab. */
export interface TemporaryKeys {
  readonly keys: S3Keys;
  readonly token: string;
}

export class S3Lab implements S3Place {
  readonly http: string;
  readonly https: string;
  readonly tokens?: string;
  readonly dnsName: string;
  readonly caFile: string;
  readonly region: string;
  readonly key: string;
  readonly secret: string;
  readonly cephConfig?: string;
  /** The plain SDK as the owner of all buckets, straight to the server. */
  readonly client: S3Client;

  constructor(place: S3Place) {
    this.http = place.http;
    this.https = place.https;
    if (place.tokens !== undefined) this.tokens = place.tokens;
    this.dnsName = place.dnsName;
    this.caFile = place.caFile;
    this.region = place.region;
    this.key = place.key;
    this.secret = place.secret;
    if (place.cephConfig !== undefined) this.cephConfig = place.cephConfig;
    this.client = this.clientWith({});
  }

  /** The SDK with other keys or through a proxy. */
  clientWith(options: { readonly keys?: S3Keys; readonly token?: string; readonly endpoint?: string }): S3Client {
    const { key, secret } = options.keys ?? this;
    return new S3Client({
      endpoint: options.endpoint ?? this.http,
      region: this.region,
      forcePathStyle: true,
      credentials: {
        accessKeyId: key,
        secretAccessKey: secret,
        ...(options.token === undefined ? {} : { sessionToken: options.token }),
      },
      // radosgw 16 does not know them
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }

  /** @returns the name of a new, empty bucket that nobody else uses; it goes with the lab */
  async newBucket(options: BucketOptions = {}): Promise<string> {
    const bucket = `t-${randomBytes(6).toString('hex')}`;
    await this.client.send(
      new CreateBucketCommand({ Bucket: bucket, ...(options.objectLock ? { ObjectLockEnabledForBucket: true } : {}) }),
    );
    if (options.versioned || options.objectLock) {
      await this.client.send(
        new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
      );
    }
    return bucket;
  }

  async put(bucket: string, key: string, body: string | Uint8Array): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: Buffer.from(body) }));
  }

  /** @throws the SDK's `NoSuchKey` when there is no such object */
  async get(bucket: string, key: string): Promise<Buffer> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async head(bucket: string, key: string): Promise<HeadObjectCommandOutput> {
    return await this.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
  }

  /** All keys below the prefix with their sizes, in the server's order. */
  async list(bucket: string, prefix = ''): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    let token: string | undefined;
    do {
      const page = await this.client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
      );
      for (const { Key = '', Size = 0 } of page.Contents ?? []) found.set(Key, Size);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return found;
  }

  /** Up to 1,000 versions below the prefix, newest first within a key, without delete markers. */
  async versions(bucket: string, prefix = ''): Promise<ObjectVersion[]> {
    const page = await this.client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }));
    return page.Versions ?? [];
  }

  /** Keys of uploads in parts that nobody completed or aborted. */
  async unfinishedUploads(bucket: string): Promise<string[]> {
    const { Uploads = [] } = await this.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return Uploads.map(({ Key = '' }) => Key);
  }

  /** Deletes objects as their owner; those that are not there count as deleted. */
  async delete(bucket: string, keys: Iterable<string>): Promise<void> {
    const rest = [...keys];
    while (rest.length > 0) {
      const Objects = rest.splice(0, 1000).map(Key => ({ Key }));
      const { Errors = [] } = await this.client.send(
        new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
      );
      if (Errors[0] !== undefined) throw new Error(`${Errors[0].Key} was not deleted: ${Errors[0].Code}`);
    }
  }

  /**
   * A user who may do on the bucket what is listed, and nothing else. Takes the place of the bucket's users before.
   * @param actions such as `s3:GetObject`, `s3:PutObject`, `s3:ListBucket`
   */
  async newUser(bucket: string, actions: readonly string[]): Promise<S3Keys> {
    const user = `u-${randomBytes(6).toString('hex')}`;
    const keys = { key: randomBytes(10).toString('hex').toUpperCase(), secret: randomBytes(20).toString('hex') };
    await this.#admin('user', 'create', '--uid', user, '--display-name', user, ...accessKey(keys));
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: [`arn:aws:iam:::user/${user}`] },
      Action: actions,
      Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
    };
    await this.client.send(
      new PutBucketPolicyCommand({
        Bucket: bucket,
        Policy: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
      }),
    );
    return keys;
  }

  /**
   * Keys with a token, for the owner. The other gateways pass any token by.
   * @param seconds until they expire, at least 900
   */
  async temporaryKeys(seconds: number): Promise<TemporaryKeys> {
    const allow = { Effect: 'Allow', Action: ['s3:*', 'sts:*'], Resource: ['*'] };
    await this.#ask({
      Action: 'PutUserPolicy',
      UserName: 'lab',
      PolicyName: 'temporary-keys',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [allow] }),
    });
    const answer = await this.#ask({ Action: 'GetSessionToken', DurationSeconds: String(seconds) });
    const element = (name: string): string => {
      const text = new RegExp(`<${name}>([^<]+)</${name}>`).exec(answer)?.[1];
      if (text === undefined) throw new Error(`no ${name} in the answer to GetSessionToken`);
      return text;
    };
    return {
      keys: { key: element('AccessKeyId'), secret: element('SecretAccessKey') },
      token: element('SessionToken'),
    };
  }

  async #ask(form: Readonly<Record<string, string>>): Promise<string> {
    if (this.tokens === undefined) throw new Error('this S3 server is not one of ours: it gives no temporary keys');
    const { region, key, secret } = this;
    return await postSigned({ endpoint: this.tokens, region, service: 'sts', key, secret }, form);
  }

  async #admin(...args: readonly string[]): Promise<void> {
    if (this.cephConfig === undefined)
      throw new Error('this S3 server is not one of ours: it makes no users for tests');
    await promisify(execFile)('radosgw-admin', ['-c', this.cephConfig, '-n', 'client.rgw', ...args]);
  }
}

function accessKey({ key, secret }: S3Keys): string[] {
  return ['--access-key', key, '--secret-key', secret];
}

/**
 * The server that PGBACKSTOP_S3_LAB names, or else the one of this run of tests, which the first caller starts and which
 * ends with the run. Seconds for the first caller, nothing for those after it.
 */
export async function s3Lab(env: NodeJS.ProcessEnv = process.env): Promise<S3Lab> {
  return new S3Lab(env.PGBACKSTOP_S3_LAB ? readPlace(env.PGBACKSTOP_S3_LAB) : await sharedServer(env));
}
