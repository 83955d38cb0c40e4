/** SIGKILL before, in and after every request that changes a bucket. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgeSegment } from '../../command/archive/archive-bed.ts';
import { segmentName } from '../../integration/async-push-bed.ts';
import { BucketBed } from '../../integration/bucket-bed.ts';
import type { Outcome } from '../../integration/offline-bed.ts';
import { findRealPgbackrest } from '../../support/real-pgbackrest.ts';
import { FaultProxy } from '../../support/s3/fault-proxy.ts';
import type { Fault } from '../../support/s3/faults.ts';
import { type S3Lab, s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import type { RequestKind } from '../../support/s3/s3-request.ts';
import { isFullSweep, Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { patience } from './victim.ts';

const changing: readonly RequestKind[] = [
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'DeleteObject',
  'DeleteObjects',
];
const points = ['start', 'upload', 'answer'] as const;
const real = findRealPgbackrest();
const settings = {
  'compress-type': 'zst',
  'repo1-bundle': 'y',
  'repo1-storage-upload-chunk-size': '5MiB',
  'repo1-retention-full': 2,
  'checksum-page': 'n',
};

/** Objects of a bucket by their keys. */
type Objects = ReadonlyMap<string, Buffer>;

describe.skipIf(!requireS3Server())('in a bucket', () => {
  const sweep = new Sweep('kill', 's3');
  const contents = new Map<string, Readonly<Record<string, string>>>();
  let lab: S3Lab;
  let bed: BucketBed;
  let proxy: FaultProxy;
  let bucket = '';

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    proxy = await FaultProxy.start(lab);
  });
  afterAll(async () => {
    sweep.report();
    await proxy?.close();
    bed?.dispose();
  });

  /** From here on the repository is a new bucket with these objects. */
  async function begin(objects: Objects): Promise<void> {
    bucket = await lab.newBucket();
    bed.use({ bucket, path: '/repo', port: proxy.port }, settings);
    await Promise.all([...objects].map(([key, body]) => lab.put(bucket, key, body)));
  }

  async function keep(): Promise<Objects> {
    const keys = [...(await lab.list(bucket)).keys()];
    return new Map(await Promise.all(keys.map(async key => [key, await lab.get(bucket, key)] as const)));
  }

  async function labels(tool = bed.ours): Promise<string[]> {
    const { stdout } = await bed.attempt('info', ['--output=json'], tool);
    const [stanza] = JSON.parse(/^\[.*/ms.exec(stdout)?.[0] ?? '[]') as { backup: { label: string }[] }[];
    return (stanza?.backup ?? []).map(({ label }) => label);
  }

  async function expectWhole(): Promise<string[]> {
    const listed = await labels();
    if (real !== undefined) expect(await labels([real.path])).toEqual(listed);
    for (const label of listed) {
      const tool = real === undefined ? bed.ours : [real.path];
      expect(await bed.restore([`--set=${label}`], tool), label).toEqual(contents.get(label) ?? bed.content());
    }
    const { code, output } = await bed.attempt('verify');
    expect(code, output).toBe(0);
    expect(output).not.toMatch(/ERROR|status: error|(missing|invalid|other): [1-9]/);
    return listed;
  }

  interface Victim {
    readonly name: string;
    readonly objects: Objects;
    /** Done before each kill. */
    readonly prepare?: () => Promise<void>;
    readonly start: () => { readonly pid: number; readonly done: Promise<Outcome> };
    readonly short: number;
    readonly judge: () => Promise<void>;
  }

  async function killAtEachRequest(victim: Victim): Promise<void> {
    const { name, objects, prepare, start, short, judge } = victim;
    await begin(objects);
    await prepare?.();
    proxy.reset();
    const whole = await start().done;
    expect(whole.code, whole.output).toBe(0);
    const requests = proxy.count(...changing);
    expect(requests).toBeGreaterThan(0);
    const numbers = sweep.numbers(requests, short);
    const all = isFullSweep()
      ? numbers.flatMap(number => points.map(at => ({ number, at })))
      : numbers.map(number => ({ number, at: sweep.random.pick(points) }));
    for (const { number, at } of sweep.mine(all)) {
      await sweep.case(`${name}: at request ${number} of ${requests}, ${at}`, async () => {
        await begin(objects);
        await prepare?.();
        let pid = 0;
        const fault: Fault = { type: 'call', at, call: () => process.kill(pid, 'SIGKILL') };
        proxy.setRules([{ fault, kinds: changing, skip: number - 1, times: 1 }]);
        const running = start();
        pid = running.pid;
        const { signal, output } = await running.done;
        proxy.setRules([]);
        expect(signal, output).toBe('SIGKILL');
        await judge();
        sweep.tried(`${name}, ${at}`);
      });
    }
  }

  async function ok(command: string, ...args: readonly string[]): Promise<void> {
    await bed.run(command, ...args);
  }

  it('stanza-create', { timeout: patience }, async () => {
    await killAtEachRequest({
      name: 's3: stanza-create',
      objects: new Map(),
      start: () => bed.start('stanza-create'),
      short: 2,
      judge: async () => {
        expect(await labels()).toEqual([]);
        await ok('stanza-create');
        expect([...(await lab.list(bucket)).keys()].sort()).toEqual(
          ['archive/demo/archive.info', 'backup/demo/backup.info'].flatMap(key => [`repo/${key}`, `repo/${key}.copy`]),
        );
        await ok('archive-push', segment());
      },
    });
  });

  /** PostgreSQL has ended a segment. @returns its path */
  function segment(number = 3): string {
    const name = segmentName(number);
    bed.cluster.write(`pg_wal/${name}`, forgeSegment(name));
    return join(bed.cluster.data, 'pg_wal', name);
  }

  describe('with backups', () => {
    let before: Objects;

    beforeAll(async () => {
      await begin(new Map());
      await ok('stanza-create');
      for (const [at, type] of ['full', 'incr', 'full'].entries()) {
        bed.cluster.write('base/5/1247', pages(4, at));
        await ok('backup', `--type=${type}`);
        for (const label of await labels()) if (!contents.has(label)) contents.set(label, bed.content());
      }
      before = await keep();
      // goes in parts
      bed.cluster.write('base/5/20000', randomBytes(6 << 20));
    });

    it.each(shortOrFull(['full'], ['full', 'incr']))('backup, %s', { timeout: patience }, async type => {
      const backup = [`--type=${type}`, '--no-expire-auto'];
      await killAtEachRequest({
        name: `s3: backup, ${type}`,
        objects: before,
        start: () => bed.start('backup', backup),
        short: 1,
        judge: async () => {
          await expectWhole();
          const complete = [...(await lab.list(bucket, 'repo/backup/demo/')).keys()].flatMap(
            key => /([^/]+)\/backup\.manifest$/.exec(key)?.[1] ?? [],
          );
          for (const label of complete) if (!contents.has(label)) contents.set(label, bed.content());
          // nothing new is no backup
          bed.cluster.write('base/5/1247', pages(4, Math.floor(sweep.random.next() * 1e6)));
          await ok('backup', ...backup);
          expect(await expectWhole()).toHaveLength(complete.length + 1);
        },
      });
    });

    it('expire', { timeout: patience }, async () => {
      const expire = ['--repo1-retention-full=1'];
      await killAtEachRequest({
        name: 's3: expire',
        objects: before,
        start: () => bed.start('expire', expire),
        short: 1,
        judge: async () => {
          await expectWhole();
          await ok('expire', ...expire);
          const [label] = await expectWhole();
          const left = [...(await lab.list(bucket, 'repo/backup/demo/2')).keys()];
          expect(left.filter(key => !key.startsWith(`repo/backup/demo/${label}/`))).toEqual([]);
        },
      });
    });

    it('archive-push', { timeout: patience }, async () => {
      const path = segment(4);
      const target = join(bed.cluster.folder, 'RECOVERYXLOG');
      await killAtEachRequest({
        name: 's3: archive-push',
        objects: before,
        start: () => bed.start('archive-push', [path]),
        short: 1,
        judge: async () => {
          const { code } = await bed.attempt('archive-get', [segmentName(4), target]);
          expect([0, 1]).toContain(code);
          await ok('archive-push', path);
          rmSync(target, { force: true });
          await ok('archive-get', segmentName(4), target);
        },
      });
    });

    it.runIf(isFullSweep())('stanza-delete', { timeout: patience }, async () => {
      await killAtEachRequest({
        name: 's3: stanza-delete',
        objects: before,
        prepare: () => ok('stop'),
        start: () => bed.start('stanza-delete'),
        short: 1,
        judge: async () => {
          await ok('stanza-delete');
          expect([...(await lab.list(bucket)).keys()]).toEqual([]);
        },
      });
    });
  });
});
