/** annotate, stanza-upgrade and stanza-delete of the built program, on a stanza whose cluster is replaced by a newer one. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { giveTo, type RunResult } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let old: TestCluster;
let current: TestCluster;
let project: RunnableProject;
let config: string;
let root: string;

/** The stanza's cluster, from now on. */
function use(cluster: TestCluster): void {
  const lines = [
    '[global]',
    `repo1-path=${root}/repo1`,
    `repo2-path=${root}/repo2`,
    'repo2-cipher-type=aes-256-cbc',
    'repo2-cipher-pass=sekret',
    `lock-path=${root}/lock`,
    `log-path=${root}/log`,
    `spool-path=${root}/spool`,
    'log-level-console=info',
    'log-level-file=off',
    'log-timestamp=n',
    'start-fast=y',
    'archive-timeout=60s',
    'repo1-retention-full=9',
    'repo2-retention-full=9',
    '[demo]',
    `pg1-path=${cluster.dataDirectory}`,
    `pg1-port=${cluster.port}`,
    `pg1-socket-path=${cluster.socketDirectory}`,
  ];
  config = old.writeFile('config', `${lines.join('\n')}\n`);
}

const run = (...args: string[]): Promise<RunResult> =>
  old.run([...project.command, `--config=${config}`, '--stanza=demo', ...args]);

async function succeed(...args: string[]): Promise<string[]> {
  const result = await run(...args);
  expect(result, result.stdout + result.stderr).toMatchObject({ code: 0 });
  return result.stdout.trimEnd().split('\n').slice(1, -1);
}

interface Info {
  readonly backup: {
    readonly label: string;
    readonly annotation?: object;
    readonly database: { 'repo-key': number; id: number };
  }[];
  readonly archive: { readonly id: string; readonly min: string | null }[];
  readonly db: { readonly id: number; readonly version: string }[];
  readonly status: { readonly message: string };
}

async function info(...args: string[]): Promise<Info> {
  const { stdout } = await run('info', '--output=json', ...args);
  return JSON.parse(stdout)[0];
}

beforeAll(async () => {
  old = await TestCluster.create({ version: '10' });
  current = await TestCluster.create({ version: '18' });
  project = runnableProject(old.user);
  root = old.root;
  use(old);
  for (const cluster of [old, current]) {
    const archive = `${project.command.join(' ')} --config=${config} --stanza=demo archive-push %p`;
    cluster.configure({ archive_mode: true, archive_command: archive });
  }
  await old.start();
  await succeed('stanza-create');
  await succeed('backup', '--repo=1', '--type=full', '--annotation=by=backup');
  await succeed('backup', '--repo=2', '--type=full');
});

afterAll(async () => {
  await current?.dispose();
  await old?.dispose();
  project?.remove();
});

