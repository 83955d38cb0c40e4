/**
 * Options of backup, check, archive-push, info and stop, each with what it changes, on one cluster. Archiving fails until a
 * test needs it.
 */
import { appendFileSync, existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatLabel } from '../../src/repo/label.ts';
import { plainChecksum } from '../postgres/forge.ts';
import { TestCluster } from '../support/cluster.ts';
import { type OptionValues, TestStanza, type Tool } from '../support/stanza.ts';
import type { RunResult } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let project: RunnableProject;
let tool: Tool;
let cluster: TestCluster;
let stanza: TestStanza;
/** Path of a table below the data directory. */
let table: string;

/** A stanza of the cluster with a repository of its own. */
async function newStanza(name: string, options: OptionValues = {}): Promise<TestStanza> {
  const made = new TestStanza(cluster, name, {
    'compress-type': 'none',
    'log-level-console': 'info',
    'log-timestamp': 'n',
    'archive-timeout': 2,
    ...options,
  });
  await made.run(tool, 'stanza-create', '--no-online');
  return made;
}

beforeAll(async () => {
  cluster = await TestCluster.create({
    // offline backups hold the WAL that is there
    walSegmentSize: 1,
    settings: { archive_mode: 'on', archive_command: 'false pgbackrest', autovacuum: 'off' },
  });
  project = runnableProject(cluster.user);
  tool = project.command;
  await cluster.start();
  await cluster.sql('create table sample as select n, repeat(md5(n::text), 8) as pad from generate_series(1, 4000) n');
  await cluster.sql('checkpoint');
  table = String(await cluster.value("select pg_relation_filepath('sample')"));
  stanza = await newStanza('stanza');
});
afterAll(async () => {
  await cluster?.dispose();
  project?.remove();
});

async function run(...args: string[]): Promise<RunResult> {
  if (args[0] === 'backup') await untilLater(stanza);
  return await stanza.attempt(tool, args);
}
async function succeed(...args: string[]): Promise<string> {
  const result = await run(...args);
  expect(result.code, result.stdout + result.stderr).toBe(0);
  return result.stdout + result.stderr;
}

/** Lets the stopped cluster differ from the last backup. */
const change = (): void => appendFileSync(join(cluster.dataDirectory, 'pg_ident.conf'), '# more\n');

const folder = (of: TestStanza = stanza): string => join(of.repo, 'backup/demo');
const labels = (of: TestStanza = stanza): string[] =>
  readdirSync(folder(of))
    .filter(name => /^\d{8}-\d{6}F/.test(name) && existsSync(join(folder(of), name, 'backup.manifest')))
    .sort();
