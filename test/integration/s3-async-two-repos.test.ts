/**
 * Asynchronous archiving to two repositories, posix and S3, of which one is down half the time: nothing is lost that the
 * queue limit does not force away, pg_wal stays within it, and what was let go is told. PGBACKSTOP_S3=full: for minutes.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { walNamesBetween } from '../../src/postgres/wal.ts';
import { TestCluster } from '../support/cluster.ts';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../support/s3/radosgw.ts';
import { repoOptions } from '../support/s3/repo-options.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const mebibyte = 1024 * 1024;
/** Milliseconds between two segments. */
const pause = 200;
/** How often a repository goes away in the first part, and segments that are made in the second. */
const [outages, segmentsDropped] = isFullS3Run() ? [60, 600] : [3, 72];
/** Milliseconds that a test may take. */
const longest = isFullS3Run() ? 1_200_000 : 300_000;
/** What PostgreSQL keeps for itself. */
const ownWal = 16 * mebibyte;
/**
 * Seconds until PostgreSQL has asked again: it waits one after a failure, the service is tried for one, and processes start.
 * What the load makes meanwhile comes on top of the limit. With room for a busy machine.
 */
const reaction = 10;

interface Gap {
  readonly segments: number;
  readonly first: string;
  readonly last: string;
}
interface RepoJson {
  readonly key: number;
  readonly lag: { readonly segments: number; readonly bytes: number };
  readonly dropped?: readonly Gap[];
}