describe('annotate', () => {
  const notes = async (repo: number) => (await info(`--repo=${repo}`)).backup[0]?.annotation;
  const label = async (repo: number) => (await info(`--repo=${repo}`)).backup[0]?.label ?? '';

  test('sets, changes and removes notes of one backup', async () => {
    const set = `--set=${await label(1)}`;
    expect(await succeed('annotate', set, '--annotation=who=me', '--annotation=why=a b=c')).toEqual([
      `P00   INFO: backup set '${await label(1)}' to annotate found in repo1`,
    ]);
    expect(await notes(1)).toEqual({ by: 'backup', who: 'me', why: 'a b=c' });
    await succeed('annotate', set, '--annotation=who=you', '--annotation=by=');
    expect(await notes(1)).toEqual({ who: 'you', why: 'a b=c' });
    const text = (await run('info', set)).stdout;
    expect(text).toContain('annotation(s)\n');
    expect(text).toContain('who: you');
  });

  test('in an encrypted repository, until the last one is gone', async () => {
    const set = `--set=${await label(2)}`;
    await succeed('annotate', set, '--repo=2', '--annotation=a=1');
    expect(await notes(2)).toEqual({ a: '1' });
    await succeed('annotate', set, '--annotation=a=');
    expect(await notes(2)).toBeUndefined();
  });

  test('leaves the manifest alone', async () => {
    const manifest = readFileSync(join(root, 'repo1/backup/demo', await label(1), 'backup.manifest'), 'utf8');
    expect(manifest).toContain('annotation={"by":"backup"}');
  });

  test('refuses what is no label, and one that nobody has', async () => {
    const bad = await run('annotate', '--set=latest', '--annotation=a=b');
    expect(bad.code).toBe(32);
    expect(bad.stdout).toContain("ERROR: [032]: 'latest' is not a valid backup label format");
    const gone = await run('annotate', '--set=20200101-000000F', '--annotation=a=b');
    expect(gone.code).toBe(75);
    expect(gone.stdout).toContain('ERROR: [075]: no backup set to annotate found');
  });

  test('a repository that is out of reach does not keep the other from its note', async () => {
    const path = join(root, 'repo2/backup/demo');
    const saved = ['backup.info', 'backup.info.copy'].map(
      name => [join(path, name), readFileSync(join(path, name))] as const,
    );
    for (const [file] of saved) writeFileSync(file, 'broken');
    const result = await run('annotate', `--set=${await label(1)}`, '--annotation=both=no');
    for (const [file, bytes] of saved) writeFileSync(file, bytes);
    expect(result.code).toBe(104);
    expect(result.stdout).toContain('ERROR: [095]: repo2: unable to load info file ');
    expect(result.stdout).toContain('annotate command encountered 1 error(s), check the log file for details');
    expect(await notes(1)).toMatchObject({ both: 'no' });
  });
});

describe('stanza-upgrade', () => {
  test('has nothing to do for the same cluster', async () => {
    expect(await succeed('stanza-upgrade')).toEqual([
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo1",
      "P00   INFO: stanza 'demo' on repo1 is already up to date",
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo2",
      "P00   INFO: stanza 'demo' on repo2 is already up to date",
    ]);
  });

  test('another cluster is refused before it', async () => {
    await old.stop();
    use(current);
    await current.start();
    expect((await run('backup', '--repo=1')).code).toBe(51);
    expect((await run('stanza-create')).code).toBe(28);
    expect((await run('check', '--archive-timeout=1s')).code).toBe(28);
  });

  test('is stopped by a stop file, and cannot do without info files', async () => {
    expect((await run('stop')).code).toBe(0);
    expect((await run('stanza-upgrade')).code).toBe(62);
    expect((await run('start')).code).toBe(0);
    expect((await run('stanza-upgrade', '--repo1-path=/nonexistent')).code).toBe(55);
  });

  test('adds the new cluster in both repositories; the old one stays beside it', async () => {
    expect(await succeed('stanza-upgrade')).toEqual([
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo1",
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo2",
    ]);
    await succeed('check');
    await succeed('backup', '--repo=1', '--type=full');
    await succeed('backup', '--repo=2', '--type=full');
    const both = await info();
    expect(both.status.message).toBe('ok');
    expect(both.db.map(({ id, version }) => `${version}-${id}`)).toEqual(['10-1', '18-2', '10-1', '18-2']);
    expect(both.archive.every(({ min }) => min !== null)).toBe(true);
    expect(both.archive.map(({ id }) => id).sort()).toEqual(['10-1', '10-1', '18-2', '18-2']);
    expect(both.backup.map(({ database }) => `${database['repo-key']}/${database.id}`).sort()).toEqual([
      '1/1',
      '1/2',
      '2/1',
      '2/2',
    ]);
    const text = (await run('info')).stdout;
    expect(text).toContain('db (prior)');
    expect(text).toContain('wal archive min/max (10)');
    expect(text).toContain('wal archive min/max (18)');
    for (const repo of [1, 2]) {
      const { stdout } = await run('verify', `--repo=${repo}`, '--output=text', '--verbose', '--log-level-console=off');
      expect(stdout).toMatch(/^stanza: demo\nstatus: ok\n {2}archiveId: 10-1, .*\n.*\n {2}archiveId: 18-2, /);
      expect(stdout.match(/status: valid/g)).toHaveLength(2);
    }
  });

  test('a backup of the old cluster still restores', async () => {
    const [first] = (await info('--repo=1')).backup;
    const target = join(root, 'restored');
    mkdirSync(target, { mode: 0o700 });
    giveTo(old.user, target);
    await succeed(
      'restore',
      `--pg1-path=${target}`,
      `--set=${first?.label}`,
      '--repo=1',
      '--type=immediate',
      '--target-action=promote',
    );
    expect(readFileSync(join(target, 'PG_VERSION'), 'utf8')).toBe('10\n');
    const restored = await TestCluster.open(target, { binaries: old.binaries });
    try {
      restored.configure({ archive_mode: 'off' });
      await restored.start();
      await restored.waitFor('select not pg_is_in_recovery()');
      expect(await restored.value('show server_version_num')).toMatch(/^10/);
    } finally {
      await restored.dispose();
    }
  });

  test('ends an upgrade that was interrupted between the two files', async () => {
    const path = join(root, 'repo1/backup/demo');
    const names = ['backup.info', 'backup.info.copy'].map(name => join(path, name));
    // the older cluster again, and only archive.info heard of it
    const before = names.map(name => readFileSync(name));
    use(old);
    await succeed('stanza-upgrade', '--no-online');
    for (const [index, name] of names.entries()) writeFileSync(name, before[index] ?? '');
    expect((await run('stanza-create', '--no-online')).code).toBe(28);
    expect(await succeed('stanza-upgrade', '--no-online')).toEqual([
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo1",
      "P00   INFO: stanza-upgrade for stanza 'demo' on repo2",
      "P00   INFO: stanza 'demo' on repo2 is already up to date",
    ]);
    expect((await info('--repo=1')).db.map(({ id, version }) => `${version}-${id}`)).toEqual(['10-1', '18-2', '10-3']);
    use(current);
    await succeed('stanza-upgrade');
    expect((await info('--repo=1')).db.at(-1)).toMatchObject({ id: 4, version: '18' });
    await succeed('check');
  });
});

