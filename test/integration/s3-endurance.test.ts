/**
 * Backups, pushes, gets and restores one after the other through faults of every kind: no wrong byte, no false success, and
 * requests and time stay bounded. A few rounds; with PGBACKSTOP_S3=full fifty.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { forgeSegment } from '../command/archive/archive-bed.ts';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type FaultRule, mixedFaults } from '../support/s3/faults.ts';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../support/s3/radosgw.ts';
import { pages } from '../support/tiny-cluster.ts';
import { BucketBed } from './bucket-bed.ts';

/** Each kind of fault for itself, to a tenth of the requests that it fits. */
const single = mixedFaults(0.1).map(rule => [rule]);

/** What goes wrong in each round. */
function plan(): { readonly name: string; readonly rules: readonly FaultRule[]; readonly factor: number }[] {
  const kinds = single.map(rules => ({ name: `a tenth: ${JSON.stringify(rules[0]?.fault)}`, rules, factor: 1.6 }));
  const all = { name: 'a hundredth of each kind', rules: mixedFaults(0.01), factor: 1.6 };
  // four fifths of all requests fail
  const worst = { name: 'a tenth of each kind', rules: mixedFaults(0.1), factor: 9 };
  const byIndex = (index: number) => kinds[index % kinds.length] ?? all;
  if (!isFullS3Run()) return [all, byIndex(2), byIndex(12)];
  return Array.from({ length: 50 }, (_, i) => (i % 25 === 24 ? worst : i % 2 === 0 ? all : byIndex(i >> 1)));
}

describe.skipIf(!requireS3Server())('through faults', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let proxy: FaultProxy;
  let bucket: string;

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab);
    bed.use(
      { bucket, path: '/repo', port: proxy.port },
      {
        'compress-type': 'zst',
        'repo1-bundle': 'y',
        'repo1-block': 'y',
        'repo1-retention-full': 2,
        'repo1-storage-upload-chunk-size': '5MiB',
        'log-level-console': 'warn',
      },
    );
    await bed.run('stanza-create');
  });

  afterAll(async () => {
    await proxy?.close();
    bed?.dispose();
  });

  const segment = (round: number) => `0000000100000000000000${(round + 1).toString(16).toUpperCase().padStart(2, '0')}`;

  /** One of everything. */
  async function round(number: number): Promise<void> {
    bed.cluster.write('base/5/1259', pages(20 + (number % 7), number));
    bed.cluster.write('base/5/30000', randomBytes(40_000));
    bed.cluster.write('base/5/40000', pages(40, number));
    // goes in parts
    if (number % 4 === 0) bed.cluster.write('base/5/20000', randomBytes(6 << 20));
    await bed.push(segment(number));
    await bed.run('backup', `--type=${['full', 'diff', 'incr', 'incr'][number % 4]}`);
    expect(await bed.restore(['--type=none'])).toMatchObject(bed.content());
    const target = join(bed.cluster.folder, 'RECOVERYXLOG');
    await bed.run('archive-get', segment(number), target);
    expect(readFileSync(target).equals(forgeSegment(segment(number)))).toBe(true);
    rmSync(target);
  }

  const timeout = isFullS3Run() ? 3_000_000 : 120_000;

  test(
    'every run ends well, and with the right bytes',
    async () => {
      /** Requests of a round of each kind without faults. */
      const needed: number[] = [];
      let number = 0;
      // with expiries, and backups that refer to many others
      for (; number < 12; number++) {
        proxy.reset();
        await round(number);
        needed.push(proxy.count());
        if (!isFullS3Run() && number === 1) break;
      }
      const most = Math.max(...needed);
      let faults = 0;
      for (const { name, rules, factor } of plan()) {
        number++;
        proxy.setRules(rules);
        proxy.reset();
        const begun = Date.now();
        await round(number).catch((error: unknown) => {
          throw new Error(`round ${number}, ${name}`, { cause: error });
        });
        faults += proxy.faults();
        expect(proxy.count(), `requests of round ${number}, ${name}`).toBeLessThan(most * factor + 20);
        expect(Date.now() - begun, `time of round ${number}, ${name}`).toBeLessThan(factor > 2 ? 600_000 : 60_000);
      }
      expect(faults).toBeGreaterThan(3);

      proxy.setRules([]);
      expect(await bed.run('verify', '--output=text', '--verbose')).not.toMatch(/(invalid|missing|mismatch): [1-9]/);
      for (const label of await bed.labels()) await bed.restore([`--set=${label}`, '--type=none']);
      const newest = [...(await lab.list(bucket, 'repo/archive/demo/15-1/')).keys()].filter(key =>
        key.includes(segment(number)),
      );
      expect(newest).toHaveLength(1);
    },
    timeout,
  );
});
