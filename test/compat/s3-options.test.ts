/** What the service was told to do with our objects does not keep the real tool from reading them, and the reverse. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BucketBed } from '../integration/bucket-bed.ts';
import { requireCompat } from '../support/real-pgbackrest.ts';
import { isFullS3Run, requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';

const judge = requireCompat();

describe.runIf(judge !== undefined && requireS3Server())('a bucket with a key, tags, locks and parts', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  const real = [judge?.path ?? ''];

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    // more than two parts
    bed.cluster.write('base/5/30000', randomBytes(11 * 1024 * 1024));
  });
  afterAll(() => bed.dispose());

  const encrypted = { 'repo1-s3-kms-key-id': 'labkey', 'repo1-storage-upload-chunk-size': '5MiB' };
  const locked = {
    'repo1-s3-object-lock-mode': 'compliance',
    'repo1-s3-object-lock-days': 1,
    'repo1-storage-tag': 'owner=dba',
    'repo1-bundle': 'y',
  };
  it.each([
    ['encrypted by the service, in parts', encrypted, false],
    ['locked and tagged', locked, true],
  ] as const)('%s', async (_, options, objectLock) => {
    const bucket = await lab.newBucket({ objectLock });
    bed.use({ bucket }, options);
    await bed.run('stanza-create');
    await bed.run('backup', '--type=full');
    const content = bed.content();
    expect(await bed.restore([], real)).toEqual(content);

    bed.cluster.write('base/5/30001', randomBytes(6 * 1024 * 1024));
    const theirs = await bed.attempt('backup', ['--type=incr'], real);
    expect(theirs.code, theirs.output).toBe(0);
    expect(await bed.labels()).toHaveLength(2);
    expect(await bed.restore()).toEqual(bed.content());
    // what each leaves of what we have locked
    if (!isFullS3Run()) return;
    const ours = await bed.run('backup', '--type=full', '--repo1-retention-full=1');
    expect(ours).toContain('expire full backup set');
    const expired = await bed.attempt('expire', ['--repo1-retention-full=1'], real);
    expect(expired.code, expired.output).toBe(0);
    expect(await bed.labels()).toHaveLength(1);
    expect(await bed.restore([], real)).toEqual(bed.content());
  });
});
