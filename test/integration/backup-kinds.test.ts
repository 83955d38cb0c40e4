/**
 * Backups in bundles and by blocks, of a stopped cluster, so that every restored file can be compared with the one that
 * was there; and full backups that go on with one that did not end.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backedUpContent } from '../support/backed-up-content.ts';
import { TestCluster } from '../support/cluster.ts';
import { listTree, type OptionValues, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let ours: Tool;
beforeAll(() => {
  project = runnableProject(user);
  ours = project.command;
});
afterAll(() => project.remove());

const damage = (path: string, position: number): void => {
  const content = readFileSync(path);
  content.fill(0x5a, position, position + 100);
  writeFileSync(path, content);
};

function newDirectory(path: string): string {
  mkdirSync(path, { mode: 0o700 });
  giveTo(user, path);
  return path;
}

interface Generation {
  readonly args: readonly string[];
  readonly letter: string;
  /** Changes the running cluster before the backup. */
  readonly change: string;
}

const generations: readonly Generation[] = [
  {
    args: ['--type=full'],
    letter: 'F',
    change: `create table big (id int, pad text) with (fillfactor = 90, autovacuum_enabled = off);
      insert into big select i, repeat(md5(i::text), 6) from generate_series(1, 20000) i; vacuum big;
      create table middle (id int, pad text) with (autovacuum_enabled = off);
      insert into middle select i, repeat(md5(i::text), 6) from generate_series(1, 3000) i;
      create table shrinking (id int, pad text) with (autovacuum_enabled = off);
      insert into shrinking select i, repeat('y', 300) from generate_series(1, 3000) i;
      create table truncated as table middle; create table dropped as table middle;
      create table small as select 1 as n; create table empty (n int)`,
  },
  {
    args: ['--type=diff'],
    letter: 'D',
    change: `update big set pad = reverse(pad) where id % 100 = 7 and id < 12000;
      truncate truncated; drop table dropped; create table created as table middle;
      delete from shrinking where id > 1000; insert into small select 2`,
  },
  {
    args: ['--type=incr'],
    letter: 'I',
    change: `vacuum (truncate) shrinking; update big set pad = reverse(pad) where id between 500 and 520;
      insert into empty select 1; truncate small`,
  },
  {
    args: ['--type=incr', '--delta'],
    letter: 'I',
    change: `create tablespace ts1 location 'TS1'; create table spaced tablespace ts1 as table middle;
      insert into big select i, repeat(md5(i::text), 6) from generate_series(20001, 21000) i;
      update middle set pad = 'x' where id % 50 = 3`,
  },
];

const layouts: readonly { name: string; options: OptionValues }[] = [
  {
    name: 'zst with cipher',
    options: { 'compress-type': 'zst', 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'sekret' },
  },
  { name: 'gz', options: { 'compress-type': 'gz', 'compress-level': 1, 'repo1-bundle-limit': '64KiB' } },
  { name: 'none', options: { 'compress-type': 'none', 'repo1-bundle-limit': '1GiB', 'repo1-bundle-size': '1MiB' } },
];

