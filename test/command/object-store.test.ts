/**
 * Every command on an object store: what it asks for, that it asks at once for what does not depend on each other, and that
 * what comes out is right. The numbers beside the real tool's are in the comments; those of 2.45 were counted at its requests
 * to radosgw, with the same stanza.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { noise } from '../contract/storage.ts';
import { pages } from '../support/tiny-cluster.ts';
import { mockDrivers, ObjectStoreBed, requestLog } from './object-store-bed.ts';

vi.mock('../../src/storage/drivers.ts', async original => mockDrivers(await original<object>()));
vi.mock('../../src/parallel/pool.ts', () => import('../support/one-thread-pool.ts'));

let bed: ObjectStoreBed | undefined;
afterEach(() => {
  requestLog.latency = 0;
  bed?.dispose();
});

/** A bed with a stanza. */
async function stanza(...backupOptions: readonly string[]): Promise<ObjectStoreBed> {
  bed = new ObjectStoreBed(backupOptions);
  await bed.run('stanza-create');
  return bed;
}

/** Label of the newest backup. */
const latest = (): string =>
  readdirSync(join(bed?.root ?? '', 'repo1/backup/demo'))
    .filter(name => /^\d{8}-/.test(name))
    .sort()
    .at(-1) ?? '';

/** Files below PGDATA with their content, without what a restore writes itself. */
function contents(data: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' })) {
    const path = join(data, name);
    if (!statSync(path).isFile() || name.startsWith('pg_tblspc')) continue;
    if (['postgresql.auto.conf', 'recovery.signal', 'global/pg_control'].includes(name)) continue;
    found.set(name, createHash('sha1').update(readFileSync(path)).digest('hex'));
  }
  return found;
}

const segment = (number: number): string =>
  `0000000100000000000000${number.toString(16).toUpperCase().padStart(2, '0')}`;

describe('a stanza', () => {
  // theirs: 2 lists, 4 heads, 4 puts; when it is there 4 heads, 2 gets
  test('is created by two lists, and checked with two reads more, and one of each copy', async () => {
    bed = new ObjectStoreBed();
    requestLog.latency = 4;
    await bed.run('stanza-create');
    expect(requestLog.counts).toEqual({ list: 2, put: 4 });
    expect(requestLog.rounds).toBe(5);
    expect((await bed.run('stanza-create')).log.at(-1)).toMatch(/already exists on repo1 and is valid/);
    expect(requestLog.counts).toEqual({ list: 2, get: 6 });
    expect(requestLog.rounds).toBe(3);
    rmSync(join(bed.root, 'repo1/archive/demo/archive.info.copy'));
    await bed.run('stanza-create');
    expect(bed.keys()).toContain('archive/demo/archive.info.copy');
    await bed.run('stanza-upgrade');
    expect(requestLog.counts).toEqual({ get: 6 });
    expect(requestLog.rounds).toBe(2);
  });

  test('is not created where something lies', async () => {
    const { root } = await stanza();
    for (const name of ['archive/demo/archive.info', 'backup/demo/backup.info']) {
      for (const copy of ['', '.copy']) rmSync(join(root, 'repo1', name + copy));
    }
    writeFileSync(join(root, 'repo1/backup/demo/theirs'), '');
    const result = await bed?.attempt('stanza-create');
    expect(result?.error?.message).toBe('backup directory not empty');
  });

  // theirs: 4 lists, 4 deletes, 2 multi-object deletes
  test('is deleted, all of it', async () => {
    const one = await stanza();
    await one.run('backup', '--type=full');
    await one.run('archive-push', one.segment(segment(1)));
    expect((await one.attempt('stanza-delete')).error?.message).toMatch(/stop file does not exist/);
    await one.run('stop');
    requestLog.latency = 4;
    await one.run('stanza-delete', '--force');
    expect(requestLog.counts).toEqual({ list: 4, remove: 6 });
    expect(requestLog.rounds).toBe(4);
    expect(one.keys()).toEqual([]);
    // what is gone is nobody's
    await one.run('stanza-delete', '--force');
    expect(requestLog.counts).toEqual({ list: 2 });
  });
});

