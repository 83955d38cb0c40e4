/** One backup to a disk and to a bucket at once: the bucket encrypted and in blocks, and a service that goes away. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { s3Lab } from '../support/s3/lab.ts';
import { requireS3Server } from '../support/s3/radosgw.ts';
import { repoOptions } from '../support/s3/repo-options.ts';
import { pages } from '../support/tiny-cluster.ts';
import { OfflineBed } from './offline-bed.ts';

describe.skipIf(!requireS3Server())('a backup to a disk and to a bucket', () => {
  let bed: OfflineBed;
  let proxy: FaultProxy;

  beforeAll(async () => {
    const lab = await s3Lab();
    const bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab);
    bed = new OfflineBed();
    for (let file = 20_000; file < 20_040; file++) bed.cluster.write(`base/5/${file}`, pages(1 + (file % 5), file));
    // goes in parts
    bed.cluster.write('base/5/30000', randomBytes(12 << 20));
    bed.configure({
      ...repoOptions(lab, { bucket, path: '/repo', index: 2, port: proxy.port }),
      'backup-fan-out': 'y',
      'checksum-page': 'n',
      'compress-type': 'lz4',
      'io-timeout': 1,
      'job-retry': 0,
      'process-max': 1,
      'repo1-path': join(bed.newFolder(), 'repo'),
      'repo2-cipher-type': 'aes-256-cbc',
      'repo2-cipher-pass': 'two',
      'repo2-bundle': 'y',
      'repo2-block': 'y',
      'repo2-retention-full': 9,
      'repo2-storage-upload-chunk-size': '5MiB',
    });
    await bed.run('stanza-create');
  });

  afterAll(async () => {
    await proxy?.close();
    bed?.dispose();
  });

  async function expectSound(...which: readonly number[]): Promise<void> {
    const content = bed.content();
    for (const repo of which) {
      expect(await bed.restore([`--repo=${repo}`]), `repo${repo}`).toEqual(content);
      await bed.run('verify', `--repo=${repo}`);
    }
  }

  it('gives each a backup that restores alone: full, and then the blocks that changed', async () => {
    const said = await bed.run('backup', '--type=full');
    expect(said).toMatch(/repo2: \d+ requests \(/);
    await expectSound(1, 2);
    bed.cluster.write('base/5/20001', pages(2, 1));
    bed.cluster.write('base/5/20002', pages(1, 2));
    await bed.run('backup', '--type=incr');
    const [disk, store] = [(await bed.labels('--repo=1')).at(-1), (await bed.labels('--repo=2')).at(-1)];
    expect(store).toBe(disk);
    await expectSound(1, 2);
  });

  it('a service that goes away in the middle of a file drops out, the disk has its backup; later both have', async () => {
    let parts = 0;
    proxy.setRules([
      {
        when: ({ kind }) => {
          if (kind !== 'UploadPart' || ++parts < 2) return false;
          void proxy.down();
          return true;
        },
        fault: { type: 'break', how: 'reset', at: 'start' },
      },
    ]);
    const { code, output } = await bed.attempt('backup', ['--type=full']);
    expect(code, output).toBe(104);
    expect(output).toMatch(/WARN: repo2: \[HostConnectError\] unable to connect to '127\.0\.0\.1:\d+'/);
    expect(output).toContain('INFO: repo1: new backup label = ');
    expect(output).toContain('HINT: the backup is complete in repo1.');
    expect(output).not.toMatch(/unhandled|STACK/i);
    await expectSound(1);

    proxy.setRules([]);
    await proxy.up();
    expect(await bed.labels('--repo=2')).toHaveLength(2);
    await bed.run('backup', '--type=full');
    expect(await bed.labels('--repo=2')).toHaveLength(3);
    await expectSound(1, 2);
  });
});