describe('in bundles and by blocks', () => {
  let cluster: TestCluster;
  const stanzas: TestStanza[] = [];
  /** What the cluster held at each generation. */
  const contents: string[][] = [];
  const labels: string[][] = layouts.map(() => []);
  let bigFile: string;

  beforeAll(async () => {
    cluster = await TestCluster.create({ settings: { wal_keep_size: 0, max_wal_size: '32MB', min_wal_size: '32MB' } });
    const ts = cluster.makeFolder('ts1', 0o700);
    for (const [index, { options }] of layouts.entries()) {
      const stanza = new TestStanza(cluster, `layout${index}`, { 'repo1-bundle': 'y', 'repo1-block': 'y', ...options });
      stanzas.push(stanza);
      await stanza.run(ours, 'stanza-create', '--no-online');
    }
    for (const { args, change } of generations) {
      await cluster.start();
      // a vacuum or a tablespace cannot be made in a transaction with others
      for (const statement of change.split(';')) await cluster.sql(statement.replace('TS1', ts));
      bigFile = String(await cluster.value("select pg_relation_filepath('big')"));
      await cluster.stop();
      for (const [index, stanza] of stanzas.entries()) {
        await stanza.run(ours, 'backup', '--no-online', ...args);
        labels[index]?.push(await stanza.latest(ours));
      }
      contents.push(backedUpContent(cluster.dataDirectory));
    }
  });
  afterAll(() => cluster?.dispose());

  const targetOf = (stanza: TestStanza, generation: number): string => join(stanza.folder, `generation${generation}`);
  const restore = async (stanza: TestStanza, data: string, ...args: string[]): Promise<RunResult> =>
    await stanza.attempt(ours, [
      'restore',
      `--pg1-path=${data}`,
      `--tablespace-map-all=${data}-ts`,
      '--type=none',
      '--log-level-console=detail',
      ...args,
    ]);

  it.each(
    layouts.flatMap(({ name }, index) =>
      generations.map(({ args }, generation) => ({ name, index, generation, args })),
    ),
  )('$name: generation $generation ($args) comes back file by file', async ({ index, generation }) => {
    const stanza = stanzas[index] as TestStanza;
    const label = labels[index]?.[generation] ?? '';
    expect(label.endsWith(generations[generation]?.letter ?? '?')).toBe(true);
    const data = newDirectory(targetOf(stanza, generation));
    const result = await restore(stanza, data, `--set=${label}`);
    expect(result.code, result.stdout + result.stderr).toBe(0);
    const expected = contents[generation] ?? [];
    expect(expected.length).toBeGreaterThan(900);
    expect(backedUpContent(data)).toEqual(expected);
  });

  it('an incr by blocks is much smaller than the file that changed', () => {
    for (const [index, stanza] of stanzas.entries()) {
      const size = (label: string | undefined) =>
        Number(
          execFileSync('du', ['-sb', join(stanza.repo, 'backup/demo', label ?? '')], { encoding: 'utf8' }).split(
            '\t',
          )[0],
        );
      expect(size(labels[index]?.[2])).toBeLessThan(size(labels[index]?.[0]) / 3);
    }
  });

  it.each(layouts.map(({ name }, index) => ({ name, index })))(
    '$name: delta keeps what is right and mends what is not',
    async ({ index }) => {
      const stanza = stanzas[index] as TestStanza;
      const data = targetOf(stanza, 3);
      const expected = contents[3] ?? [];
      const unchanged = await restore(stanza, data, '--delta');
      expect(unchanged.code, unchanged.stdout).toBe(0);
      const lines = unchanged.stdout.split('\n').filter(line => / restore file /.test(line) && !/\(0B,/.test(line));
      expect(lines.length).toBeGreaterThan(500);
      expect(lines.filter(line => !/exists and matches backup/.test(line) && !/pg_control/.test(line))).toEqual([]);
      expect(backedUpContent(data)).toEqual(expected);

      damage(join(data, bigFile), 3 * 8192 + 5);
      damage(join(data, bigFile), 300 * 8192);
      writeFileSync(join(data, 'not-mine'), 'x');
      writeFileSync(join(data, 'PG_VERSION'), '');
      const [first = '', second = ''] = expected
        .filter(line => /^base\/\d+\/\d+ /.test(line))
        .map(line => line.slice(0, line.indexOf(' ')))
        .filter(name => name !== bigFile && readFileSync(join(data, name)).length > 20_000);
      rmSync(join(data, first));
      truncateSync(join(data, second), 9000);
      writeFileSync(join(data, bigFile), Buffer.concat([readFileSync(join(data, bigFile)), Buffer.alloc(9000)]));
      const mended = await restore(stanza, data, '--delta');
      expect(mended.code, mended.stdout).toBe(0);
      expect(backedUpContent(data)).toEqual(expected);
      expect(mended.stdout).toMatch(new RegExp(`restore file ${join(data, bigFile)} \\(`));
      expect(mended.stdout.match(/exists and matches backup/g)?.length).toBeGreaterThan(500);
    },
  );

  it('delta reads only the super blocks that it needs', async () => {
    // in this layout the table is not in a bundle
    const stanza = stanzas[1] as TestStanza;
    const data = targetOf(stanza, 3);
    const now = readFileSync(join(data, bigFile));
    const before = readFileSync(join(targetOf(stanza, 2), bigFile));
    const first = readFileSync(join(targetOf(stanza, 0), bigFile));
    const pages = Array.from({ length: Math.floor(now.length / 8192) }, (_, page) => page);
    const equal = (file: Buffer, page: number) =>
      file.subarray(page * 8192, (page + 1) * 8192).equals(now.subarray(page * 8192, (page + 1) * 8192));
    const inNewest = pages.find(page => !equal(before, page)) ?? -1;
    expect(inNewest).toBeGreaterThanOrEqual(0);
    // a block has several pages, and is stored anew when one of them changes
    const inFull =
      pages.find(page => page > 16 && pages.slice(page - 16, page + 17).every(near => equal(first, near))) ?? 0;
    expect(inFull).toBeGreaterThan(0);
    const stored = join(stanza.repo, 'backup/demo', labels[1]?.[0] ?? '', 'pg_data', `${bigFile}.pgbi`);
    renameSync(stored, `${stored}.away`);
    try {
      damage(join(data, bigFile), inNewest * 8192);
      const result = await restore(stanza, data, '--delta');
      expect(result.code, result.stdout).toBe(0);
      expect(backedUpContent(data)).toEqual(contents[3]);

      damage(join(data, bigFile), inFull * 8192);
      const failed = await restore(stanza, data, '--delta');
      expect(failed.code, failed.stdout).toBe(55);
      expect(failed.stderr).toContain(stored);
    } finally {
      renameSync(`${stored}.away`, stored);
    }
    expect((await restore(stanza, data, '--delta')).code).toBe(0);
    expect(backedUpContent(data)).toEqual(contents[3]);

    // of another time, and too long: every block is there all the same
    const file = join(data, bigFile);
    const { mtimeMs } = statSync(file);
    appendFileSync(file, 'more');
    const kept = await restore(stanza, data, '--delta');
    expect(kept.stdout).toContain(`restore file ${file} - exists and matches backup`);
    expect(backedUpContent(data)).toEqual(contents[3]);
    expect(statSync(file).mtimeMs).toBe(mtimeMs);

    // too long, and of the same time: what is cut off changes the time
    appendFileSync(file, 'more');
    utimesSync(file, mtimeMs / 1000, mtimeMs / 1000);
    expect((await restore(stanza, data, '--delta')).code).toBe(0);
    expect(backedUpContent(data)).toEqual(contents[3]);
    expect(statSync(file).mtimeMs).toBe(mtimeMs);
  });
});

describe('a full backup that did not end', () => {
  let cluster: TestCluster;
  let stanza: TestStanza;
  beforeAll(async () => {
    cluster = await TestCluster.create();
    stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'gz', 'compress-level': 1 });
    await stanza.run(ours, 'stanza-create', '--no-online');
    // what was written in the second in which a backup begins to copy is not kept by the next one
    await setTimeout(1100);
  });
  afterAll(() => cluster?.dispose());

  const directories = (): string[] =>
    readdirSync(join(stanza.repo, 'backup/demo'))
      .filter(name => /^\d{8}-\d{6}F$/.test(name))
      .sort();
  const backup = (...args: string[]): Promise<RunResult> =>
    stanza.attempt(ours, ['backup', '--type=full', '--no-online', '--log-level-console=detail', ...args]);
  const resumedLines = (result: RunResult): number => result.stdout.match(/ checksum resumed file /g)?.length ?? 0;

  /** A backup as it is when its process was killed just before its end. @returns its label */
  async function abortedBackup(): Promise<string> {
    for (const label of directories()) rmSync(join(stanza.repo, 'backup/demo', label), { recursive: true });
    const result = await backup();
    expect(result.code, result.stdout).toBe(0);
    const label = directories().at(-1) ?? '';
    rmSync(join(stanza.repo, 'backup/demo', label, 'backup.manifest'));
    return label;
  }

  async function expectRestores(): Promise<void> {
    const data = newDirectory(stanza.newDataDirectory());
    await stanza.run(ours, 'restore', `--pg1-path=${data}`, '--type=none');
    expect(backedUpContent(data)).toEqual(backedUpContent(cluster.dataDirectory));
  }

  it('is gone on with: files that did not change are kept, the others are copied again', async () => {
    const label = await abortedBackup();
    const path = join(stanza.repo, 'backup/demo', label);
    // changed since, gone since, and unknown to the manifest
    writeFileSync(join(cluster.dataDirectory, 'postgresql.auto.conf'), '# changed\n');
    writeFileSync(join(path, 'pg_data/gone.gz'), 'x');
    writeFileSync(join(path, 'pg_data/PG_VERSION'), 'x');
    mkdirSync(join(path, 'bundle'));
    giveTo(user, join(path, 'bundle'));
    const result = await backup();
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout).toContain(
      `WARN: resumable backup ${label} of same type exists -- invalid files will be removed then the backup will resume`,
    );
    expect(result.stdout).toContain(`remove file '${path}/pg_data/gone.gz' from resumed backup (missing in manifest)`);
    expect(result.stdout).toContain(
      `remove file '${path}/pg_data/PG_VERSION' from resumed backup (mismatched compression type)`,
    );
    expect(result.stdout).toMatch(/remove file '.*postgresql\.auto\.conf\.gz' from resumed backup \(mismatched size\)/);
    expect(existsSync(join(path, 'bundle'))).toBe(false);
    expect(resumedLines(result)).toBeGreaterThan(500);
    expect(directories()).toEqual([label]);
    await expectRestores();
  });

  it('a kept file that is damaged is copied again, with a warning', async () => {
    const label = await abortedBackup();
    const stored = join(stanza.repo, 'backup/demo', label, 'pg_data/base/1/1259.gz');
    damage(stored, 2000);
    const result = await backup();
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout.match(/WARN: resumed backup file .* does not have expected checksum/g)).toEqual([
      expect.stringContaining(`${cluster.dataDirectory}/base/1/1259 `),
    ]);
    await expectRestores();
  });

  it.each([
    [['--no-resume'], 'resume is disabled', 'INFO'],
    [['--compress-type=lz4'], "new compression 'lz4' does not match resumable compression 'gz'", 'WARN'],
  ])('with %s it is removed, and the reason is said', async (args, reason, level) => {
    const label = await abortedBackup();
    const result = await backup(...args);
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout).toContain(`${level}: backup '${label}' cannot be resumed: ${reason}`);
    expect(resumedLines(result)).toBe(0);
    expect(directories()).toHaveLength(1);
    expect(directories()).not.toContain(label);
    await expectRestores();
  });

  it('goes on in bundles without leaving files that nobody needs', async () => {
    await abortedBackup();
    const result = await backup('--repo1-bundle');
    expect(result.code, result.stdout).toBe(0);
    const [label = ''] = directories();
    const loose = listTree(join(stanza.repo, 'backup/demo', label)).filter(line => /^pg_data\/.*\.gz /.test(line));
    expect(loose.filter(line => /PG_VERSION|\/1259\./.test(line))).toEqual([]);
    await expectRestores();
  });

  it('hard links are made of what has a file of its own in an earlier backup, not of what is in its bundles', async () => {
    for (const label of directories()) rmSync(join(stanza.repo, 'backup/demo', label), { recursive: true });
    const full = await backup('--repo1-bundle', '--repo1-bundle-limit=16KiB');
    expect(full.code, full.stdout).toBe(0);
    writeFileSync(join(cluster.dataDirectory, 'postgresql.auto.conf'), '# changed again\n');
    const args = ['backup', '--type=diff', '--no-online', '--log-level-console=detail', '--repo1-hardlink'];
    const diff = await stanza.attempt(ours, args);
    expect(diff.code, diff.stdout).toBe(0);
    expect(diff.stdout).toMatch(/ hardlink pg_data\/base\/1\/1255 to /);
    expect(diff.stdout).toMatch(/ reference pg_data\/PG_VERSION to /);
    await expectRestores();
    await stanza.run(ours, 'verify');
  });

  it('with an unreadable manifest is removed', async () => {
    const label = await abortedBackup();
    writeFileSync(join(stanza.repo, 'backup/demo', label, 'backup.manifest.copy'), 'nonsense');
    const result = await backup();
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout).toMatch(new RegExp(`WARN: backup '${label}' cannot be resumed: unable to read`));
    await expectRestores();
  });
});