describe('WAL', () => {
  // theirs: 1 get, 1 list, 1 put; the same without the put; 2 gets, 1 list
  test('is pushed and fetched with the requests that it cannot do without', async () => {
    const one = await stanza();
    const path = one.segment(segment(4));
    requestLog.latency = 4;
    await one.run('archive-push', path);
    expect(requestLog.counts).toEqual({ get: 1, list: 1, put: 1 });
    expect(requestLog.lines.slice(0, 2)).toEqual([
      'get /archive/demo/archive.info',
      `list /archive/demo/15-1/0000000100000000/${segment(4)}-`,
    ]);
    expect(requestLog.rounds).toBe(3);

    expect((await one.run('archive-push', path)).log[0]).toMatch(/already exists in the repo1 archive with the same/);
    expect(requestLog.counts).toEqual({ get: 1, list: 1 });

    const wanted = join(one.root, 'wanted');
    await one.run('archive-get', segment(4), wanted);
    expect(readFileSync(wanted).equals(readFileSync(path))).toBe(true);
    expect(requestLog.counts).toEqual({ get: 2, list: 1 });
    expect(requestLog.rounds).toBe(3);

    expect((await one.run('archive-get', segment(5), wanted)).code).toBe(1);
    expect(requestLog.counts).toEqual({ get: 1, list: 1 });

    writeFileSync(path, pages(2, 5));
    expect((await one.attempt('archive-push', '--no-archive-header-check', path)).error?.message).toMatch(
      /already exists in the repo1 archive with a different checksum/,
    );
  });

  test('of a hundred segments costs three requests each, and history files two and three', async () => {
    const one = await stanza();
    let requests = 0;
    for (let number = 0; number < 100; number += 20) {
      await one.run('archive-push', one.segment(segment(number)));
      requests += requestLog.requests.length;
    }
    expect(requests).toBe(15);
    one.write('pg_wal/00000002.history', '1\t0/4000000\tno recovery target specified\n');
    await one.run('archive-push', join(one.cluster.data, 'pg_wal/00000002.history'));
    expect(requestLog.counts).toEqual({ get: 1, put: 1 });
    const wanted = join(one.root, 'wanted');
    await one.run('archive-get', '00000002.history', wanted);
    expect(readFileSync(wanted, 'utf8')).toMatch(/no recovery target/);
    // theirs: 1 head, 2 gets
    expect(requestLog.counts).toEqual({ info: 1, get: 2 });
  });

  test('of several repositories is asked for at once', async () => {
    const one = await stanza();
    const second = `--repo2-path=${one.root}/repo2`;
    await one.run('stanza-create', second);
    requestLog.latency = 4;
    await one.run('archive-push', second, one.segment(segment(4)));
    expect(requestLog.counts).toEqual({ get: 2, list: 2, put: 2 });
    expect(requestLog.rounds).toBe(3);
    const wanted = join(one.root, 'wanted');
    rmSync(join(one.root, 'repo1/archive/demo/15-1'), { recursive: true });
    expect((await one.run('archive-get', second, segment(4), wanted)).log.at(-1)).toMatch(/found .* in the repo2/);
    expect(requestLog.counts).toEqual({ get: 3, list: 2 });
    expect(requestLog.rounds).toBe(3);
  });

  test('of an earlier archive id of the same cluster is found, with no look at directories', async () => {
    const one = await stanza();
    await one.run('archive-push', one.segment(segment(4)));
    const info = join(one.root, 'repo1/archive/demo/archive.info');
    const { StanzaRepo } = await import('../../src/repo/stanza-repo.ts');
    const { openRepoStorage } = await import('../../src/storage/drivers.ts');
    const settings = { key: 1, type: 'posix', path: join(one.root, 'repo1') } as const;
    const repo = new StanzaRepo(settings, await openRepoStorage(settings), 'demo');
    const { history } = await repo.loadArchiveInfo();
    const [db] = history;
    if (db === undefined) throw new Error('no cluster');
    // away and back again: the same cluster under two ids
    const other = { ...db, id: 2, systemId: 1n };
    await repo.saveArchiveInfo({ currentId: 3, history: [db, other, { ...db, id: 3 }] }, '2.59.1');
    expect(existsSync(info)).toBe(true);
    requestLog.latency = 4;
    await one.run('archive-get', segment(4), join(one.root, 'wanted'));
    expect(requestLog.counts).toEqual({ get: 2, list: 2 });
    expect(requestLog.rounds).toBe(3);
  });
});

