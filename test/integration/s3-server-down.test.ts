/** The service goes away in the middle of a command: it fails soon and plainly, nothing is lost, and the next run succeeds. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { forgeSegment } from '../command/archive/archive-bed.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../support/s3/radosgw.ts';
import type { S3Request } from '../support/s3/s3-request.ts';
import type { OptionValues, Tool } from '../support/stanza.ts';
import { pages } from '../support/tiny-cluster.ts';
import { BucketBed, type Outcome } from './bucket-bed.ts';

const segments = ['1', '2', '3'].map(end => `00000001000000000000000${end}`);
const [first = '', second = '', third = ''] = segments;

describe.skipIf(!requireS3Server())('a service that goes away', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let bucket: string;
  let proxy: FaultProxy;
  const real = findRealPgbackrest();
  /** The real tool tries for long: it is asked in the full run. */
  const judge: Tool | undefined = real !== undefined && isFullS3Run() ? [real.path] : undefined;

  const brief: OptionValues = { 'io-timeout': 1, 'log-level-console': 'warn' };

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab);
    use({});
    // goes in parts
    bed.cluster.write('base/5/20000', randomBytes(6 << 20));
    await bed.run('stanza-create');
    await bed.push(first);
    await bed.run('backup', '--type=full');
  });

  afterAll(async () => {
    await proxy?.close();
    bed?.dispose();
  });

  afterEach(async () => {
    proxy.setRules([]);
    await proxy.up();
  });

  function use(options: OptionValues): void {
    bed.use(
      { bucket, path: '/repo', port: proxy.port },
      { 'job-retry': 0, 'repo1-storage-upload-chunk-size': '5MiB', ...options },
    );
  }

  /** The service is gone with the so-manieth request that fits, which it does not get. */
  function goAt(count: number, fits: (request: S3Request) => boolean): void {
    let seen = 0;
    proxy.setRules([
      {
        when: request => {
          if (!fits(request) || ++seen < count) return false;
          void proxy.down();
          return true;
        },
        fault: { type: 'break', how: 'reset', at: 'start' },
      },
    ]);
  }

  function expectGone({ code, output }: Outcome, codes: readonly number[] = [49]): void {
    expect(codes, output).toContain(code);
    expect(output).toMatch(/unable to connect to '127\.0\.0\.1:\d+': (\[111\] Connection refused|Connection reset)/);
    expect(output).toMatch(/HINT: (is the service up|does something else)/);
    for (const hidden of [lab.secret]) expect(output).not.toContain(hidden);
    expect(output).not.toMatch(/unhandled|STACK/i);
  }

  const isWrite = ({ kind }: S3Request) => ['PutObject', 'UploadPart'].includes(kind);

  async function expectAllThere(before: ReadonlyMap<string, number>): Promise<void> {
    const now = await lab.list(bucket);
    for (const [key, size] of before) expect(now.get(key), key).toBe(size);
  }

  const moments: [string, (request: S3Request) => boolean, number][] = [
    ['part of a file', ({ kind }) => kind === 'UploadPart', 2],
    ['info file', request => isWrite(request) && request.key.endsWith('backup.info'), 1],
  ];
  if (isFullS3Run()) {
    moments.push(
      ['file', ({ kind, key }) => kind === 'PutObject' && key.includes('base/5/'), 1],
      ['manifest', ({ key }) => key.endsWith('backup.manifest'), 1],
    );
  }

  test.each(moments)('at a %s of a backup', async (what, fits, count) => {
    const before = await lab.list(bucket);
    const labels = await bed.labels();
    for (const name of ['1247', '1259']) bed.cluster.write(`base/5/${name}`, pages(3, count + what.length));
    bed.cluster.write('base/5/20000', randomBytes(6 << 20));
    use(brief);
    goAt(count, fits);
    const begun = Date.now();
    expectGone(await bed.attempt('backup', ['--type=diff']), [39, 49]);
    expect(Date.now() - begun).toBeLessThan(15_000);

    await proxy.up();
    proxy.setRules([]);
    await expectAllThere(before);
    expect(await bed.labels()).toEqual(labels);
    await bed.run('backup', '--type=diff');
    // the next one finds a backup that only its entry in the info file was missing of
    expect(await bed.labels()).toHaveLength(labels.length + (what === 'info file' ? 2 : 1));
    expect(await bed.restore(['--type=none'])).toMatchObject(bed.content());
  });

  test('at a push of a segment: it is not in the archive, and stays with PostgreSQL', async () => {
    use(brief);
    bed.cluster.write(`pg_wal/${second}`, forgeSegment(second));
    const path = join(bed.cluster.data, 'pg_wal', second);
    const archived = async () =>
      [...(await lab.list(bucket, 'repo/archive/demo/15-1/')).keys()].filter(key => key.includes(second));
    for (const tool of [bed.ours, ...(judge === undefined ? [] : [judge])]) {
      goAt(1, isWrite);
      const outcome = await bed.attempt('archive-push', [path], tool);
      // as the real tool, which tells of every repository that failed
      expect(outcome.code, outcome.output).toBe(104);
      expect(await archived()).toEqual([]);
      await proxy.up();
    }
    proxy.setRules([]);
    await bed.run('archive-push', path);
    expect(await archived()).toHaveLength(1);
  });

  test('at an asynchronous push: what got through is told, what did not is pushed later', async () => {
    const async = { 'archive-async': 'y', 'archive-timeout': 10, 'spool-path': join(bed.cluster.folder, 'spool') };
    use({ ...brief, ...async, 'process-max': 1 });
    const names = [third, '000000010000000000000004', '000000010000000000000005'];
    mkdirSync(join(bed.cluster.data, 'pg_wal/archive_status'), { recursive: true });
    for (const name of names) {
      bed.cluster.write(`pg_wal/${name}`, forgeSegment(name));
      bed.cluster.write(`pg_wal/archive_status/${name}.ready`, '');
    }
    // a worker sends two at once: the third begins when one of them has been answered
    goAt(3, isWrite);
    const codes: (number | undefined)[] = [];
    for (const name of names)
      codes.push((await bed.attempt('archive-push', [join(bed.cluster.data, 'pg_wal', name)])).code);
    expect(codes).toContain(0);
    expect(codes.some(code => code !== 0)).toBe(true);
    await proxy.up();
    proxy.setRules([]);
    for (const name of names) await bed.run('archive-push', join(bed.cluster.data, 'pg_wal', name));
    const keys = [...(await lab.list(bucket, 'repo/archive/demo/15-1/')).keys()];
    for (const name of names) expect(keys.filter(key => key.includes(name))).toHaveLength(1);
    rmSync(join(bed.cluster.data, 'pg_wal/archive_status'), { recursive: true });
  });

  test('at a get of a segment: PostgreSQL is not told that the archive ends there', async () => {
    use(brief);
    const target = join(bed.cluster.folder, 'RECOVERYXLOG');
    goAt(1, ({ kind, key }) => kind === 'GetObject' && key.includes(first));
    const outcome = await bed.attempt('archive-get', [first, target]);
    expect(outcome.code).toBeGreaterThan(1);
    expect(() => readFileSync(target)).toThrow(/ENOENT/);
    await proxy.up();
    proxy.setRules([]);
    await bed.run('archive-get', first, target);
    expect(readFileSync(target).equals(forgeSegment(first))).toBe(true);
  });

  test.each([
    ['at the manifest', ({ kind, key }: S3Request) => kind === 'GetObject' && key.includes('backup.manifest'), 1],
    ['at a file', ({ kind, key }: S3Request) => kind === 'GetObject' && /\/pg_data\//.test(key), 3],
  ])('%s of a restore', async (_, fits, count) => {
    use(brief);
    const target = join(bed.cluster.folder, 'restored');
    const space = join(bed.cluster.folder, 'restored-space');
    bed.makeFolders(target, space);
    const args = [`--pg1-path=${target}`, `--tablespace-map-all=${space}`, '--type=none'];
    goAt(count, fits);
    expectGone(await bed.attempt('restore', args), [39, 49]);
    // PostgreSQL does not start from half a restore
    expect(() => readFileSync(join(target, 'global/pg_control'))).toThrow(/ENOENT/);
    await proxy.up();
    proxy.setRules([]);
    await bed.run('restore', ...args, '--delta');
    expect(
      readFileSync(join(target, 'base/5/20000')).equals(readFileSync(join(bed.cluster.data, 'base/5/20000'))),
    ).toBe(true);
    for (const path of [target, space]) rmSync(path, { recursive: true });
  });

  test('at an expire: what is kept is whole, and the rest goes later', async () => {
    await bed.run('backup', '--type=full');
    const [kept = ''] = (await bed.labels()).slice(-1);
    use(brief);
    goAt(1, ({ kind }) => ['DeleteObject', 'DeleteObjects'].includes(kind));
    const outcome = await bed.attempt('expire', ['--repo1-retention-full=1']);
    expectGone(outcome, [104]);
    await proxy.up();
    proxy.setRules([]);
    expect(await bed.restore([`--set=${kept}`, '--type=none'])).toMatchObject(bed.content());
    expect(await bed.run('verify', '--output=text')).not.toMatch(/invalid: [1-9]|missing: [1-9]/);
    await bed.run('expire', '--repo1-retention-full=1');
    expect(await bed.labels()).toEqual([kept]);
    const left = [...(await lab.list(bucket, 'repo/backup/demo/2')).keys()];
    expect(left.every(key => key.startsWith(`repo/backup/demo/${kept}/`))).toBe(true);
    expect(await bed.restore(['--type=none'])).toMatchObject(bed.content());
  });

  test.skipIf(judge === undefined)('has the exit codes of the real tool', async () => {
    use(brief);
    const codeOf = async (tool: Tool, command: string, fits: (request: S3Request) => boolean, args: string[]) => {
      goAt(1, fits);
      const { code } = await bed.attempt(command, args, tool);
      await proxy.up();
      proxy.setRules([]);
      return code;
    };
    const target = join(bed.cluster.folder, 'judged');
    for (const [command, fits, args] of [
      ['backup', isWrite, ['--type=full']],
      ['restore', ({ key }: S3Request) => key.includes('/pg_data/'), [`--pg1-path=${target}`, '--force']],
      ['expire', ({ kind }: S3Request) => kind === 'DeleteObjects', ['--repo1-retention-full=1']],
    ] as const) {
      const codes: (number | undefined)[] = [];
      for (const tool of [judge ?? [], bed.ours]) {
        bed.makeFolders(target);
        if (command === 'expire') await bed.run('backup', '--type=full');
        codes.push(await codeOf(tool, command, fits, [...args]));
        rmSync(target, { recursive: true });
      }
      expect(codes[1], command).toBe(codes[0]);
    }
  });
});
