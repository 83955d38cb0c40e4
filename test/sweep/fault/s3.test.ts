/** The n-th request of every command to a bucket fails, breaks off, hangs or is answered with a lie. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorKind, errorCodes } from '../../../src/base/error.ts';
import { forgeSegment } from '../../command/archive/archive-bed.ts';
import { BucketBed, type Outcome } from '../../integration/bucket-bed.ts';
import { FaultProxy, type SeenRequest } from '../../support/s3/fault-proxy.ts';
import { badGateway, errorInside200, type Fault, internalError, slowDown } from '../../support/s3/faults.ts';
import { type S3Lab, s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import { fewOrAll, isFullSweep, Sweep } from '../../support/sweep/sweep.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { real } from './fault-bed.ts';

const sweep = new Sweep('fault');

interface Trouble {
  readonly name: string;
  readonly fault: Fault;
  /** Requests that it can happen to; all when absent. */
  readonly fits?: (request: SeenRequest) => boolean;
  /** The command must live through one such fault. */
  readonly passes: boolean;
}

const writes = /^(PutObject|UploadPart|CompleteMultipartUpload|CreateMultipartUpload|DeleteObjects)$/;

const troubles: readonly Trouble[] = [
  { name: '500', fault: internalError(), passes: true },
  { name: '500, but done', fault: internalError(true), passes: true },
  { name: '503', fault: slowDown(), passes: true },
  { name: '502 in HTML', fault: badGateway(), passes: true },
  { name: 'reset at the start', fault: { type: 'break', how: 'reset', at: 'start' }, passes: true },
  { name: 'closed before the answer', fault: { type: 'break', how: 'close', at: 'answer' }, passes: true },
  { name: 'half of the answer', fault: { type: 'break', how: 'reset', at: 'download' }, passes: true },
  {
    name: 'half of the upload',
    fault: { type: 'break', how: 'reset', at: 'upload' },
    fits: ({ kind }) => kind === 'PutObject' || kind === 'UploadPart',
    passes: true,
  },
  { name: 'an error with status 200', fault: errorInside200(), fits: ({ kind }) => writes.test(kind), passes: true },
  { name: 'other bytes', fault: { type: 'alter' }, fits: ({ kind }) => kind === 'GetObject', passes: false },
  {
    name: 'a page with status 200',
    fault: { type: 'answer', status: 200, body: '<html>sign in</html>' },
    fits: ({ kind }) => kind !== 'HeadObject',
    passes: false,
  },
  {
    name: '403',
    fault: { type: 'answer', status: 403, body: '<Error><Code>AccessDenied</Code><Message>no</Message></Error>' },
    passes: false,
  },
  { name: 'silence', fault: { type: 'break', how: 'hang', at: 'start' }, passes: true },
];

/** What a command may fail with where an answer is wrong. */
const codes: readonly ErrorKind[] = [
  'protocol',
  'service',
  'host-connect',
  'checksum',
  'format',
  'crypto',
  'file-read',
  // told in warnings or in lines of the log before
  'repo-invalid',
  'command',
];

interface Scenario {
  readonly name: string;
  readonly command: string;
  readonly args?: () => readonly string[];
  readonly short: number;
  complete(outcome: Outcome): Promise<void>;
}

/** What a command printed, without the lines of its log. */
const resultOf = (stdout: string): string => stdout.replace(/^P\d\d .*\n( {12}.*\n)*/gm, '');

const segment = '000000010000000000000004';
const stored = '000000010000000000000003';

