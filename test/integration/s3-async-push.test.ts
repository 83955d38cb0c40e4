/**
 * Two repositories, on a disk and in S3, of which one is down half the time, under load: what was not let go arrives in both,
 * what the cluster holds stays within archive-push-queue-max, and what was let go is told.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { isFullS3Run, requireS3Server } from '../support/s3/radosgw.ts';
import { repoOptions } from '../support/s3/repo-options.ts';
import { Archiver, TestStanza } from '../support/stanza.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const mebibyte = 1024 * 1024;
/** Bytes that may wait. */
const limit = 12 * mebibyte;
/** Seconds down, then as long up. */
const half = isFullS3Run() ? 20 : 5;
const rounds = isFullS3Run() ? 6 : 1;

describe.skipIf(!requireS3Server())('of two repositories one is down half the time', () => {
  let lab: S3Lab;
  let bucket: string;
  let proxy: FaultProxy;
  let cluster: TestCluster;
  let project: RunnableProject;
  let stanza: TestStanza;

  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
    proxy = await FaultProxy.start(lab);
    cluster = await TestCluster.create({
      walSegmentSize: 1,
      // vacuum writes more WAL in a second than archive_command can be started for
      settings: { max_wal_size: '64MB', min_wal_size: '4MB', checkpoint_timeout: '30s', autovacuum: 'off' },
    });
    project = runnableProject(cluster.user);
    stanza = new TestStanza(cluster, 'two', {
      ...repoOptions(lab, { bucket, path: '/repo', port: proxy.port, index: 2 }),
      'archive-async': 'y',
      'archive-timeout': 10,
      'archive-push-queue-max': `${limit / mebibyte}MiB`,
      'io-timeout': 2,
      'compress-type': 'lz4',
      'repo2-retention-full': 9,
      'log-level-file': 'detail',
    });
    const archiver = new Archiver(cluster);
    await cluster.start();
    await cluster.sql('create table ledger (n serial, filler text)');
    archiver.use(stanza, project.command);
    await stanza.run(project.command, 'stanza-create');
  });

  afterAll(async () => {
    await stanza?.dispose();
    await cluster?.dispose();
    await proxy?.close();
    project?.remove();
  });

  const ready = (): string[] =>
    readdirSync(join(cluster.dataDirectory, 'pg_wal/archive_status'))
      .filter(name => name.endsWith('.ready'))
      .map(name => name.replace('.ready', ''));

  test('nothing is lost that was not told of, and pg_wal stays small', async () => {
    const first = await cluster.walName();
    let worst = 0;
    for (let round = 0; round < rounds * 2; round++) {
      if (round % 2 === 0) await proxy.down();
      else await proxy.up();
      const end = Date.now() + half * 1000;
      while (Date.now() < end) {
        // half a megabyte, some four segments a second
        await cluster.sql(
          "insert into ledger (filler) select string_agg(md5(random()::text), '') from generate_series(1, 16000)",
        );
        await cluster.switchWal();
        worst = Math.max(worst, ready().length * mebibyte);
        await new Promise(resolve => setTimeout(resolve, 200));
      }
    }
    await proxy.up();
    const last = await cluster.walName();
    await cluster.switchWal();
    for (let round = 0; ready().some(name => name <= last); round++) {
      if (round > 90) throw new Error(`still waiting: ${ready().join(' ')}`);
      await new Promise(resolve => setTimeout(resolve, 1000));
      // wakes the archiver, which waits for a minute after three failures
      if (round % 5 === 4) await cluster.sql('select txid_current(), pg_switch_wal()');
    }
    // what is written in the seconds between two runs may come on top
    expect(worst).toBeLessThanOrEqual(limit + 14 * mebibyte);

    const log = readFileSync(join(stanza.folder, 'log/demo-archive-push-async.log'), 'utf8');
    const told = new Set([...log.matchAll(/WARN: dropped WAL file '([0-9A-F]{24})' because/g)].map(([, name]) => name));
    const archive = join(stanza.repo, 'archive/demo');
    const onDisk = readdirSync(archive, { recursive: true }).map(String);
    const inBucket = [...(await lab.list(bucket, 'repo/archive/demo/')).keys()];
    const has = (names: readonly string[], segment: string) =>
      names.filter(name => name.includes(`${segment}-`)).length;
    let missing = 0;
    let segments = 0;
    const timeline = first.slice(0, 8);
    for (let n = Number.parseInt(first.slice(8), 16); n <= Number.parseInt(last.slice(8), 16); n++) {
      if (n % 2 ** 32 >= 4096) continue;
      const segment = `${timeline}${n.toString(16).toUpperCase().padStart(16, '0')}`;
      segments++;
      for (const [names, where] of [
        [onDisk, 'disk'],
        [inBucket, 'bucket'],
      ] as const) {
        const copies = has(names, segment);
        if (copies === 0) {
          missing++;
          expect(told, `${segment} is not on the ${where}, and nobody said so`).toContain(segment);
        } else expect(copies, `${segment} on the ${where}`).toBe(1);
      }
    }
    console.log(
      `${segments} segments, at most ${worst / mebibyte} MB waiting, ${told.size} dropped, ${missing} missing`,
    );
    expect(told.size).toBeGreaterThan(0);
    const info = JSON.parse(await stanza.run(project.command, 'info', '--output=json')) as {
      repo: { key: number; dropped?: unknown[] }[];
    }[];
    const gaps = info[0]?.repo.find(({ key }) => key === 2)?.dropped ?? [];
    expect(gaps.length > 0).toBe(missing > 0);
    expect(await stanza.run(project.command, 'info')).toMatch(/dropped/);
  });
});
