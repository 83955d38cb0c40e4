/** A backup that others refer to is gone: what each command makes of those that are left, beside the real tool. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import type { Tool } from '../support/stanza.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const judge = findRealPgbackrest();
let project: RunnableProject;
let root: string;
let cluster: TinyCluster;
/** The repository as it is when nothing is gone: a full backup, a diff on it, an incr on that, and another full one. */
let sound: string;
let repo: string;
let count = 0;

const run = (tool: Tool, command: string, ...args: readonly string[]): Promise<RunResult> =>
  runAs(user, [
    ...tool,
    ...[command, '--no-config', '--stanza=demo', `--repo1-path=${repo}`, '--no-log-timestamp', `--log-path=${root}`],
    ...(command === 'verify' ? [] : [`--lock-path=${root}/lock`]),
    ...(/backup|stanza-create/.test(command) ? [`--pg1-path=${cluster.data}`, '--no-online'] : []),
    ...(/backup|expire/.test(command) ? ['--repo1-retention-full=9'] : []),
    ...(command === 'info' ? [] : ['--log-level-console=info']),
    ...args,
  ]);
const labels = (): string[] =>
  readdirSync(join(repo, 'backup/demo'))
    .filter(name => /^\d{8}-\d{6}F/.test(name))
    .sort();
const listed = async (): Promise<string[]> =>
  JSON.parse((await run(project.command, 'info', '--output=json')).stdout)[0].backup.map(
    ({ label }: { label: string }) => label,
  );
let full: string;
let diff: string;
let incr: string;
let other: string;

beforeAll(async () => {
  project = runnableProject(user);
  root = makeTemporaryFolder(user, 'reference-');
  cluster = new TinyCluster(join(root, 'cluster'), user, 7710470678863553953n);
  repo = join(root, 'sound');
  sound = repo;
  expect(await run(project.command, 'stanza-create')).toMatchObject({ code: 0 });
  for (const type of ['full', 'diff', 'incr', 'full']) {
    cluster.write('pg_hba.conf', `# before ${type} ${++count}\n`);
    expect(await run(project.command, 'backup', `--type=${type}`)).toMatchObject({ code: 0 });
    await new Promise(resolve => setTimeout(resolve, 1100));
  }
  [full = '', diff = '', incr = '', other = ''] = labels();
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
  project.remove();
});
beforeEach(() => {
  repo = join(root, `repo-${++count}`);
  execFileSync('cp', ['-a', sound, repo]);
});

/** Copies the repository as it is now for the real tool, and lets both work. */
async function bothTools(command: string, ...args: readonly string[]): Promise<RunResult[]> {
  const place = repo;
  const results: RunResult[] = [];
  for (const tool of [project.command, ...(judge === undefined ? [] : [[judge.path]])]) {
    repo = `${place}-${results.length}`;
    execFileSync('cp', ['-a', place, repo]);
    results.push(await run(tool, command, ...args));
  }
  repo = `${place}-0`;
  return results;
}
const remove = (name: string): void => rmSync(join(repo, 'backup/demo', name), { recursive: true });
const restore = (label: string): readonly [string, ...string[]] => {
  const target = join(root, `target-${++count}`);
  return ['restore', `--pg1-path=${target}`, '--type=none', `--set=${label}`, `--tablespace-map-all=${target}-ts`];
};

describe('the directory of a full backup is gone', () => {
  beforeEach(() => remove(full));

  it('what refers to it cannot be restored, and the file is named', async () => {
    for (const label of [diff, incr]) {
      const [command, ...args] = restore(label);
      const result = await run(project.command, command, ...args);
      expect(result.stdout).toMatch(new RegExp(`unable to open missing file '.*${full}/pg_data/`));
      expect(result.code).toBe(55);
      expect(existsSync(join(args[0]?.slice('--pg1-path='.length) ?? '', 'global/pg_control'))).toBe(false);
    }
    const [command, ...args] = restore(other);
    expect(await run(project.command, command, ...args)).toMatchObject({ code: 0 });
  });

  it('verify says which files are missing', async () => {
    const result = await run(project.command, 'verify', '--output=text');
    expect(result.stdout).toMatch(new RegExp(`backup: ${diff}, status: invalid`));
    expect(result.stdout).toMatch(new RegExp(`backup: ${incr}, status: invalid`));
    expect(result.stdout).not.toMatch(new RegExp(`backup: ${other}, status: invalid`));
  });

  it.each([
    ['backup', ['--type=full']],
    ['expire', []],
  ])('the next %s takes those that refer to it off the list', async (command, args) => {
    for (const result of await bothTools(command, ...args)) {
      expect(result.code, result.stdout).toBe(0);
      // 2.45 warns on stderr
      expect(result.stdout + result.stderr).toContain(
        `WARN: backup '${full}' missing manifest removed from backup.info`,
      );
    }
    expect((await listed()).filter(label => [full, diff, incr].includes(label))).toEqual([]);
    expect(await listed()).toContain(other);
  });
});

it('the prior of a diff is gone: it begins a set of its own', async () => {
  remove(other);
  remove(full);
  for (const result of await bothTools('backup', '--type=diff')) {
    expect(result.code, result.stdout).toBe(0);
    expect(result.stdout + result.stderr).toContain(
      'WARN: no prior backup exists, diff backup has been changed to full',
    );
  }
  expect(await listed()).toHaveLength(1);
});

it('the manifest is gone: its copy is enough; with both gone there is no restore', async () => {
  for (const [name, code] of [
    ['backup.manifest', 0],
    ['backup.manifest.copy', 55],
  ] as const) {
    rmSync(join(repo, 'backup/demo', other, name));
    const [command, ...args] = restore(other);
    expect((await run(project.command, command, ...args)).code).toBe(code);
  }
});

it('one file of it is gone: a restore names it, and the next incr does not hide it', async () => {
  const stored = join(repo, 'backup/demo', other, 'pg_data/base/5/1259.gz');
  const bytes = readFileSync(stored);
  rmSync(stored);
  cluster.write('pg_hba.conf', `# after ${++count}\n`);
  expect(await run(project.command, 'backup', '--type=incr')).toMatchObject({ code: 0 });
  const made = labels().at(-1) ?? '';
  const [command, ...args] = restore(made);
  const result = await run(project.command, command, ...args);
  expect(result.stdout).toContain(`${other}/pg_data/base/5/1259.gz'`);
  expect(result.code).toBe(55);
  writeFileSync(stored, bytes);
  giveTo(user, stored);
  expect(await run(project.command, command, ...args, '--delta')).toMatchObject({ code: 0 });
});
