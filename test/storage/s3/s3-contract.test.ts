import { randomBytes } from 'node:crypto';
import { describe } from 'vitest';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import { testStorage } from '../../contract/storage.ts';
import { s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import { bucketSettings } from '../../support/s3/settings.ts';

describe.skipIf(!requireS3Server())('a bucket', () => {
  for (const [name, tls] of [
    ['http', false],
    ['TLS', true],
  ] as const) {
    testStorage(`s3 over ${name}`, async () => {
      const lab = await s3Lab();
      const bucket = await lab.newBucket();
      const storage = await openS3Storage({
        label: 'repo1',
        base: `/contract/${randomBytes(4).toString('hex')}`,
        bucket: bucketSettings(lab, bucket, { tls }),
        counters: new RequestCounters(newCounterMemory()),
      });
      return { storage, dispose: async () => undefined };
    });
  }
});
