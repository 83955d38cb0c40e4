/** Backups and WAL that nobody can remove before their time, and expire where it is not let. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type Answer, deletionsRefused, errorBody, type FaultRule } from '../support/s3/faults.ts';
import { requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { pages } from '../support/tiny-cluster.ts';
import { BucketBed } from './bucket-bed.ts';

const segments = [1, 2, 3].map(n => `00000001000000000000000${n}`);
const days = 2;
const lock = { 'repo1-s3-object-lock-mode': 'governance', 'repo1-s3-object-lock-days': days };

const denied: Answer = { type: 'answer', status: 403, body: errorBody('AccessDenied', 'Access Denied') };

/** A service that lets nobody remove what fits. */
const refuseRemoval = (key?: RegExp): FaultRule[] => [
  { kinds: ['DeleteObject'], fault: denied, ...(key === undefined ? {} : { key }) },
  { kinds: ['DeleteObjects'], fault: deletionsRefused('AccessDenied', key) },
];

describe.skipIf(!requireS3Server())('objects that are locked', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let proxy: FaultProxy;
  let bucket: string;

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    proxy = await FaultProxy.start(lab);
  });
  afterEach(() => {
    proxy.setRules([]);
    proxy.reset();
  });
  afterAll(async () => {
    bed.dispose();
    await proxy.close();
  });

  /** What a key or one of its versions is locked by. */
  async function lockOf(key: string, versionId?: string): Promise<string> {
    const head = await lab.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId }));
    const end = head.ObjectLockRetainUntilDate?.getTime();
    if (end === undefined) return 'no';
    const left = (end - Date.now()) / 86_400_000;
    return left > days - 0.1 && left <= days ? `${head.ObjectLockMode}` : `${head.ObjectLockMode} for ${left} days`;
  }

  /** What an archived segment or a file of a backup is, by its key. */
  const isData = (key: string) =>
    /^archive\/demo\/15-1\/\w{16}\/\w{24}-\w{40}$/.test(key) ||
    /^backup\/demo\/[\d-]+F(?:_[\d-]+D)?\/((pg_data|pg_tblspc)\/.+|bundle\/\d+|backup\.manifest)$/.test(key);

  it('are files of backups and WAL segments, and only these; expire tells that they take space', async () => {
    bucket = await lab.newBucket({ objectLock: true });
    bed.use({ bucket, port: proxy.port }, { ...lock, 'repo1-retention-full': 1 });
    await bed.run('stanza-create');
    await bed.push(segments[0] ?? '');
    bed.cluster.write('pg_wal/00000002.history', '1\t0/2000000\tmade up\n');
    await bed.run('archive-push', `${bed.cluster.data}/pg_wal/00000002.history`);
    await bed.run('backup', '--type=full');
    const keys = [...(await lab.list(bucket)).keys()];
    const locks = await Promise.all(keys.map(async key => [key, await lockOf(key)] as const));
    expect(Object.fromEntries(locks)).toEqual(
      Object.fromEntries(keys.map(key => [key, isData(key) ? 'GOVERNANCE' : 'no'])),
    );
    const data = keys.filter(isData);
    expect(data.filter(key => key.startsWith('archive/'))).toHaveLength(1);
    expect(data.length).toBeGreaterThan(8);
    expect(keys).toContain('backup/demo/backup.info.copy');
    // Amazon takes nothing that is locked without it
    const puts = proxy.requests.filter(({ kind }) => kind === 'PutObject' || kind === 'UploadPart');
    expect(puts.every(({ headers }) => headers['content-md5'] !== undefined)).toBe(true);

    const [label = ''] = await bed.labels();
    const told = await bed.run('backup', '--type=full', '--repo1-bundle');
    expect(told).toContain(`repo1: expire full backup ${label}`);
    const [, kept, locked, until = ''] =
      /INFO: repo1: (\d+) removed file\(s\) stay in the bucket as versions, up to (\d+) of them locked until ([\d: -]+): no space is freed before/.exec(
        told,
      ) ?? [];
    const gone = keys.filter(key => key.startsWith(`backup/demo/${label}/`));
    expect(Number(kept)).toBeGreaterThanOrEqual(gone.length);
    expect(Number(locked)).toBeGreaterThanOrEqual(gone.filter(isData).length);
    expect(Number(locked)).toBeLessThanOrEqual(Number(kept));
    expect(
      Math.abs(new Date(until.replace(' ', 'T')).getTime() / 86_400_000 - Date.now() / 86_400_000 - days),
    ).toBeLessThan(0.1);
    expect(await bed.labels()).not.toContain(label);
    // the versions are there, and locked
    const [version] = await lab.versions(bucket, `backup/demo/${label}/pg_data/base/5/1259`);
    const { Key = '', VersionId } = version ?? {};
    expect(await lockOf(Key, VersionId)).toBe('GOVERNANCE');
    await expect(lab.client.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId }))).rejects.toThrow(/lock/);
    // nothing left to do, and nothing to tell
    const again = await bed.run('expire');
    expect(again).not.toContain('removed file');
    expect(again).toContain('completed successfully');
  });

  it('do not keep an unfinished backup from being resumed, or removed', async () => {
    bucket = await lab.newBucket({ objectLock: true });
    bed.use({ bucket, port: proxy.port }, { ...lock, 'process-max': 1 });
    await bed.run('stanza-create');
    await bed.push(segments[1] ?? '');
    // @returns where it has stored some files
    const fail = async (): Promise<string> => {
      proxy.setRules([{ kinds: ['PutObject'], key: /\/pg_data\/pg_hba.conf/, fault: denied }]);
      const failed = await bed.attempt('backup', ['--type=full', '--job-retry=0']);
      expect(failed).toMatchObject({ code: 39, output: expect.stringContaining('AccessDenied') });
      proxy.setRules([]);
      const known = await bed.labels();
      const stored = [...(await lab.list(bucket, 'backup/demo/')).keys()].filter(isData);
      const [, label = ''] =
        stored.map(key => /(\d{8}-\d{6}F)/.exec(key)).find(found => !known.includes(found?.[1] ?? '')) ?? [];
      expect(label).not.toBe('');
      return label;
    };
    await fail();
    bed.cluster.write('base/5/1247', pages(3, 77));
    expect(await bed.run('backup', '--type=full')).toMatch(/resumable backup .* of same type exists/);
    expect(await bed.restore()).toEqual(bed.content());

    const unfinished = await fail();
    // a name that is free again would be taken within its second
    await sleep(1000);
    await bed.run('backup', '--type=full', '--no-resume');
    expect([...(await lab.list(bucket, `backup/demo/${unfinished}/`)).keys()]).toEqual([]);
    expect(await bed.restore()).toEqual(bed.content());

    // nor where the service refuses to remove what it has stored
    const left = await fail();
    proxy.setRules(refuseRemoval(new RegExp(`${left}/pg_data/`)));
    const told = await bed.run('backup', '--type=full', '--no-resume');
    expect(told).toMatch(
      new RegExp(`WARN: unable to remove 'backup/demo/${left}/'.*: locked until .*\\n.*a later expire`),
    );
    expect((await lab.list(bucket, `backup/demo/${left}/`)).size).toBeGreaterThan(0);
    expect(await bed.restore()).toEqual(bed.content());
  });

  it('stay whole where the service refuses to remove them, and go when it does no longer', async () => {
    bucket = await lab.newBucket({ objectLock: true });
    bed.use({ bucket, port: proxy.port }, lock);
    await bed.run('stanza-create');
    await bed.push(segments[0] ?? '');
    await bed.run('backup', '--type=full');
    bed.cluster.write('base/5/1259', pages(4, 78));
    await bed.run('backup', '--type=diff');
    await bed.push(segments[1] ?? '');
    await bed.run('backup', '--type=full');
    const labels = await bed.labels();
    const [full = '', diff = '', newest = ''] = labels;
    const content = await bed.restore([`--set=${diff}`]);
    const before = await lab.list(bucket);

    // as a service without versions would: the diff's manifest is locked, and it needs the full
    proxy.setRules(refuseRemoval(new RegExp(`${diff}/(pg_data/|backup.manifest$)`)));
    const told = await bed.run('expire', '--repo1-retention-full=1');
    expect(told).toMatch(new RegExp(`WARN: repo1: backup ${diff} stays: it is locked until \\d{4}-`));
    expect(told).not.toContain(`remove expired backup ${full}`);
    expect(await bed.labels()).toEqual(labels);
    expect(await bed.restore([`--set=${diff}`])).toEqual(content);
    // the copy of its manifest was not locked
    const left = await lab.list(bucket);
    expect([...before.keys()].filter(key => !left.has(key))).toEqual([`backup/demo/${diff}/backup.manifest.copy`]);

    // two data files are held longer than the manifests: the backups go, the files are told of
    proxy.setRules(refuseRemoval(new RegExp(`${diff}/pg_data/base/5/|${full}/pg_data/PG_VERSION`)));
    const held = await bed.run('expire', '--repo1-retention-full=1');
    expect(held).toMatch(
      /WARN: repo1: 2 file\(s\) could not be removed: locked until .*\n.*a later expire will remove them/,
    );
    expect(await bed.labels()).toEqual([newest]);
    const rest = [...(await lab.list(bucket, 'backup/demo/')).keys()].filter(key => !key.includes(newest));
    expect(rest.filter(isData).sort()).toEqual([
      `backup/demo/${full}/pg_data/PG_VERSION`,
      `backup/demo/${diff}/pg_data/base/5/1259`,
    ]);

    proxy.setRules([]);
    expect(await bed.run('expire', '--repo1-retention-full=1')).toContain(`remove expired backup ${full}`);
    expect((await lab.list(bucket, `backup/demo/${full}/`)).size).toBe(0);
    expect(await bed.labels()).toEqual([newest]);
  });

  /** What README calls enough. */
  const enough = [
    ...[
      's3:ListBucket',
      's3:ListBucketVersions',
      's3:ListBucketMultipartUploads',
      's3:GetObject',
      's3:GetObjectVersion',
    ],
    ...['s3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
  ];

  it('are told apart from objects that the user may not remove; few permissions are enough', async () => {
    bucket = await lab.newBucket({ versioned: true });
    const use = async (without?: string) =>
      bed.use({
        bucket,
        ...(await lab.newUser(
          bucket,
          enough.filter(action => action !== without),
        )),
      });
    await use('s3:DeleteObject');
    await bed.run('stanza-create');
    await bed.push(segments[0] ?? '');
    await bed.run('backup', '--type=full');
    await bed.run('backup', '--type=full');
    const labels = await bed.labels();
    const before = await lab.list(bucket);
    const refused = await bed.attempt('expire', ['--repo1-retention-full=1']);
    expect(refused.code).toBe(104);
    expect(refused.output).toContain('HTTP request failed with 403 (Forbidden)');
    expect(refused.output).toContain(`may the credentials delete in bucket '${bucket}'?`);
    expect(await lab.list(bucket)).toEqual(before);
    expect(await bed.labels()).toEqual(labels);

    await use('s3:ListBucketMultipartUploads');
    expect(await bed.run('expire')).toMatch(
      /DETAIL: repo1: unfinished uploads are not looked for: HTTP request failed with 403/,
    );
    await use();
    const told = await bed.run('expire', '--repo1-retention-full=1');
    expect(told).not.toContain('not looked for');
    expect(told).toMatch(/DETAIL: repo1: \d+ removed file\(s\) stay in the bucket as versions: no space is freed/);
    expect(await bed.labels()).toEqual(labels.slice(1));
    expect(
      await bed.run(
        'verify',
        '--repo=1',
        `--repo-target-time=${new Date().toISOString().replace('T', ' ').replace('Z', '+00')}`,
      ),
    ).toContain('completed successfully');
    expect(await bed.restore()).toEqual(bed.content());
  });
});