describe.skipIf(!requireS3Server())('faults of a service', () => {
  let lab: S3Lab;
  let bed: BucketBed;
  let proxy: FaultProxy;
  let bucket: string;
  let saved: Map<string, Buffer>;
  let changes = 0;

  beforeAll(async () => {
    lab = await s3Lab();
    bed = new BucketBed(lab);
    bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab);
    bed.use(
      { bucket, path: '/repo', port: proxy.port },
      { 'compress-type': 'gz', 'job-retry': 0, 'repo1-retention-full': 2 },
    );
    await bed.run('stanza-create');
    await bed.push(stored);
    await bed.run('backup', '--type=full');
    bed.cluster.write('base/5/1259', pages(2, 20));
    await bed.run('backup', '--type=incr');
    await bed.run('backup', '--type=full');
    bed.cluster.write('base/5/1259', pages(3, 21));
    bed.cluster.write(`pg_wal/${segment}`, forgeSegment(segment));
    saved = new Map();
    for (const key of (await lab.list(bucket)).keys()) saved.set(key, await lab.get(bucket, key));
  });
  afterAll(async () => {
    await proxy?.close();
    bed?.dispose();
    sweep.report('s3');
  });

  /** The bucket as it was. */
  async function reset(): Promise<void> {
    proxy.setRules([]);
    const now = await lab.list(bucket);
    await lab.delete(
      bucket,
      [...now.keys()].filter(key => !saved.has(key)),
    );
    for (const [key, content] of saved) {
      if (now.has(key) && content.equals(await lab.get(bucket, key))) continue;
      await lab.put(bucket, key, content);
    }
  }

  const fetched = (): string => join(bed.cluster.folder, 'RECOVERYXLOG');

  const scenarios: readonly Scenario[] = [
    {
      name: 'archive-push',
      command: 'archive-push',
      args: () => [join(bed.cluster.data, 'pg_wal', segment)],
      short: 1,
      async complete() {
        await bed.run('archive-get', segment, fetched());
        expect(readFileSync(fetched()).equals(forgeSegment(segment))).toBe(true);
        rmSync(fetched());
      },
    },
    {
      name: 'archive-get',
      command: 'archive-get',
      args: () => [stored, fetched()],
      short: 1,
      async complete() {
        expect(readFileSync(fetched()).equals(forgeSegment(stored))).toBe(true);
        rmSync(fetched());
      },
    },
    {
      name: 'backup, incr',
      command: 'backup',
      args: () => ['--type=incr'],
      short: 1,
      async complete() {
        expect((await bed.labels()).length).toBeGreaterThan(3);
        expect(await bed.restore(['--type=none'])).toEqual(bed.content());
      },
    },
    {
      name: 'backup, full, and what it expires',
      command: 'backup',
      args: () => ['--type=full'],
      short: 1,
      async complete() {
        expect(await bed.labels()).toHaveLength(2);
        expect(await bed.restore(['--type=none'])).toEqual(bed.content());
      },
    },
    {
      name: 'expire',
      command: 'expire',
      args: () => ['--repo1-retention-full=1'],
      short: 1,
      async complete() {
        expect(await bed.labels()).toHaveLength(1);
      },
    },
    {
      name: 'verify',
      command: 'verify',
      args: () => ['--output=text', '--verbose'],
      short: 1,
      complete: async () => undefined,
    },
    { name: 'info', command: 'info', args: () => ['--output=json'], short: 1, complete: async () => undefined },
  ];

  /** Runs a case, and the command again. */
  async function meet(scenario: Scenario, nth: number, trouble: Trouble, clean: string): Promise<void> {
    await reset();
    rmSync(fetched(), { force: true });
    proxy.setRules([{ fault: trouble.fault, skip: nth - 1, times: 1 }]);
    proxy.reset();
    const limit = trouble.name === 'silence' ? ['--io-timeout=5'] : [];
    const args = scenario.args?.() ?? [];
    const outcome = await bed.attempt(scenario.command, [...args, ...limit]);
    const met = proxy.requests.find(({ fault }) => fault !== undefined);
    proxy.setRules([]);
    const said = `${met?.kind} ${met?.key}\nexit code ${outcome.code ?? outcome.signal}\n${outcome.output}`;
    try {
      expect(outcome.signal).toBeUndefined();
      if (outcome.code === 0) {
        if (/^(info|verify)$/.test(scenario.command) && !/status: error|"code":99/.test(outcome.stdout))
          expect(resultOf(outcome.stdout)).toBe(resultOf(clean));
        await scenario.complete(outcome);
      } else {
        expect(met, 'a fault was met').toBeDefined();
        expect(trouble.passes, 'this fault passes').toBe(false);
        expect(codes.map(kind => errorCodes[kind] as number)).toContain(outcome.code);
        expect(outcome.output).toContain(`ERROR: [${String(outcome.code).padStart(3, '0')}]: `);
        // what is in the archive is told from its id on
        const key = met?.key.replace(/^repo(\/archive\/demo\/)?/, '') ?? '';
        if (met?.kind !== 'ListObjectsV2' && outcome.code !== errorCodes['repo-invalid'])
          expect(outcome.output).toContain(key);
      }
      // a backup without changes is refused
      bed.cluster.write('base/5/16390', pages(1, ++changes));
      const again = await bed.attempt(scenario.command, args);

      expect(again.code, again.output).toBe(0);
      await scenario.complete(again);
      await isSound();
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${said}`);
    }
  }

  async function isSound(): Promise<void> {
    const tools = [bed.ours, ...(real === undefined ? [] : [[real.path]])];
    for (const tool of tools) {
      const { code, output } = await bed.attempt('verify', ['--output=text', '--verbose'], tool);
      expect(code, output).toBe(0);
      expect(output).not.toMatch(/ERROR|status: (error|invalid)|(missing|invalid|other): [1-9]/);
    }
  }

  test.each(fewOrAll(scenarios, 4).map(scenario => [scenario.name, scenario] as const))(
    '%s',
    { timeout: 3_600_000 },
    async (name, scenario) => {
      await reset();
      proxy.reset();
      const clean = await bed.attempt(scenario.command, scenario.args?.() ?? []);
      expect(clean.code, clean.output).toBe(0);
      const requests = [...proxy.requests];
      await scenario.complete(clean);
      const all = requests.flatMap((request, index) =>
        troubles.filter(({ fits = () => true }) => fits(request)).map(trouble => ({ nth: index + 1, trouble })),
      );
      // each request meets one trouble of those that pass, and all the others
      const chosen = isFullSweep()
        ? sweep.mine(all.filter(({ trouble }) => !trouble.passes || sweep.random.chance(25)))
        : Array.from({ length: scenario.short }, () => sweep.random.pick(all));
      const wrong: string[] = [];
      for (const { nth, trouble } of chosen) {
        sweep.tried(`${name}, s3, ${trouble.name}`);
        await sweep
          .case(`${name}: request ${nth}: ${trouble.name}`, () => meet(scenario, nth, trouble, clean.stdout))
          .catch((error: unknown) => wrong.push(String(error)));
      }
      if (wrong.length > 0) throw new Error(`${wrong.length} cases went wrong\n\n${wrong.join('\n\n')}`);
    },
  );
});
