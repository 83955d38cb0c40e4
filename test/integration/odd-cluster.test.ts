/** What a data directory may hold that no server put there: a backup of it is refused, or comes back as it was. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { pages, TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let root: string;
let cluster: TinyCluster;

beforeAll(() => {
  project = runnableProject(user);
  return () => project.remove();
});
beforeEach(async () => {
  root = makeTemporaryFolder(user, 'odd-');
  cluster = new TinyCluster(join(root, 'cluster'), user, 7710470678863553953n);
  expect(await run('stanza-create', '--no-online')).toMatchObject({ code: 0 });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function run(command: string, ...args: readonly string[]): Promise<RunResult> {
  return runAs(user, [
    ...[...project.command, command, '--no-config', '--stanza=demo', `--repo1-path=${root}/repo`, '--no-log-timestamp'],
    ...[`--log-path=${root}`, `--lock-path=${root}/lock`, '--log-level-console=detail'],
    ...(args.some(arg => arg.startsWith('--pg1-path')) ? [] : [`--pg1-path=${cluster.data}`]),
    ...args,
  ]);
}
const backup = (...args: readonly string[]): Promise<RunResult> =>
  run('backup', '--no-online', '--type=full', '--repo1-retention-full=9', ...args);

/** @returns the data directory that came back */
async function restored(...args: readonly string[]): Promise<string> {
  const data = join(root, 'restored');
  const result = await run('restore', `--pg1-path=${data}`, `--tablespace-map-all=${root}/spaces`, ...args);
  expect(result.code, result.stdout).toBe(0);
  return data;
}

it('a file name with a line break, which no manifest could give back, is refused, but not where it is left out', async () => {
  cluster.write('base/pgsql_tmp a\nb', 'temporary');
  expect((await backup()).code).toBe(0);
  cluster.write('base/5/a\nb', 'x');
  const result = await backup();
  expect(result.code).toBe(29);
  expect(result.stdout).toContain(`file name in '${cluster.data}/base/5' has a line break: "a\\nb"`);
});

it('a time before 1970 does not make the backup unreadable', async () => {
  cluster.write('base/5/17000', pages(1, 5));
  // Node takes a negative number for now
  utimesSync(join(cluster.data, 'base/5/17000'), new Date(-86_400_000), new Date(-86_400_000));
  expect((await backup()).code).toBe(0);
  const data = await restored();
  expect(readFileSync(join(data, 'base/5/17000')).equals(pages(1, 5))).toBe(true);
});

it('what is left out of a directory or by its name is also left out behind a link', async () => {
  const behind = (name: string, file: string): void => {
    mkdirSync(join(root, name));
    symlinkSync(join(root, name), join(cluster.data, name));
    execFileSync('cp', [join(cluster.data, 'PG_VERSION'), join(root, name, file)]);
  };
  behind('pg_replslot', 'slot');
  behind('pg_stat_tmp', 'global.stat');
  behind('log', 'server.log');
  execFileSync('cp', [join(cluster.data, 'PG_VERSION'), join(root, 'opts')]);
  symlinkSync(join(root, 'opts'), join(cluster.data, 'postmaster.opts'));
  symlinkSync('/dev/null', join(cluster.data, 'nowhere'));
  giveTo(user, root);
  const made = await backup('--exclude=log/');
  expect(made.code, made.stdout).toBe(0);
  expect(made.stdout).toContain(`WARN: exclude special file '${cluster.data}/nowhere' from backup`);
  expect(made.stdout).toContain(`exclude contents of '${cluster.data}/log' from backup using 'log/' exclusion`);
  const data = await restored();
  for (const name of ['pg_replslot', 'pg_stat_tmp', 'log']) {
    expect(lstatSync(join(data, name)).isDirectory()).toBe(true);
    expect(readdirSync(join(data, name))).toEqual([]);
  }
  for (const name of ['postmaster.opts', 'nowhere']) expect(existsSync(join(data, name))).toBe(false);
});

it('a data directory behind a link keeps its mode, and its relative links lead from where it really is', async () => {
  mkdirSync(join(root, 'cluster/log'), { mode: 0o750 });
  symlinkSync('../log', join(cluster.data, 'log'));
  cluster.write('../log/right', 'x');
  mkdirSync(join(root, 'log'));
  writeFileSync(join(root, 'log/wrong'), 'x');
  for (const name of ['log', 'log/wrong']) giveTo(user, join(root, name));
  symlinkSync(cluster.data, join(root, 'data'));
  const made = await backup(`--pg1-path=${root}/data`);
  expect(made.code, made.stdout).toBe(0);
  const data = await restored();
  expect(statSync(data).mode & 0o777).toBe(0o700);
  expect(statSync(join(data, 'log')).mode & 0o777).toBe(0o750);
  expect(readdirSync(join(data, 'log'))).toEqual(['right']);

  // and back to where it was: what only looks like the link's destination is not touched
  cluster.write('../log/stray', 'x');
  const back = await run('restore', `--pg1-path=${root}/data`, '--delta', '--link-all');
  expect(back.code, back.stdout).toBe(0);
  expect(readdirSync(join(root, 'log'))).toEqual(['wrong']);
  expect(readdirSync(join(root, 'cluster/log'))).toEqual(['right']);
});

it('gone on with under delta, a backup trusts no time: what changed in secret is copied again', async () => {
  const relation = join(cluster.data, 'base/5/1247');
  utimesSync(relation, 1_700_000_000, 1_700_000_000);
  expect((await backup()).code).toBe(0);
  const [label = ''] = readdirSync(join(root, 'repo/backup/demo')).filter(name => /F$/.test(name));
  rmSync(join(root, 'repo/backup/demo', label, 'backup.manifest'));
  cluster.write('base/5/1247', pages(3, 77));
  utimesSync(relation, 1_700_000_000, 1_700_000_000);
  const result = await backup('--delta');
  expect(result.code, result.stdout).toBe(0);
  expect(result.stdout).toContain('resumable backup');
  expect(result.stdout).not.toContain('does not have expected checksum');
  expect(readFileSync(join(await restored(), 'base/5/1247')).equals(pages(3, 77))).toBe(true);
});
