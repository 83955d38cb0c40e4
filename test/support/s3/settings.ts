/** Settings of the driver for a bucket of the lab. */
import type { GivenS3Settings } from '../../../src/storage/s3/settings.ts';
import type { S3Place } from './lab-file.ts';

export function bucketSettings(
  lab: S3Place,
  bucket: string,
  options: { readonly tls?: boolean } & Partial<GivenS3Settings> = {},
): GivenS3Settings {
  const { tls = false, ...more } = options;
  const ioTimeout = more.ioTimeout ?? 10_000;
  return {
    bucket,
    endpoint: tls ? lab.https : lab.http,
    region: lab.region,
    uriStyle: 'path',
    credentials: {
      label: 'repo1',
      keyType: 'shared',
      key: lab.key,
      keySecret: lab.secret,
      certificates: {},
      ioTimeout,
    },
    service: 's3',
    caFile: lab.caFile,
    verifyTls: true,
    requesterPays: false,
    tags: {},
    ioTimeout,
    environment: {},
    ...more,
  };
}
