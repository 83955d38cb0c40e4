import { describe, expect, test } from 'vitest';
import {
  deriveSettings,
  formatOptions,
  formatParams,
  processArguments,
  restoreCommandOptions,
  settingsFromPlain,
  settingsToPlain,
} from '../../src/config/index.ts';
import { settings } from './given.ts';

describe('the options of command begin', () => {
  test('tell no password that is in the value of another option', () => {
    const s = settings({
      file: '[demo]\npg1-path=/p1\n',
      args: ['restore', '--stanza=demo', "--recovery-option=primary_conninfo=host=a password='two words' port=1"],
    });
    const text = formatOptions(s, '1-ab');
    expect(text).toContain('password=<redacted> port=1');
    expect(text).not.toMatch(/two|words/);
  });

  test('come alphabetically, then by index, from all sources', () => {
    const file =
      '[global]\nrepo1-path=/1\nrepo2-path=/2\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\nrepo1-storage-verify-tls=n\nstart-fast=n\n[demo]\npg2-path=/p2\npg1-port=5433\npg1-path=/p1/\n';
    const s = settings({
      file,
      environment: { PGBACKREST_PROCESS_MAX: '2' },
      args: [
        'backup',
        '--stanza=demo',
        '--annotation=zz=a b',
        '--annotation=b=1',
        '--exclude=x',
        '--exclude=a b',
        '--no-resume',
        '--delta=y',
        '--reset-compress-type',
      ],
    });
    expect(
      formatOptions(s, '1-ab')
        .replace(/--config=\S+/, '--config=C')
        .split(' --')
        .slice(1),
    ).toEqual([
      'annotation="zz=a b"',
      'annotation=b=1',
      'reset-compress-type',
      'config=C',
      'delta',
      'exclude=x',
      'exclude="a b"',
      'exec-id=1-ab',
      'pg1-path=/p1/',
      'pg2-path=/p2',
      'pg1-port=5433',
      'process-max=2',
      'repo1-cipher-pass=<redacted>',
      'repo1-cipher-type=aes-256-cbc',
      'repo1-path=/1',
      'repo2-path=/2',
      'no-repo1-storage-verify-tls',
      'no-resume',
      'stanza=demo',
      'no-start-fast',
    ]);
  });

  test('leave out what a check adjusted', () => {
    const s = settings({ args: ['backup', '--stanza=demo', '--pg1-path=/pg', '--no-compress', '--db-timeout=1h'] });
    expect(formatOptions(s, 'x')).toBe(
      ' --no-compress --no-config --db-timeout=1h --exec-id=x --pg1-path=/pg --stanza=demo',
    );
  });

  test('follow the parameters', () => {
    const s = settings({ args: ['archive-push', '--stanza=demo', 'pg_wal/x', 'a b'] });
    expect(formatParams(s)).toBe(' [pg_wal/x, "a b"]');
    expect(formatParams(settings({ args: ['info'] }))).toBe('');
  });
});

describe('the options of restore_command', () => {
  const file = '[global]\nrepo1-path=/1\nlog-level-console=info\n[demo]\npg1-path=/pg\n';
  const options = (remap: Parameters<typeof restoreCommandOptions>[1], ...args: string[]) =>
    restoreCommandOptions(settings({ file, args: ['restore', '--stanza=demo', ...args] }), remap).map(option =>
      option.replace(/^--config=.*/, '--config=C'),
    );

  test('are what the command line gave and archive-get accepts', () => {
    expect(
      options(
        {},
        '--delta',
        '--process-max=4',
        '--log-level-console=off',
        '--log-path=/log dir',
        '--cmd=/x',
        '--repo1-type=posix',
        '--job-retry=1',
        '--exec-id=1',
        '--no-neutral-umask',
        '--reset-buffer-size',
      ),
    ).toEqual([
      '--reset-buffer-size',
      '--config=C',
      '--log-path="/log dir"',
      '--no-neutral-umask',
      '--repo1-type=posix',
      '--stanza=demo',
    ]);
  });

  test('take another path and repository', () => {
    expect(options({ pgPath: '/new path', repoKey: 1 })).toEqual([
      '--config=C',
      '--pg1-path="/new path"',
      '--repo=1',
      '--stanza=demo',
    ]);
  });
});

describe('settings of other processes and commands', () => {
  test('a process gets all that is no default, and no secret', () => {
    const file = '[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\narchive-async=y\nspool-path=/s\n';
    const s = settings({ file, args: ['archive-push', '--stanza=demo', '--pg1-path=/a b', 'x'] });
    const args = processArguments(s, {
      command: 'archive-push',
      role: 'async',
      replace: new Map([
        ['log-level-console', 'off'],
        ['config', undefined],
      ]),
    });
    expect(args).toEqual([
      '--archive-async',
      '--log-level-console=off',
      '--pg1-path=/a b',
      '--spool-path=/s',
      '--stanza=demo',
      'archive-push:async',
    ]);
  });

  test('expire inside backup keeps what both have', () => {
    const file = '[global]\nrepo2-path=/2\nrepo2-retention-full=3\nprocess-max=4\n[global:expire]\nlog-path=/e\n';
    const s = settings({
      file,
      args: ['backup', '--stanza=demo', '--pg1-path=/pg', '--type=full', '--repo=2', '--delta'],
    });
    const expire = deriveSettings(s, 'expire');
    expect(expire.command).toBe('expire');
    expect(expire.values).toMatchObject({ stanza: 'demo', repo: 2, oldest: false, 'dry-run': false });
    expect(expire.values.set).toBeUndefined();
    expect(expire.values['log-path']).toBe('/var/log/pgbackrest');
    expect(expire.values).not.toHaveProperty('type');
    expect(expire.repos.map(repo => [repo.key, repo.values.path, repo.values['retention-archive']])).toEqual([
      [2, '/2', 3],
    ]);
    expect(formatOptions(expire, 'x').replace(/--config=\S+ /, '')).toBe(
      ' --exec-id=x --repo=2 --repo2-path=/2 --repo2-retention-full=3 --stanza=demo',
    );
  });

  test('a thread gets the same settings', () => {
    const s = settings({ args: ['backup', '--stanza=demo', '--pg1-path=/pg', '--annotation=a=b', '--exclude=x'] });
    const there = settingsFromPlain(structuredClone(settingsToPlain(s)));
    expect(there.values).toEqual(s.values);
    expect(there.repos).toEqual(s.repos);
    expect(there.clusters).toEqual(s.clusters);
    expect(there.source('annotation')).toBe('argument');
    expect(formatOptions(there, 'x')).toBe(formatOptions(s, 'x'));
  });
});