/** Waits until the name of a new backup can be later than the last one's: these backups take less than a second. */
async function untilLater(of: TestStanza): Promise<void> {
  const last = labels(of).at(-1)?.slice(-16, -1) ?? '';
  while (formatLabel('full', Math.floor(Date.now() / 1000)).slice(0, -1) <= last) {
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}
const manifest = (label = labels().at(-1) ?? '', of: TestStanza = stanza): string =>
  readFileSync(join(folder(of), label, 'backup.manifest'), 'utf8');
const fileIn = (text: string, name: string): Record<string, unknown> => {
  const [line = ''] = new RegExp(`^pg_data/${name}=.*$`, 'm').exec(text) ?? [];
  return JSON.parse(line.slice(line.indexOf('=') + 1));
};

describe('while the server runs and archiving fails', () => {
  it('a backup says so; without archive-check it does not look', async () => {
    expect((await run('backup', '--type=full')).code).toBe(82);
    await succeed('backup', '--type=full', '--no-archive-check');
    expect(manifest()).toMatch(/^option-archive-check=false$/m);
    expect(manifest()).toMatch(/^option-online=true$/m);
  });

  it('a backup without force refuses a server that runs', async () => {
    expect((await run('backup', '--no-online', '--type=full')).code).toBe(38);
    expect(await succeed('backup', '--no-online', '--type=full', '--force')).toMatch(
      /WARN: --no-online passed but postmaster\.pid exists and --force was passed/,
    );
  });
});

describe('the cluster is stopped', () => {
  beforeAll(() => cluster.stop());

  it('stop-auto and compress are things of the past', async () => {
    expect(await succeed('backup', '--no-online', '--type=full', '--stop-auto')).toMatch(
      /WARN: option 'stop-auto' is deprecated/,
    );
    const gz = await newStanza('gz', { 'compress-type': 'gz' });
    // a file may not have both
    const plain = new TestStanza(cluster, 'plain', { compress: 'n' });
    await plain.run(tool, 'stanza-create', '--no-online');
    for (const [one, ending] of [
      [gz, '.gz'],
      [plain, ''],
    ] as const) {
      await one.run(tool, 'backup', '--no-online', '--type=full');
      const [label = ''] = labels(one);
      expect(existsSync(join(folder(one), label, `pg_data/PG_VERSION${ending}`))).toBe(true);
    }
  });

  it('repo-symlink', async () => {
    const one = await newStanza('symlink');
    const link = join(folder(one), 'latest');
    await one.run(tool, 'backup', '--no-online', '--no-repo1-symlink');
    expect(lstatSync(link, { throwIfNoEntry: false })).toBeUndefined();
    await untilLater(one);
    await one.run(tool, 'backup', '--no-online', '--type=full');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });

  it('stanza-create --force is only warned of', async () => {
    expect(await succeed('stanza-create', '--no-online', '--force')).toMatch(
      /WARN: option --force is no longer supported/,
    );
  });

  describe('a page that looks new and has content', () => {
    beforeAll(() => {
      const path = join(cluster.dataDirectory, table);
      const content = readFileSync(path);
      const page = content.subarray(8192, 16384);
      // pd_upper
      page.writeUInt16LE(0, 14);
      page.writeUInt16LE(plainChecksum(page, 1), 8);
      writeFileSync(path, content);
    });
    const invalid = /WARN: invalid page checksum.* found in file .* at page.* 1$/m;

    it('is wrong', async () => {
      expect(await succeed('backup', '--no-online', '--type=full', '--checksum-page')).toMatch(invalid);
      expect(fileIn(manifest(), table)).toMatchObject({ 'checksum-page': false, 'checksum-page-error': [1] });
    });

    it('goes by its checksum without page-header-check', async () => {
      const output = await succeed('backup', '--no-online', '--type=full', '--checksum-page', '--no-page-header-check');
      expect(output).not.toMatch(invalid);
      expect(fileIn(manifest(), table)).toMatchObject({ 'checksum-page': true });
    });

    it('is not looked at without checksum-page', async () => {
      expect(await succeed('backup', '--no-online', '--type=full', '--no-checksum-page')).not.toMatch(invalid);
      expect(manifest()).toMatch(/^option-checksum-page=false$/m);
      expect(fileIn(manifest(), table)).not.toHaveProperty('checksum-page');
    });
  });

  describe('blocks', () => {
    const blocks = ['--repo1-bundle', '--repo1-block', '--repo1-bundle-limit=1MiB', '--compress-type=zst'];
    const made = async (...options: string[]): Promise<{ table: Record<string, unknown>; text: string }> => {
      await succeed('backup', '--no-online', '--type=full', ...blocks, ...options);
      return { table: fileIn(manifest(), table), text: manifest() };
    };

    it('have the sizes that the maps say', async () => {
      const usual = await made();
      expect(usual.table).toMatchObject({ bi: 1 });
      expect(usual.table).not.toHaveProperty('bic');
      const other = await made(
        ...['--repo1-block-size-map=16KiB=16KiB', '--repo1-block-size-map=1MiB=32KiB'],
        ...['--repo1-block-checksum-size-map=32KiB=12', '--repo1-block-checksum-size-map=8KiB=8'],
      );
      expect(other.table).toMatchObject({ bi: 4, bic: 12 });
      expect(fileIn(other.text, 'base/1/1259')).toMatchObject({ bi: 2, bic: 8 });
      // factors by age: twice the size from the first day on, none for what is older
      const old = await made('--repo1-block-age-map=0=2', '--repo1-block-age-map=3=0');
      expect(old.table).toMatchObject({ bi: 2 });
    });

    it.each([
      '--repo1-block-size-map=16KiB=9KiB',
      '--repo1-block-size-map=small=8KiB',
      '--repo1-block-age-map=old=2',
      '--repo1-block-age-map=1=-1',
      '--repo1-block-checksum-size-map=8KiB=3',
      '--repo1-block-checksum-size-map=8KiB=17',
    ])('%s is refused', async option => {
      const known = labels();
      const result = await run('backup', '--no-online', '--type=full', ...blocks, option);
      expect(result.stderr).toMatch(/ERROR: \[032\]: '.*' is not valid for /);
      expect(result.code).toBe(32);
      expect(labels()).toEqual(known);
    });

    it('fill super blocks, which compress the better the larger they are', async () => {
      const small = await made('--repo1-block-size-super=32KiB', '--repo1-block-size-super-full=32KiB');
      const large = await made('--repo1-block-size-super-full=1MiB');
      expect(Number(small.table['repo-size'])).toBeGreaterThan(Number(large.table['repo-size']));
      // and of a map that compresses differently there is one restored content
      const data = await stanza.restore(tool, ['--type=none']);
      expect(
        readFileSync(join(data.dataDirectory, table)).equals(readFileSync(join(cluster.dataDirectory, table))),
      ).toBe(true);
    });
  });

  it('retention is kept to after a backup', async () => {
    const one = await newStanza('retention');
    const backup = async (...args: string[]): Promise<string> => {
      change();
      await untilLater(one);
      return await one.run(tool, 'backup', '--no-online', ...args);
    };
    await backup('--type=full');
    await backup('--type=diff');
    await backup('--type=diff', '--repo1-retention-diff=1');
    expect(labels(one)).toHaveLength(2);
    const [first = ''] = labels(one);
    await backup('--type=full', '--repo1-retention-full=1', '--no-expire-auto');
    expect(labels(one)).toContain(first);
    await backup(
      ...[
        '--type=full',
        '--repo1-retention-full=1',
        '--repo1-retention-archive=1',
        '--repo1-retention-archive-type=diff',
      ],
      '--repo1-retention-history=0',
    );
    expect(labels(one)).toHaveLength(1);
    const history = readdirSync(join(folder(one), 'backup.history'), { recursive: true }).map(String);
    // of today's nothing is too old but what has expired
    expect(history.filter(name => name.includes(first))).toEqual([]);
    const output = await backup('--type=full', '--repo1-retention-full-type=time', '--repo1-retention-full=1');
    expect(output).toContain('time-based archive retention not met');
    expect(labels(one)).toHaveLength(2);
  });
});

describe('info', () => {
  it('--type and --detail-level', async () => {
    const output = await succeed('info', '--type=full', '--log-level-console=off');
    expect(output).toMatch(/full backup: /);
    change();
    await succeed('backup', '--no-online', '--type=incr');
    expect(await succeed('info', '--type=incr', '--log-level-console=off')).not.toMatch(/full backup: /);
    const progress = await succeed('info', '--detail-level=progress', '--log-level-console=off');
    expect(progress).toContain('status: ');
    expect(progress).not.toContain('backup: ');
  });
});

it('repo-get --ignore-missing', async () => {
  expect((await run('repo-get', 'backup/demo/nothing')).code).toBe(55);
  // not there is an answer, and no error
  const missing = await run('repo-get', '--ignore-missing', 'backup/demo/nothing');
  expect(missing.code).toBe(1);
  expect(missing.stdout + missing.stderr).not.toContain('ERROR');
  expect(await succeed('repo-get', '--ignore-missing', 'backup/demo/backup.info')).toContain('[db:history]');
});

it('check --report prints the configuration, and checks nothing', async () => {
  const { cfg } = JSON.parse(await succeed('check', '--report', '--log-level-console=off'));
  expect(JSON.stringify(cfg)).toContain(stanza.repo);
});

describe('archiving', () => {
  const push = (...args: string[]): Promise<RunResult> =>
    run('archive-push', join(cluster.dataDirectory, wal()), ...args);
  const wal = (): string =>
    join(
      'pg_wal',
      readdirSync(join(cluster.dataDirectory, 'pg_wal'))
        .filter(name => /^[0-9A-F]{24}$/.test(name))
        .sort()[0] ?? '',
    );

  it('archive-push tells of a segment that is there, unless nobody checks', async () => {
    expect(await push()).toMatchObject({ code: 0 });
    const again = await push();
    expect(again.stdout + again.stderr).toMatch(/WARN: .*already exists in the repo1 archive with the same checksum/);
    for (const option of ['--no-archive-check', '--no-archive-mode-check']) {
      const quiet = await push(option);
      expect(quiet.code).toBe(0);
      expect(quiet.stdout + quiet.stderr).not.toContain('already exists');
    }
  });

  it('archive-push --no-compress leaves a segment as it is', async () => {
    const one = new TestStanza(cluster, 'old', { compress: 'n' });
    await one.run(tool, 'stanza-create', '--no-online');
    await one.run(tool, 'archive-push', join(cluster.dataDirectory, wal()));
    const [id = ''] = readdirSync(join(one.repo, 'archive/demo')).filter(name => /^\d/.test(name));
    const stored = readdirSync(join(one.repo, 'archive/demo', id), { recursive: true }).map(String);
    expect(stored.filter(name => /-[0-9a-f]{40}$/.test(name))).toHaveLength(1);
    expect(statSync(join(one.repo, 'archive/demo', id, stored.at(-1) ?? '')).size).toBe(1024 * 1024);
  });

  it('check wants its program in archive_command, unless nobody checks', async () => {
    const line = stanza.commandLine(tool, 'archive-push').map(word => `"${word}"`);
    cluster.writeFile('push', `exec ${line.join(' ')} "$1"\n`);
    cluster.configure({ archive_command: 'sh ../push %p' });
    await cluster.start();
    expect((await run('check', '--archive-timeout=60')).code).toBe(68);
    await succeed('check', '--archive-timeout=60', '--no-archive-check');
  });

  it('archive_mode=always is refused, unless nobody checks', async () => {
    const line = stanza.commandLine(tool, 'archive-push').map(word => `"${word}"`);
    cluster.configure({ archive_mode: 'always', archive_command: `${line.join(' ')} %p` });
    await cluster.restart();
    for (const command of [['check'], ['backup', '--type=full']]) {
      const wait = '--archive-timeout=60';
      const refused = await run(...command, wait);
      expect(refused.stdout + refused.stderr).toContain('archive_mode=always not supported');
      expect(refused.code).toBe(67);
      await succeed(...command, wait, '--no-archive-mode-check');
    }
  });
});

describe('a long backup', () => {
  beforeAll(async () => {
    cluster.configure({ archive_mode: 'on' });
    await cluster.restart();
    await cluster.sql(
      'create table long as select n, repeat(md5(n::text) || md5((-n)::text), 20) as pad from generate_series(1, 3000) n',
    );
    await cluster.sql('checkpoint');
  });
  const slowly = [
    '--type=full',
    '--compress-type=bz2',
    '--compress-level=9',
    '--process-max=1',
    '--archive-timeout=60',
  ];

  /** The manifest's copy of a backup that is under way. */
  const copyOf = (known: readonly string[]): string => {
    const label = readdirSync(folder()).find(name => /^\d{8}-\d{6}F$/.test(name) && !known.includes(name));
    const path = join(folder(), label ?? '', 'backup.manifest.copy');
    return label !== undefined && existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const sums = (text: string): number => text.match(/"checksum":"[0-9a-f]{40}"/g)?.length ?? 0;

  it('saves what it has done as often as manifest-save-threshold says', async () => {
    for (const [option, saves] of [
      [[], false],
      [['--manifest-save-threshold=64KiB'], true],
    ] as const) {
      const known = readdirSync(folder());
      let over = false;
      const done = run('backup', ...slowly, ...option).finally(() => {
        over = true;
      });
      const seen = new Set<number>();
      while (!over) {
        if (labels().every(label => known.includes(label))) seen.add(sums(copyOf(known)));
        await new Promise(resolve => setTimeout(resolve, 20));
      }
      expect(await done).toMatchObject({ code: 0 });
      // a full backup begins with none
      const saved = [...seen].filter(count => count > 0);
      if (saves) expect(saved.length).toBeGreaterThan(2);
      else expect(saved.length).toBeLessThan(2);
    }
  });

  it('is ended by stop --force', async () => {
    const known = readdirSync(folder());
    const done = run('backup', ...slowly);
    await expect.poll(() => copyOf(known), { timeout: 20_000 }).not.toBe('');
    expect(await succeed('stop', '--force')).toMatch(/INFO: sent term signal to process \d+/);
    const ended = await done;
    expect(ended.stdout + ended.stderr).toContain('terminated on signal SIGTERM');
    expect(ended.code).toBe(63);
    expect((await run('backup', '--type=full')).code).toBe(62);
    await succeed('start');
  });
});
