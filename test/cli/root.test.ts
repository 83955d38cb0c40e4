/** Root runs a command only with leave, as files that it makes are in the way of the user whose work it is. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CommandName, commandNames } from '../../src/config/command.ts';

/** What a command cannot do without. */
const words: Readonly<Partial<Record<CommandName, readonly string[]>>> = {
  annotate: ['--set=20260101-000000F', '--annotation=a=b'],
  'archive-get': ['000000010000000000000001', 'x'],
  'archive-push': ['x'],
  'repo-get': ['x'],
  'repo-put': ['x'],
  'repo-rm': ['x'],
  server: ['auth=a=b', 'ca-file=/x', 'cert-file=/x', 'key-file=/x'].map(word => `--tls-server-${word}`),
};

describe.skipIf(process.geteuid?.() !== 0)('as root', () => {
  let root: string;
  let config: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'as-root-'));
    config = join(root, 'pgbackrest.conf');
    const places = ['repo1', 'log', 'lock', 'spool'].map(name => `${name}-path=${root}/made/${name}\n`).join('');
    writeFileSync(config, `[global]\n${places}repo1-retention-full=1\n[demo]\npg1-path=${root}/pg\n`);
    mkdirSync(join(root, 'pg'));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  function run(command: string, args: readonly string[] = []): { status: number | null; stdout: string } {
    const stanza = /^server/.test(command) ? [] : ['--stanza=demo'];
    return spawnSync(process.execPath, ['bin/pgbackstop.cjs', `--config=${config}`, ...stanza, command, ...args], {
      env: { PATH: process.env.PATH, HOME: root },
      encoding: 'utf8',
    });
  }

  const others = commandNames.filter(name => !['help', 'version', 'restore'].includes(name));
  test.each<readonly [string, readonly string[]]>([
    ...others.map(name => [name, words[name] ?? []] as const),
    ['archive-push:async', []] as const,
    ['restore', ['--no-allow-root']] as const,
  ])('%s is refused, before anything is made', (command, args) => {
    const { status, stdout } = run(command, args);
    expect(status).toBe(31);
    expect(stdout).toMatch(
      /ERROR: \[031\]: the '[a-z-]+' command must not be run as the root user\n *HINT: .*allow-root=y/,
    );
    expect(existsSync(join(root, 'made'))).toBe(false);
  });

  test('with leave a command runs', () => {
    expect(run('info', ['--allow-root']).status).toBe(0);
  });

  test('restore runs: it gives files to whom they belong', () => {
    expect(run('restore', [`--pg1-path=${root}/pg`]).status).not.toBe(31);
  });

  test('help and version are for everybody', () => {
    for (const words of [['version'], ['help'], ['help', 'backup', '--no-config']]) {
      const { status } = spawnSync(process.execPath, ['bin/pgbackstop.cjs', ...words], { encoding: 'utf8' });
      expect(status).toBe(0);
    }
  });
});
