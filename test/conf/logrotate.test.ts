import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const sample = readFileSync(join(import.meta.dirname, '../../conf/logrotate/pgbackstop'), 'utf8');
// Debian has it where only root looks for programs
const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const present = spawnSync('logrotate', ['--version'], { env: environment }).status === 0;

describe.skipIf(!present)('logrotate', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'logrotate-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs it with the sample, whose logs are in the folder and belong to us. */
  const rotate = (...args: string[]) => {
    const { username } = userInfo();
    const group = spawnSync('id', ['-gn'], { encoding: 'utf8' }).stdout.trim();
    const text = sample
      .replace('/var/log/pgbackrest', folder)
      .replace('su postgres postgres', `su ${username} ${group}`);
    expect(text).not.toContain('postgres');
    const file = join(folder, 'sample.conf');
    writeFileSync(file, text, { mode: 0o644 });
    const { status, stderr } = spawnSync('logrotate', [...args, '--state', join(folder, 'state'), file], {
      encoding: 'utf8',
      env: environment,
    });
    return { status, stderr };
  };
  const logs = (): string[] =>
    readdirSync(folder)
      .filter(name => name.includes('.log'))
      .sort();

  test('understands the sample', () => {
    const { status, stderr } = rotate('--debug');
    expect(status).toBe(0);
    expect(stderr).not.toMatch(/error|unknown|warning: (?!logrotate in debug mode)/);
  });

  test('renames a log, and compresses it a turn later', () => {
    const log = join(folder, 'demo-backup.log');
    writeFileSync(log, 'first\n');
    expect(rotate('--force')).toEqual({ status: 0, stderr: '' });
    expect(logs()).toEqual(['demo-backup.log.1']);
    writeFileSync(log, 'second\n');
    expect(rotate('--force')).toEqual({ status: 0, stderr: '' });
    expect(logs()).toEqual(['demo-backup.log.1', 'demo-backup.log.2.gz']);
  });
});
