/** What the clusters of the bench, and its synthetic repository, are filled with. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLabel } from '../../src/repo/label.ts';
import { type SyntheticBackup, SyntheticRepo, segmentName } from '../command/expire/synthetic-repo.ts';
import { chownTree, type TestCluster } from '../support/cluster.ts';
import type { Bed } from './bed.ts';

/** Tables the bytes of the large cluster are spread over, so that there is work for several processes. */
export const largeTables = 8;

/** Rows of which every second one compresses badly, spread over tables, until the database has the size. */
export async function fillBySize(cluster: TestCluster, megabytes: number): Promise<void> {
  const chunk = 50_000;
  for (let table = 1; table <= largeTables; table++) {
    await cluster.sql(`create table account_${table} (id bigint primary key, branch int, balance int, filler text)
      with (fillfactor = 97)`);
    for (let from = 0; ; from += chunk) {
      await cluster.sql(`insert into account_${table}
        select n, n % 100, (n::bigint * 7919) % 100000,
          case when n % 2 = 0 then repeat(' ', 84) else md5(n::text) || md5((n + 1)::text) || 'account' end
        from generate_series(${from + 1}, ${from + chunk}) n`);
      const size = Number(await cluster.value('select pg_database_size(current_database())'));
      if (size >= (megabytes * 1e6 * table) / largeTables) break;
    }
  }
  await cluster.sql('vacuum (freeze)');
}

/** Tables with an index and a TOAST table each: some twenty thousand files for five thousand tables. */
export async function fillByTables(cluster: TestCluster, tables: number): Promise<void> {
  const chunk = 100;
  for (let from = 1; from <= tables; from += chunk) {
    await cluster.sql(`do $$ begin for n in ${from}..${Math.min(from + chunk - 1, tables)} loop
      execute format('create table small_%s (id int primary key, note text)', n);
      execute format('insert into small_%s select i, md5(i::text) from generate_series(1, %s) i', n, 1 + n % 200);
    end loop; end $$`);
  }
}

/** Orphans in the database's directory, which the server ignores: pages of real tables, whose checksums are right. */
export async function fillBySmallFiles(cluster: TestCluster, files: number): Promise<void> {
  const seeds = 50;
  const pages: Buffer[] = [];
  for (let seed = 0; seed < seeds; seed++) {
    await cluster.sql(
      `create table seed_${seed} as select i, md5((i + ${seed * 1000})::text) from generate_series(1, 300) i`,
    );
  }
  await cluster.sql('vacuum (freeze)');
  await cluster.sql('checkpoint');
  for (let seed = 0; seed < seeds; seed++) {
    const path = String(await cluster.value(`select pg_relation_filepath('seed_${seed}')`));
    pages.push(readFileSync(join(cluster.dataDirectory, path)));
  }
  const folder = join(
    cluster.dataDirectory,
    'base',
    String(await cluster.value('select oid from pg_database where datname = current_database()')),
  );
  const firstName = 1_000_000;
  for (let file = 0; file < files; file++) {
    // of ten files one is empty, eight have one page, one has two
    const size = [0, 1, 1, 1, 1, 1, 1, 1, 1, 2][file % 10] ?? 1;
    writeFileSync(join(folder, String(firstName + file)), pages[file % seeds]?.subarray(0, size * 8192) ?? '', {
      mode: 0o600,
    });
  }
  await chownTree(cluster.user, folder);
}

/** Every tenth backup of the synthetic repository is a full one. */
export const backupsPerFull = 10;

/** A repository of many backups and segments, of stanza `demo`, in the folder `synthetic`. */
export async function fillRepository(bed: Bed): Promise<void> {
  const { backups, segments } = bed.options;
  const root = bed.folder('synthetic');
  const perBackup = Math.floor(segments / backups);
  const day = 86_400;
  const begin = Math.floor(Date.now() / 1000) - backups * day;
  const list: SyntheticBackup[] = [];
  for (let at = 0; at < backups; at++) {
    const full = list[at - (at % backupsPerFull)]?.label;
    const start = begin + at * day;
    list.push({
      label: full === undefined ? formatLabel('full', start) : formatLabel('incr', start, full),
      wal: [segmentName(1, at * perBackup + 1), segmentName(1, at * perBackup + 2)],
      stop: start + 10,
    });
  }
  const repo = await SyntheticRepo.open(root);
  await repo.write(list);
  repo.segments('15-1', 1, 1, segments);
  await chownTree(bed.cluster.user, root);
}
