/** `info` of the built program, as a user who is not root. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expected, labels, layOutRepo } from '../command/info/fixture.ts';
import { type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let root: string;

beforeAll(() => {
  project = runnableProject(user);
  root = mkdtempSync(join(tmpdir(), 'info-'));
  layOutRepo(join(root, 'repo'));
  const { status } = spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, root]);
  expect(status).toBe(0);
});

afterAll(() => {
  rmSync(root, { recursive: true });
  project.remove();
});

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<RunResult> =>
  runAs(
    user,
    [...project.command, 'info', '--no-config', `--repo1-path=${root}/repo`, `--lock-path=${root}/lock`, ...args],
    {
      env: { TZ: 'UTC', ...env },
    },
  );

describe('the built program', () => {
  it('prints what the real tool printed, and nothing else', async () => {
    const result = (stdout: string) => ({ code: 0, signal: undefined, stdout, stderr: '' });
    expect(await run([])).toEqual(result(expected('info.txt')));
    expect(await run(['--output=json'])).toEqual(result(expected('info.json')));
    for (const label of labels) {
      expect(await run(['--stanza=demo', `--set=${label}`])).toEqual(result(expected(`info-${label}.txt`)));
    }
  });

  it('exits with 0 whatever the stanza is like', async () => {
    expect(await run(['--stanza=nope'])).toMatchObject({ code: 0 });
    const unreadable = await run(['--repo2-path=/proc/1/cwd/repo']);
    expect(unreadable).toMatchObject({ code: 0, stderr: '' });
    expect(unreadable.stdout).toMatch(/repo2: error \(other\)\n {15}\[PathOpenError\] /);
  });

  it('begins to log at debug level', async () => {
    const { stdout } = await run(['--log-level-console=debug', '--log-timestamp=n']);
    expect(stdout).toMatch(/^P00 {2}DEBUG: {5}.*info command begin /);
    expect((await run(['--log-level-console=info'])).stdout).toBe(expected('info.txt'));
  });

  it('loads no package: it must be quick', async () => {
    const hook = join(root, 'hook.cjs');
    const list = join(root, 'loaded');
    writeFileSync(list, '', { mode: 0o666 });
    writeFileSync(
      hook,
      `process.on('exit', () => require('node:fs').appendFileSync(${JSON.stringify(list)}, Object.keys(require.cache).join('\\n')));`,
    );
    spawnSync('chown', [`${user.uid}:${user.gid}`, hook, list]);
    await run([], { NODE_OPTIONS: `--require=${hook}` });
    const loaded = readFileSync(list, 'utf8').split('\n');
    expect(loaded.some(path => path.endsWith('main.cjs'))).toBe(true);
    expect(loaded.filter(path => path.includes('node_modules'))).toEqual([]);
  });
});