describe('a backup', () => {
  // theirs, a full: 4 lists, 2 gets for what is copied back and loaded twice, 8 puts around the files, 1 delete of a link
  test('in bundles, and its restore', async () => {
    const one = await stanza('--repo1-bundle', '--repo1-bundle-size=4MiB', '--compress-type=lz4');
    for (let at = 0; at < 2000; at++) one.write(`base/5/${20_000 + at}`, noise(4096 + (at % 5) * 4096));
    one.write('base/5/90000', noise(3 * 1024 * 1024));
    await one.run('backup', '--type=full');
    const bundles = one.keys().filter(key => key.includes('/bundle/')).length;
    expect(bundles).toBeGreaterThan(4);
    // 8 around the files, the large one, and each bundle
    expect(requestLog.counts).toEqual({ get: 2, list: 4, put: 8 + 1 + bundles });

    const target = await one.restore('--type=none');
    // backup.info, manifest, the large file, and one read of each bundle
    expect(requestLog.counts).toEqual({ get: 3 + bundles });
    expect(contents(target)).toEqual(contents(one.cluster.data));

    // what is right already is not read again
    await one.run('restore', `--pg1-path=${target}`, `--tablespace-map-all=${target}-space`, '--delta', '--type=none');
    expect(requestLog.counts).toEqual({ get: 3 });

    // neighbours are read together, whatever lies between them in small
    for (const name of ['20011', '20013', '20500']) rmSync(join(target, 'base/5', name));
    truncateSync(join(target, 'base/5/20012'), 100);
    await one.run('restore', `--pg1-path=${target}`, `--tablespace-map-all=${target}-space`, '--delta', '--type=none');
    expect(requestLog.requests.filter(({ path }) => path.includes('/bundle/')).length).toBeLessThanOrEqual(3);
    expect(contents(target)).toEqual(contents(one.cluster.data));

    // theirs: one get for each of the 2,000 files
    const { log } = await one.run('verify');
    expect(log.filter(line => line.includes('invalid'))).toEqual([]);
    expect(requestLog.counts).toEqual({ list: 2, get: 6 + 1 + bundles });
  });

  test('of small files without bundles puts and gets many of them at once', async () => {
    const one = await stanza('--compress-type=none');
    for (let at = 0; at < 300; at++) one.write(`base/5/${20_000 + at}`, noise(1000 + at));
    requestLog.latency = 4;
    await one.run('backup', '--type=full');
    const files = one.keys().filter(key => key.includes('/pg_')).length;
    expect(files).toBeGreaterThan(300);
    expect(requestLog.counts).toEqual({ get: 2, list: 4, put: 8 + files });
    expect(requestLog.peak).toBeGreaterThan(60);
    const target = await one.restore('--type=none');
    const stored = one.keys().filter(key => key.includes('/pg_') && statSync(join(one.root, 'repo1', key)).size > 0);
    expect(requestLog.counts).toEqual({ get: 2 + stored.length });
    expect(requestLog.peak).toBeGreaterThan(20);
    expect(contents(target)).toEqual(contents(one.cluster.data));
  });

  test('by blocks reads maps ahead, and a restore reads a small file with its map', async () => {
    const one = await stanza('--repo1-bundle', '--repo1-block', '--compress-type=lz4', '--repo1-bundle-limit=1MiB');
    for (let at = 0; at < 40; at++) one.write(`base/5/${20_000 + at}`, noise(200_000 + at * 1000), { aged: true });
    one.write('base/5/90000', noise(12 * 1024 * 1024), { aged: true });
    await one.run('backup', '--type=full');
    const first = await one.restore('--type=none');
    expect(contents(first)).toEqual(contents(one.cluster.data));
    // backup.info, manifest, the bundle in two parts for two workers, the large file's map and then its blocks
    expect(one.keys().filter(key => key.includes('/bundle/'))).toHaveLength(1);
    expect(requestLog.counts).toEqual({ get: 6 });

    for (let at = 0; at < 40; at += 2) {
      const content = readFileSync(join(one.cluster.data, `base/5/${20_000 + at}`));
      content.fill(at, 50_000, 50_100);
      one.write(`base/5/${20_000 + at}`, content);
    }
    const large = readFileSync(join(one.cluster.data, 'base/5/90000'));
    for (const offset of [100, 5_000_000, 5_100_000, 11_000_000]) large.fill(7, offset, offset + 10);
    one.write('base/5/90000', large);
    requestLog.latency = 4;
    await one.run('backup', '--type=incr');
    const maps = requestLog.requests.filter(({ kind, path }) => kind === 'get' && !path.includes('.'));
    expect(maps.length).toBeLessThanOrEqual(21);
    expect(requestLog.peak).toBeGreaterThanOrEqual(8);
    requestLog.latency = 0;
    const second = await one.restore('--type=none');
    expect(contents(second)).toEqual(contents(one.cluster.data));
    // over the state of the full backup
    await one.run('restore', `--pg1-path=${first}`, `--tablespace-map-all=${first}-space`, '--delta', '--type=none');
    expect(contents(first)).toEqual(contents(one.cluster.data));
  });

  test('that was cut off is gone on with', async () => {
    const one = await stanza('--compress-type=none', '--repo1-retention-full=2');
    for (let at = 0; at < 50; at++) one.write(`base/5/${20_000 + at}`, noise(1000 + at), { aged: true });
    await one.run('backup', '--type=full');
    const base = join(one.root, 'repo1/backup/demo', latest());
    rmSync(join(base, 'backup.manifest'));
    rmSync(join(base, 'pg_data/base/5/20003'));
    writeFileSync(join(base, 'pg_data/base/5/20004'), noise(1004).fill(0));
    writeFileSync(join(base, 'pg_data/base/5/20005'), noise(1005 + 10));
    writeFileSync(join(base, 'pg_data/base/5/stray'), 'x');
    requestLog.latency = 4;
    const { log } = await one.run('backup', '--type=full');
    expect(log.filter(line => line.includes('resumable backup'))).toHaveLength(1);
    expect(log.filter(line => line.includes('does not have expected checksum'))).toHaveLength(2);
    expect(one.keys().filter(key => key.endsWith('/stray'))).toEqual([]);
    // each file that may be kept is read once, several at a time
    expect(requestLog.peak).toBeGreaterThanOrEqual(8);
    expect(requestLog.counts.info).toBeUndefined();
    requestLog.latency = 0;
    expect(contents(await one.restore('--type=none'))).toEqual(contents(one.cluster.data));
    expect((await one.run('verify')).log.filter(line => line.includes('invalid'))).toEqual([]);
  });
});

