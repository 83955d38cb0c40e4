/** A repository in a bucket, with its key from all places that a command takes keys from. */
import { dirname, join } from 'node:path';
import {
  inHours,
  instanceKey,
  instanceReply,
  type ServedKey,
  webIdentityAnswer,
} from '../../support/s3/key-services.ts';
import type { S3Lab } from '../../support/s3/lab.ts';
import { LocalService } from '../../support/s3/local-service.ts';
import type { SecretBed, SecretRun, Way } from './secret-bed.ts';

/** Where a key is from, and what a command needs to be told for it. */
export interface KeyPlace {
  readonly what: string;
  readonly run: SecretRun;
}

type Values = Readonly<Record<string, string | number | undefined>>;
type Texts = Readonly<Record<string, string>>;

export class BucketPart {
  readonly places: readonly KeyPlace[];
  readonly #services: readonly LocalService[];

  private constructor(places: readonly KeyPlace[], services: readonly LocalService[]) {
    this.places = places;
    this.#services = services;
  }

  static async open(bed: SecretBed, lab: S3Lab): Promise<BucketPart> {
    const { canaries } = bed;
    // another lab than our own looks at no token
    const { keys, token } =
      lab.tokens === undefined
        ? { keys: { key: lab.key, secret: lab.secret }, token: canaries.plain('token') }
        : await lab.temporaryKeys(3600);
    canaries.add('key', keys.key);
    canaries.add('secret of the key', keys.secret);
    canaries.add('token', token);
    const served: ServedKey = { ...keys, token, expiration: inHours(1) };
    const jwt = canaries.plain('web identity token');
    const instance = await LocalService.start(request => instanceReply(request, { backup: instanceKey(served) }));
    const sts = await LocalService.start(() => ({ body: webIdentityAnswer(served) }), {
      certificate: join(dirname(lab.caFile), 'server.pem'),
      key: join(dirname(lab.caFile), 'server.key'),
    });
    const options: Values = {
      'repo1-type': 's3',
      'repo1-path': '/repo',
      'repo1-s3-bucket': await lab.newBucket(),
      'repo1-s3-endpoint': lab.tokens ?? lab.http,
      'repo1-s3-region': lab.region,
      'repo1-s3-uri-style': 'path',
      'repo1-storage-ca-file': lab.caFile,
      'repo2-path': undefined,
      'repo2-cipher-type': undefined,
      'repo2-retention-full': undefined,
    };
    const own = {
      ...Object.fromEntries(Object.keys(bed.secrets).map(name => [name, undefined])),
      'repo1-cipher-pass': canaries.make('passphrase of the bucket'),
    };
    const place = (what: string, { way, more = {}, secrets = {}, env = {} }: Place): KeyPlace => ({
      what,
      run: {
        ...(way === undefined ? {} : { way }),
        options: { ...options, ...more },
        secrets: { ...own, ...secrets },
        env,
      },
    });

    const shared = { 'repo1-s3-key': keys.key, 'repo1-s3-key-secret': keys.secret, 'repo1-s3-token': token };
    const printed = JSON.stringify({
      Version: 1,
      AccessKeyId: keys.key,
      SecretAccessKey: keys.secret,
      SessionToken: token,
      Expiration: served.expiration,
    });
    const program = bed.secretFile('print-key', `#!/bin/sh\ntrue\necho '${printed}'\n`, 0o700);
    const profile = (name: string, text: string): Texts => ({
      AWS_SHARED_CREDENTIALS_FILE: bed.secretFile(name, `[default]\n${text}`),
      AWS_CONFIG_FILE: '/dev/null',
    });
    return new BucketPart(
      [
        place('options, in a file', { way: 'file', secrets: shared }),
        place('options, in the environment', { way: 'environment', secrets: shared }),
        place('the environment', {
          env: { AWS_ACCESS_KEY_ID: keys.key, AWS_SECRET_ACCESS_KEY: keys.secret, AWS_SESSION_TOKEN: token },
        }),
        place('a credentials file', {
          env: profile(
            'credentials',
            `aws_access_key_id = ${keys.key}\naws_secret_access_key = ${keys.secret}\naws_session_token = ${token}\n`,
          ),
        }),
        place('a program', {
          way: 'environment',
          more: { 'repo1-s3-key-type': 'process', 'repo1-s3-process-cmd': program },
        }),
        place('a program of a profile', {
          way: 'environment',
          env: profile('process', `credential_process = ${program}\n`),
        }),
        place('the role of an instance', {
          more: { 'repo1-s3-key-type': 'auto' },
          env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: instance.url },
        }),
        place('a web identity token', {
          more: { 'repo1-s3-key-type': 'web-id', 'repo1-s3-sts-host': sts.url },
          env: { AWS_ROLE_ARN: 'arn:aws:iam::1:role/backup', AWS_WEB_IDENTITY_TOKEN_FILE: bed.secretFile('jwt', jwt) },
        }),
      ],
      [instance, sts],
    );
  }

  /** The usual place with other secrets, which the service refuses. */
  wrong(bed: SecretBed): readonly KeyPlace[] {
    const [usual] = this.places;
    if (usual === undefined) throw new Error('there is no place of a key');
    const with_ = (what: string, secrets: Texts): KeyPlace => ({
      what,
      run: {
        ...usual.run,
        options: { ...usual.run.options, 'io-timeout': '1s' },
        secrets: { ...usual.run.secrets, ...secrets },
      },
    });
    return [
      with_('an unknown key', { 'repo1-s3-key': bed.canaries.plain('unknown key') }),
      with_('a wrong secret', { 'repo1-s3-key-secret': bed.canaries.make('wrong secret') }),
      with_('a wrong token', { 'repo1-s3-token': bed.canaries.make('wrong token', ['+', '/', '==']) }),
      with_('a wrong passphrase', { 'repo1-cipher-pass': bed.canaries.make('wrong passphrase') }),
    ];
  }

  close(): void {
    for (const service of this.#services) service.close();
  }
}

interface Place {
  readonly way?: Way;
  readonly more?: Values;
  readonly secrets?: Texts;
  readonly env?: Texts;
}
