/** Golden repositories in a bucket, which is reached over TLS; recovered and continued with PGBACKSTOP_S3=full. */
import pLimit from 'p-limit';
import { describe } from 'vitest';
import { isFullS3Run, requireS3Server, s3Lab } from '../support/s3/lab.ts';
import { repoOptions } from '../support/s3/repo-options.ts';
import { describeGolden } from './golden.ts';

describe.runIf(requireS3Server())('uploaded', () => {
  describeGolden({
    name: 'a bucket',
    directories: false,
    // recovery and later backups are in the matrix, too
    continued: isFullS3Run(),
    options: async () => {
      const lab = await s3Lab();
      return repoOptions(lab, { bucket: await lab.newBucket(), path: '/golden', uriStyle: 'host' });
    },
    store: async (repo, options) => {
      const lab = await s3Lab();
      const limit = pLimit(16);
      const bucket = String(options['repo1-s3-bucket']);
      const puts = repo.files().map(name => limit(() => lab.put(bucket, `golden/${name}`, repo.read(name))));
      await Promise.all(puts);
    },
  });
});