describe('what is looked at', () => {
  // theirs: 4 lists and 2 gets, one after the other; with --set a head and a get more
  test('info: all that does not depend on each other at once', async () => {
    const one = await stanza('--repo1-bundle');
    await one.run('backup', '--type=full');
    for (const number of [4, 5]) await one.run('archive-push', one.segment(segment(number)));
    requestLog.latency = 4;
    const { output } = await one.run('info');
    expect(output).toMatch(new RegExp(`wal archive min/max \\(15\\): ${segment(4)}/${segment(5)}`));
    expect(requestLog.counts).toEqual({ list: 3, get: 2 });
    expect(requestLog.rounds).toBe(4);
    expect((await one.run('info', '--stanza=demo', `--set=${latest()}`)).output).toMatch(/database size/);
    expect(requestLog.counts).toEqual({ list: 3, get: 3, info: 1 });
    expect(requestLog.rounds).toBe(4);
  });

  test('info of many stanzas and repositories takes as long as of one', async () => {
    bed = new ObjectStoreBed();
    const second = `--repo2-path=${bed.root}/repo2`;
    for (const name of ['a', 'b', 'c', 'd']) {
      await bed.run('stanza-create', second, `--stanza=${name}`);
    }
    requestLog.latency = 4;
    await bed.run('info', second);
    expect(requestLog.counts).toEqual({ list: 10, get: 16 });
    expect(requestLog.rounds).toBe(3);
  });

  // theirs: verify reads each file by itself
  test('verify: damage in a bundle is told of the file it is in, and its neighbours are sound', async () => {
    const one = await stanza('--repo1-bundle', '--compress-type=none');
    for (let at = 0; at < 100; at++) one.write(`base/5/${20_000 + at}`, noise(5000));
    await one.run('backup', '--type=full');
    for (const number of [4, 5, 6]) await one.run('archive-push', one.segment(segment(number)));
    const bundle = join(one.root, 'repo1/backup/demo', latest(), 'bundle/1');
    const bytes = readFileSync(bundle);
    bytes[40_000] = (bytes[40_000] ?? 0) ^ 1;
    writeFileSync(bundle, bytes);
    const { log } = await one.run('verify');
    expect(log.join('\n')).toMatch(/checksum invalid: 1/);
    expect(log.join('\n')).toMatch(/total files checked: \d+, total valid files: \d+/);
    rmSync(bundle);
    expect((await one.run('verify')).log.join('\n')).toMatch(/missing: 1\d\d/);
    // what is missing is asked for once
    expect(requestLog.lines.filter(line => line.includes('/bundle/'))).toHaveLength(1);
  });

  // theirs: 3 lists, 2 gets, and a head for each backup, one after the other
  test('expire: keeps and removes the right backups', async () => {
    const one = await stanza('--repo1-bundle');
    for (const [at, type] of ['full', 'incr', 'full'].entries()) {
      one.write('base/5/20000', noise(5000 + at));
      await one.run('backup', `--type=${type}`);
    }
    const labels = () => new Set(one.keys().flatMap(key => /^backup\/demo\/(\d{8}-[^/]*)\//.exec(key)?.[1] ?? []));
    expect(labels().size).toBe(3);
    requestLog.latency = 4;
    await one.run('expire', '--repo1-retention-full=2');
    expect(labels().size).toBe(3);
    expect(requestLog.counts).toEqual({ list: 6, get: 2 });
    expect(requestLog.rounds).toBe(5);
    await one.run('expire', '--repo1-retention-full=1');
    expect(labels().size).toBe(1);
    // nothing is removed that was never there
    expect(requestLog.lines.filter(line => line.endsWith('/latest'))).toEqual([]);
  });

  test('the commands of the repository, annotate and manifest', async () => {
    const one = await stanza('--repo1-bundle');
    await one.run('backup', '--type=full');
    // theirs: 1 head, 1 list
    expect((await one.run('repo-ls', 'backup/demo')).output.split('\n')).toContain(latest());
    expect(requestLog.counts).toEqual({ info: 1, list: 1 });
    // theirs: a head for each backup, 1 list, 1 get, 2 puts
    await one.run('annotate', `--set=${latest()}`, '--annotation=why=test');
    expect(requestLog.counts).toEqual({ get: 1, list: 2, put: 2 });
    expect((await one.run('manifest')).output).toMatch(/pg_data\/PG_VERSION/);
    expect(requestLog.counts).toEqual({ get: 2 });
    // theirs: 1 head, 1 delete
    await one.run('repo-rm', 'backup/demo/backup.info.copy');
    expect(requestLog.counts).toEqual({ info: 1, remove: 1 });
    await one.run('repo-rm', '--recurse', 'backup/demo');
    expect(one.keys().filter(key => key.startsWith('backup/'))).toEqual([]);
  });
});
