import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findPostgres, removeCopiedPostgres } from './pg-binaries.ts';
import { canReach, giveTo, runAs, runAsOrThrow, unprivilegedUser } from './unprivileged.ts';
import { projectRoot, runnableProject } from './unprivileged-project.ts';

const user = unprivilegedUser();
const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-unprivileged-'));
const isRoot = process.getuid?.() === 0;
afterAll(() => rmSync(folder, { recursive: true }));

describe('programs of the unprivileged user', () => {
  test('are not root', async () => {
    expect(user.uid).not.toBe(0);
    expect((await runAs(user, ['id', '-u'])).stdout.trim()).toBe(String(user.uid));
    expect((await runAs(user, ['id', '-G'])).stdout.split(/\s/)).not.toContain('0');
  });

  test('say how they ended', async () => {
    const sh = (script: string, input?: string) =>
      runAs(user, ['sh', '-c', script], { ...(input === undefined ? {} : { input }), env: { WORD: 'w' } });
    expect(await sh('echo out $WORD; echo err >&2; exit 3')).toEqual({
      code: 3,
      signal: undefined,
      stdout: 'out w\n',
      stderr: 'err\n',
    });
    expect(await sh('kill -TERM $$')).toMatchObject({ code: undefined, signal: 'SIGTERM' });
    expect((await sh('cat', 'x'.repeat(300_000))).stdout).toHaveLength(300_000);
    expect((await sh('exit 0', 'x'.repeat(300_000))).code).toBe(0);
    await expect(runAs(user, ['/nonexistent'])).rejects.toThrow(/ENOENT/);
    await expect(runAsOrThrow(user, ['sh', '-c', 'echo why >&2; exit 2'])).rejects.toThrow(/ended with 2\n+why/);
  });

  test('are killed when they take too long', async () => {
    expect(await runAs(user, ['sleep', '60'], { timeout: 200 })).toMatchObject({ signal: 'SIGKILL' });
  });

  test('do not see the libpq settings of the developer', async () => {
    process.env.PGHOST = 'production';
    try {
      expect((await runAs(user, ['env'], { env: { PGPORT: '1' } })).stdout).not.toContain('PGHOST');
      expect((await runAs(user, ['env'], { env: { PGPORT: '1' } })).stdout).toContain('PGPORT=1');
    } finally {
      delete process.env.PGHOST;
    }
  });
});

describe.runIf(isRoot)('what the user cannot reach', () => {
  test('is told apart', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(canReach(user, join(folder, 'file'))).toBe(false);
    const own = mkdtempSync(join(tmpdir(), 'pgbackstop-unprivileged-'));
    giveTo(user, own);
    expect(canReach(user, own)).toBe(true);
    rmSync(own, { recursive: true });
  });

  test('is copied: PostgreSQL', { timeout: 60_000 }, async () => {
    const npm = (await findPostgres(user)).find(({ origin }) => origin === 'npm');
    if (npm === undefined) throw new Error('npm install has brought no PostgreSQL');
    cpSync(realpathSync(dirname(npm.bin)), join(folder, 'pg'), { recursive: true, verbatimSymlinks: true });
    process.env.PGBACKSTOP_TEST_POSTGRES = join(folder, 'pg');
    try {
      const found = (await findPostgres(user)).find(({ origin }) => origin === 'named');
      expect(found?.version).toBe(npm.version);
      expect(found?.bin).not.toContain(folder);
      expect((await runAs(user, [join(found?.bin ?? '', 'initdb'), '--version'])).code).toBe(0);
      expect((await findPostgres(user)).find(({ origin }) => origin === 'named')?.bin).toBe(found?.bin);
      removeCopiedPostgres(found);
      expect(existsSync(found?.bin ?? '')).toBe(false);
    } finally {
      delete process.env.PGBACKSTOP_TEST_POSTGRES;
    }
  });
});

test('a wrong name for an installation is an error', async () => {
  process.env.PGBACKSTOP_TEST_POSTGRES = folder;
  try {
    await expect(findPostgres(user)).rejects.toThrow(/there is no .*initdb/);
  } finally {
    delete process.env.PGBACKSTOP_TEST_POSTGRES;
  }
});

describe('our own tool', () => {
  const built = existsSync(join(projectRoot(), 'dist', 'main.cjs'));
  test.runIf(built)('runs as the user', { timeout: 60_000 }, async () => {
    const project = runnableProject(user);
    try {
      const result = await runAs(user, [...project.command, 'version']);
      expect(result.stderr).toBe('');
      expect(result.stdout).toContain('2.59.1');
    } finally {
      project.remove();
    }
  });
});