describe.skipIf(!requireS3Server())(
  'two repositories, one of which is down half the time',
  { timeout: longest },
  () => {
    let lab: S3Lab;
    let bucket: string;
    let proxy: FaultProxy;
    let cluster: TestCluster;
    let project: RunnableProject;
    let stanza: TestStanza;
    let ours: Tool;

    beforeAll(async () => {
      lab = await s3Lab();
      bucket = await lab.newBucket();
      proxy = await FaultProxy.start(lab);
      cluster = await TestCluster.create({
        walSegmentSize: 1,
        settings: { max_wal_size: '16MB', min_wal_size: '2MB', wal_keep_size: 0, full_page_writes: false },
      });
      project = runnableProject(cluster.user);
      ours = project.command;
      stanza = new TestStanza(cluster, 'a', {
        ...repoOptions(lab, { bucket, path: '/repo', index: 2, port: proxy.port }),
        'repo1-bundle': 'y',
        'repo2-bundle': 'y',
        'repo2-retention-full': 9,
        'archive-async': 'y',
        'archive-push-queue-max': '256MiB',
        'archive-timeout': 20,
        'compress-type': 'lz4',
        'io-timeout': 1,
        'log-level-file': 'detail',
      });
      const archiver = new Archiver(cluster);
      archiver.use(stanza, ours);
      await stanza.run(ours, 'stanza-create', '--no-online');
      await cluster.start();
      await cluster.sql('create table t (i int)');
      for (const repo of [1, 2]) await stanza.run(ours, 'backup', '--type=full', `--repo=${repo}`);
    });

    afterAll(async () => {
      await proxy?.up();
      await stanza?.dispose();
      await cluster?.dispose();
      await proxy?.close();
      project?.remove();
    });

    const walFolder = (): string => join(cluster.dataDirectory, 'pg_wal');
    const ready = (): string[] =>
      readdirSync(join(walFolder(), 'archive_status'))
        .filter(name => /^[0-9A-F]{24}\.ready$/.test(name))
        .map(name => name.slice(0, 24));

    /** Looks at pg_wal all the time. @returns ends it, and tells the most bytes that waited and that lay there */
    function watch(): () => Promise<{ readonly waiting: number; readonly all: number }> {
      let [waiting, all, ended] = [0, 0, false];
      const watching = (async () => {
        while (!ended) {
          waiting = Math.max(waiting, ready().length * mebibyte);
          all = Math.max(all, readdirSync(walFolder()).filter(name => /^[0-9A-F]{24}$/.test(name)).length * mebibyte);
          await sleep(20);
        }
      })();
      return async () => {
        ended = true;
        await watching;
        return { waiting, all };
      };
    }

    /** Fills a segment, with a row that must not be lost. */
    async function makeSegment(): Promise<void> {
      await cluster.sql(
        `insert into t values (1); select pg_logical_emit_message(false, 'load', repeat('x', ${mebibyte / 2})), pg_switch_wal()`,
      );
      await sleep(pause);
    }

    /** The archiver sleeps after a failure, until there is a new segment. */
    async function settle(): Promise<void> {
      const end = Date.now() + 60_000;
      while (ready().length > 0) {
        if (Date.now() > end) throw new Error(`still waiting: ${ready()}\n${cluster.log.slice(-3000)}`);
        await cluster.sql("select pg_logical_emit_message(false, 'wake', 'x'), pg_switch_wal()");
        await sleep(500);
      }
    }

    const segmentsOf = (names: readonly string[]): Set<string> =>
      new Set(names.flatMap(name => /([0-9A-F]{24}-[0-9a-f]{40})\.lz4$/.exec(name)?.[1] ?? []));
    const inPosix = (): Set<string> =>
      segmentsOf(readdirSync(join(stanza.repo, 'archive/demo'), { recursive: true }).map(String));
    const inS3 = async (): Promise<Set<string>> => segmentsOf([...(await lab.list(bucket, 'repo/archive/')).keys()]);

    async function repos(): Promise<RepoJson[]> {
      const [info] = JSON.parse(await stanza.run(ours, 'info', '--output=json')) as { repo: RepoJson[] }[];
      return info?.repo ?? [];
    }

    const backgroundLog = (): string => {
      const file = join(stanza.folder, 'log/demo-archive-push-async.log');
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    };

    test('within the limit nothing is lost: both have every segment in the end, and each restores alone', async () => {
      const stop = watch();
      let seenLag = 0;
      for (let outage = 0; outage < outages; outage++) {
        await proxy.down();
        for (let number = 0; number < 5; number++) await makeSegment();
        if (outage === 0) {
          const [one, two] = await repos();
          seenLag = two?.lag.segments ?? 0;
          expect(one?.lag.segments).toBeLessThan(seenLag);
        }
        await proxy.up();
        for (let number = 0; number < 5; number++) await makeSegment();
      }
      await cluster.sql('select pg_switch_wal()');
      await settle();
      const most = await stop();
      expect(seenLag).toBeGreaterThan(2);
      const [posix, s3] = [inPosix(), await inS3()];
      const names = [...posix].sort();
      const [first = '', last = ''] = [names[0], names.at(-1)].map(name => name?.slice(0, 24));
      expect([...posix].map(name => name.slice(0, 24)).sort()).toEqual([...walNamesBetween(first, last, mebibyte)]);
      // the backup of the second repository has expired nothing; what came before that stanza was whole is in neither
      expect([...s3].sort()).toEqual(names);
      expect(most.waiting).toBeGreaterThan(2 * mebibyte);
      expect(backgroundLog()).not.toContain('dropped WAL file');
      expect(await repos()).toMatchObject([{ lag: { segments: 0 } }, { lag: { segments: 0 } }]);
      const rows = await cluster.value('select count(*) from t');
      for (const repo of [1, 2]) {
        const restored = await stanza.restore(ours, [`--repo=${repo}`]);
        await restored.start();
        await restored.waitFor('select not pg_is_in_recovery()');
        expect(await restored.value('select count(*) from t'), `repo${repo}`).toBe(rows);
        await restored.stop();
      }
    });

    test('beyond the limit the oldest goes, pg_wal stays within it, and log, info and check tell of the gap', async () => {
      const limit = 8 * mebibyte;
      writeFileSync(stanza.config, readFileSync(stanza.config, 'utf8').replace('queue-max=256MiB', 'queue-max=8MiB'));
      const before = backgroundLog().length;
      const stop = watch();
      await proxy.down();
      const began = Date.now();
      for (let number = 0; number < segmentsDropped; number++) await makeSegment();
      const slack = ((segmentsDropped * mebibyte) / ((Date.now() - began) / 1000)) * reaction;
      expect(limit + slack).toBeLessThan(segmentsDropped * mebibyte * 0.9);
      const [one, two] = await repos();
      expect([one?.key, two?.key]).toEqual([1, 2]);
      expect(await stanza.run(ours, 'info')).toMatch(/ {4}wal waiting to be archived:\n( {8}repo1: .*\n)? {8}repo2: /);
      await proxy.up();
      await settle();
      const most = await stop();
      expect(most.waiting).toBeLessThan(limit + slack);
      expect(most.all).toBeLessThan(limit + slack + 2 * ownWal);

      const [posix, s3] = [inPosix(), await inS3()];
      const posixNames = [...posix].map(name => name.slice(0, 24)).sort();
      const all = [...walNamesBetween(posixNames[0] ?? '', posixNames.at(-1) ?? '', mebibyte)];
      const lacking = (names: ReadonlySet<string>) => {
        const has = new Set([...names].map(name => name.slice(0, 24)));
        return all.filter(name => !has.has(name));
      };
      const [notInPosix, missing] = [lacking(posix), lacking(s3)];
      // the one that was up has all; on a machine that is busy with other things, all but what came in such a moment
      expect(notInPosix.length).toBeLessThan(segmentsDropped / 10);
      expect(missing).toEqual(expect.arrayContaining(notInPosix));
      expect(missing.length).toBeGreaterThan(segmentsDropped / 2);
      expect(missing.length).toBeLessThan(segmentsDropped);
      const log = backgroundLog().slice(before);
      const told = [...log.matchAll(/WARN: dropped WAL file '([0-9A-F]{24})' because archive queue exceeded 8MB\n/g)];
      expect([...new Set(told.map(([, name]) => name))].sort()).toEqual(missing);
      expect(log).toMatch(
        /because archive queue exceeded 8MB\n.*\n +repo2: \[\w+Error\] .*\n.*\n +repo1 has the file\n/,
      );
      const [posixRepo, s3Repo] = await repos();
      for (const [repo, names] of [
        [posixRepo, notInPosix],
        [s3Repo, missing],
      ] as const) {
        // a range may have segments in it that are there; it says how many are not
        const ranges = repo?.dropped ?? [];
        expect(ranges.reduce((sum, { segments }) => sum + segments, 0)).toBe(names.length);
        expect(names.every(name => ranges.some(({ first, last }) => first <= name && name <= last))).toBe(true);
        expect([ranges[0]?.first, ranges.at(-1)?.last]).toEqual([names[0], names.at(-1)]);
      }
      expect(await stanza.run(ours, 'info')).toMatch(
        / {4}wal dropped by archive-push-queue-max:\n( {8}repo1: .*\n)* {8}repo2: /,
      );
      expect(await stanza.run(ours, 'check', '--log-level-console=info')).toMatch(
        /WARN: repo2: \d+ WAL segment\(s\) .* were dropped/,
      );

      await stanza.run(ours, 'backup', '--type=full', '--repo=2', '--repo2-retention-full=1');
      expect((await repos()).map(({ dropped }) => dropped)).toEqual([posixRepo?.dropped, undefined]);
      expect(statSync(join(stanza.folder, 'spool/archive/demo/dropped.json')).size).toBeGreaterThan(0);
    });
  },
);
