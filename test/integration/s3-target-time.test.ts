/** A stanza in a bucket that keeps versions, as it was before it was expired, and before it was deleted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { pages } from '../support/tiny-cluster.ts';
import { BucketBed } from './bucket-bed.ts';

const first = '000000010000000000000001';
const second = '000000010000000000000002';

describe.skipIf(!requireS3Server())('a stanza in a bucket that keeps versions', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let bucket: string;

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    bucket = await lab.newBucket({ versioned: true });
  });
  afterAll(() => bed.dispose());

  /** Options that show the repository as it is now, once that has passed. */
  async function asOfNow(): Promise<string[]> {
    await sleep(20);
    const time = new Date().toISOString().replace('T', ' ').replace('Z', '+00');
    await sleep(20);
    return ['--repo=1', `--repo-target-time=${time}`];
  }

  it('is seen, verified and restored as of before it was expired and deleted', async () => {
    bed.use({ bucket, path: '/repo' });
    const before = await asOfNow();
    await bed.run('stanza-create');
    await bed.push(first);
    await bed.run('backup', '--type=full');
    const [oldest = ''] = await bed.labels();
    const content = bed.content();
    const info = await lab.get(bucket, 'repo/backup/demo/backup.info');
    const full = await asOfNow();

    bed.cluster.write('base/5/1259', pages(5, 9));
    bed.cluster.write('base/5/2000', pages(1, 10));
    await bed.push(second);
    // small files in a bundle: a file of which many parts are read
    await bed.run('backup', '--type=full', '--repo1-bundle', '--repo1-retention-full=1');
    const changed = bed.content();
    const [newest = ''] = await bed.labels();
    expect(await bed.labels()).toEqual([newest]);
    expect(newest).not.toBe(oldest);
    const expired = await asOfNow();

    await bed.run('stop');
    expect(await bed.run('stanza-delete', '--force')).toMatch(
      /DETAIL: repo1: \d+ removed file\(s\) stay in the bucket as versions: no space is freed until/,
    );
    await bed.run('start');
    expect((await lab.list(bucket, 'repo/')).size).toBe(0);

    expect(await bed.labels('--repo=1')).toEqual([]);
    expect(await bed.labels(...before)).toEqual([]);
    expect(await bed.labels(...full)).toEqual([oldest]);
    expect(await bed.labels(...expired)).toEqual([newest]);

    // neither what came later nor what had gone is listed, and directories are where files were
    const names = async (path: string, time: string[]) => Object.keys(JSON.parse(await list(path, time)));
    const list = (path: string, time: string[]) => bed.run('repo-ls', '--output=json', ...time, path);
    expect((await names('backup/demo', full)).sort()).toEqual(
      ['.', oldest, 'backup.history', 'backup.info', 'backup.info.copy'].sort(),
    );
    expect(await names('backup/demo', expired)).toContain(newest);
    expect(await names('backup/demo', expired)).not.toContain(oldest);
    const wal = 'archive/demo/15-1/0000000100000000';
    expect((await names(wal, full)).filter(name => name.startsWith(first))).toHaveLength(1);
    expect((await names(wal, full)).filter(name => name.startsWith(second))).toHaveLength(0);
    expect(await bed.run('repo-get', ...full, 'backup/demo/backup.info')).toBe(String(info));
    const missing = await bed.attempt('repo-get', [...before, 'backup/demo/backup.info']);
    expect(missing).toMatchObject({ code: 55, output: expect.stringContaining('missing file') });

    const verify = (time: string[]) => bed.run('verify', ...time, '--output=text', '--verbose');
    expect(await verify(full)).toMatch(new RegExp(`status: ok\\n(.*\\n)*.*backup: ${oldest}, status: valid`));
    expect(await verify(expired)).toMatch(new RegExp(`status: ok\\n(.*\\n)*.*backup: ${newest}, status: valid`));
    expect(await verify(full)).not.toContain(newest);
    const segment = `${bed.cluster.data}/pg_wal/RECOVERYXLOG`;
    await bed.run('archive-get', ...full, first, segment);
    expect(await bed.attempt('archive-get', [...full, second, segment])).toMatchObject({ code: 1 });

    // files come from worker threads
    expect(await bed.restore(full)).toEqual(content);
    expect(await bed.restore(expired)).toEqual(changed);
    const later = await bed.attempt('restore', ['--repo=1', '--pg1-path=/nowhere']);
    expect(later.code).not.toBe(0);
  });

  it('needs --repo, a time, and a command that only reads', async () => {
    bed.use({ bucket, path: '/repo' });
    const time = '--repo-target-time=2026-01-01 00:00:00';
    expect(await bed.attempt('info', [time])).toMatchObject({
      code: 31,
      output: expect.stringContaining("option 'repo-target-time' not valid without option 'repo'"),
    });
    expect(await bed.attempt('repo-ls', ['--repo=1', '--repo-target-time=yesterday'])).toMatchObject({ code: 32 });
    for (const command of ['expire', 'backup', 'repo-rm', 'stanza-delete']) {
      expect((await bed.attempt(command, ['--repo=1', time])).output).toContain('not valid for command');
    }
  });
});