describe('stanza-delete', () => {
  test('wants to know which repository', async () => {
    const result = await run('stanza-delete');
    expect(result.code).toBe(37);
    expect(result.stdout).toContain('stanza-delete command requires option: repo');
  });

  test('wants the stanza to be stopped, also with force', async () => {
    for (const force of [[], ['--force']]) {
      const result = await run('stanza-delete', '--repo=1', ...force);
      expect(result.code).toBe(55);
      expect(result.stdout).toContain("ERROR: [055]: stop file does not exist for stanza 'demo'");
      expect(result.stdout).toContain('HINT: has the pgbackrest stop command been run on this server for this stanza?');
    }
    expect(existsSync(join(root, 'repo1/backup/demo/backup.info'))).toBe(true);
  });

  test('refuses while the server runs', async () => {
    await succeed('stop');
    const result = await run('stanza-delete', '--repo=1');
    expect(result.code).toBe(38);
    expect(result.stdout).toContain(
      "ERROR: [038]: postmaster.pid exists - looks like PostgreSQL is running. To delete stanza 'demo' on repo1, shut down PostgreSQL for stanza 'demo' and try again, or use --force.",
    );
  });

  test('with force it goes, from one repository only', async () => {
    await succeed('stanza-delete', '--repo=1', '--force');
    expect(readdirSync(join(root, 'repo1/backup'))).toEqual([]);
    expect(readdirSync(join(root, 'repo1/archive'))).toEqual([]);
    expect(existsSync(join(root, 'repo2/backup/demo/backup.info'))).toBe(true);
    expect(existsSync(join(root, 'lock/demo.stop'))).toBe(false);
  });

  test('what is gone may be deleted again; then it can be created', async () => {
    await succeed('stanza-delete', '--repo=1');
    await current.stop();
    await succeed('stop');
    await succeed('stanza-delete', '--repo=2');
    expect(readdirSync(join(root, 'repo2/backup'))).toEqual([]);
    await succeed('stanza-create', '--no-online');
    expect((await info('--repo=2')).db).toMatchObject([{ id: 1, version: '18' }]);
  });
});
