import { describe, expect, test } from 'vitest';
import { failure, loadFrom, run, settings, summary } from './given.ts';

const base = ['--stanza=demo', '--pg1-path=/pg'];

describe('values that are refused', () => {
  const cases: [args: string[], error: string][] = [
    [['backup', '--archive-timeout=1.5'], "[032] '1.5' is not valid for 'archive-timeout' option"],
    [['backup', '--archive-timeout=10ms'], "[032] '10ms' is out of range for 'archive-timeout' option"],
    [['backup', '--archive-timeout=2d'], "[032] '2d' is out of range for 'archive-timeout' option"],
    [['backup', '--process-max=0'], "[032] '0' is out of range for 'process-max' option"],
    [['backup', '--process-max=1000'], "[032] '1000' is out of range for 'process-max' option"],
    [['backup', '--process-max=x'], "[032] 'x' is not valid for 'process-max' option"],
    [['backup', '--process-max='], "[032] '' is not valid for 'process-max' option"],
    [['backup', '--compress-type=foo'], "[032] 'foo' is not allowed for 'compress-type' option"],
    [['backup', '--type=time'], "[032] 'time' is not allowed for 'type' option"],
    [['restore', '--type=full'], "[032] 'full' is not allowed for 'type' option"],
    [['backup', '--buffer-size=3MiB'], "[032] '3MiB' is not allowed for 'buffer-size' option"],
    [['backup', '--buffer-size=x'], "[032] 'x' is not valid for 'buffer-size' option"],
    [
      ['backup', '--compress-level=10'],
      "[032] '10' is out of range for 'compress-level' option when 'compress-type' option = 'gz'",
    ],
    [
      ['backup', '--compress-type=bz2', '--compress-level=0'],
      "[032] '0' is out of range for 'compress-level' option when 'compress-type' option = 'bz2'",
    ],
    [['backup', '--log-path=abc'], "[032] 'abc' must begin with / for 'log-path' option"],
    [['backup', '--log-path=/a//b'], "[032] '/a//b' cannot contain // for 'log-path' option"],
    [['backup', '--log-path='], "[032] '' must be >= 1 character for 'log-path' option"],
    [['backup', '--repo1-host='], "[032] '' must be >= 1 character for 'repo1-host' option"],
    [['backup', '--annotation=a'], "[031] key/value 'a' not valid for 'annotation' option"],
    [['backup', '--repo=2'], "[032] key '2' is not valid for 'repo' option"],
    [['backup', '--repo=257'], "[032] '257' is out of range for 'repo' option"],
    [['backup', '--repo1-retention-full=0'], "[032] '0' is out of range for 'repo1-retention-full' option"],
    [['backup', '--tablespace-map-all=/x'], "[031] option 'tablespace-map-all' not valid for command 'backup'"],
    [['info', '--pg2-path=/x'], "[031] option 'pg-path' not valid for command 'info'"],
    [['archive-push', '--repo=1', 'x'], "[031] option 'repo' not valid for command 'archive-push'"],
  ];
  test.each(cases)('%j', (args, error) => {
    const needed = args[0] === 'info' ? ['--stanza=demo'] : base;
    const found = failure(() => loadFrom({ args: [...needed, ...args] }));
    expect([summary(found), found.stage]).toEqual([error, 'validate']);
  });

  test('a hint tells what is allowed', () => {
    expect(failure(() => loadFrom({ args: [...base, 'backup', '--compress-type=x'] })).hints).toEqual([
      "allowed values are 'none', 'bz2', 'gz', 'lz4', 'zst'",
    ]);
    expect(failure(() => loadFrom({ args: [...base, 'backup', '--process-max=0'] })).hints.join()).toMatch(/1.*999/);
  });

  test('a secret is not repeated', () => {
    const file = '[global]\nrepo1-type=azure\nrepo1-azure-account=\nrepo1-azure-account=hunter2\n';
    expect(failure(() => loadFrom({ file, args: [...base, 'backup'] })).text).not.toContain('hunter2');
  });
});

describe('values that are taken', () => {
  const cases: [args: string[], name: string, value: unknown][] = [
    [['--log-path=/a/'], 'log-path', '/a'],
    [['--log-path=/'], 'log-path', '/'],
    [['--archive-timeout=2'], 'archive-timeout', 2000],
    [['--archive-timeout=1d'], 'archive-timeout', 86_400_000],
    [['--buffer-size=2097152'], 'buffer-size', 2 * 1024 ** 2],
    [['--manifest-save-threshold=1TB'], 'manifest-save-threshold', 1024 ** 4],
    [['--compress-level=-1'], 'compress-level', -1],
    [['--compress-type=zst'], 'compress-level', 3],
    [['--compress-type=zst', '--compress-level=22'], 'compress-level', 22],
    [['--compress-type=none'], 'compress-level', 0],
    [['--process-max=999'], 'process-max', 999],
    [[], 'cmd', '/usr/bin/pgbackrest'],
    [['--cmd=/x'], 'cmd', '/x'],
    [['--no-config'], 'config', undefined],
    [[], 'checksum-page', undefined],
    [['--no-checksum-page'], 'checksum-page', false],
    [['--no-online'], 'archive-check', false],
    [['--no-archive-check'], 'archive-copy', false],
    [['--no-archive-check'], 'archive-mode-check', false],
    [[], 'type', 'incr'],
  ];
  test.each(cases)('%j %s', (args, name, value) => {
    const all = args.includes('--no-config') ? [] : args;
    expect((settings({ args: [...base, ...all, 'backup'] }).values as Record<string, unknown>)[name]).toEqual(value);
  });
});

describe('dependencies', () => {
  const broken: [args: string[], error: string][] = [
    [
      ['restore', '--target=x'],
      "[031] option 'target' not valid without option 'type' in ('lsn', 'name', 'time', 'xid')",
    ],
    [
      ['restore', '--type=preserve', '--recovery-option=a=b'],
      "[031] option 'recovery-option' not valid without option 'type' in ('default', 'immediate', 'lsn', 'name', 'time', 'standby', 'xid')",
    ],
    [['backup', '--force'], "[031] option 'force' not valid without option 'no-online'"],
    [['backup', '--repo1-block'], "[031] option 'repo1-block' not valid without option 'repo1-bundle'"],
    [
      ['backup', '--repo1-bundle', '--repo1-hardlink'],
      "[031] option 'repo1-hardlink' not valid without option 'no-repo1-bundle'",
    ],
    [['backup', '--repo2-s3-bucket=b'], "[031] option 'repo2-s3-bucket' not valid without option 'repo2-type' = 's3'"],
    [['backup', '--repo1-host-port=1'], "[031] option 'repo1-host-port' not valid without option 'repo1-host-type'"],
    [['archive-push', 'x', '--spool-path=/s'], "[031] option 'spool-path' not valid without option 'archive-async'"],
    [
      ['backup', '--compress-type=none', '--compress-level=1'],
      "[031] option 'compress-level' not valid without option 'compress-type' in ('bz2', 'gz', 'lz4', 'zst')",
    ],
  ];
  test.each(broken)('%j', (args, error) => {
    const needed = args[0] === 'archive-push' ? ['--stanza=demo'] : base;
    expect(summary(failure(() => loadFrom({ args: [...needed, ...args] })))).toBe(error);
  });

  test('hold for each index on its own', () => {
    const { repos } = settings({
      args: [...base, '--repo1-bundle', '--repo1-bundle-size=2MiB', '--repo2-path=/2', 'backup'],
    });
    expect(repos.map(repo => repo.values['bundle-size'])).toEqual([2 * 1024 ** 2, undefined]);
  });

  test('an info set needs a stanza', () => {
    const error = failure(() => loadFrom({ args: ['info', '--set=x'] }));
    expect(summary(error)).toBe("[031] option 'set' not valid without option 'stanza'");
  });
});

describe('required options', () => {
  const cases: [args: string[], error: string, hints: string[]][] = [
    [['backup'], '[037] backup command requires option: stanza', []],
    [['backup', '--stanza=x'], '[037] backup command requires option: pg1-path', ['does this stanza exist?']],
    [['annotate', '--stanza=x', '--set=y'], '[037] annotate command requires option: annotation', []],
    [['annotate', '--stanza=x', '--annotation=a=b'], '[037] annotate command requires option: set', []],
    [['info', '--repo1-cipher-type=aes-256-cbc'], '[037] info command requires option: repo1-cipher-pass', []],
    [['info', '--repo3-type=s3'], '[037] info command requires option: repo3-s3-bucket', []],
    [
      ['info', '--repo1-type=s3', '--repo1-s3-key-type=auto'],
      '[037] info command requires option: repo1-s3-bucket',
      [],
    ],
    [['restore', ...base, '--type=time'], '[037] restore command requires option: target', []],
  ];
  test.each(cases)('%j', (args, error, hints) => {
    const found = failure(() => loadFrom({ args }));
    expect([summary(found), found.hints, found.stage]).toEqual([error, hints, 'validate']);
  });

  test('some commands go without', () => {
    for (const args of [['info'], ['check'], ['start'], ['stop'], ['repo-ls'], ['archive-push', '--stanza=x', 'y']]) {
      expect(run({ args }).settings.command).toBe(args[0]);
    }
  });
});

describe('indexes', () => {
  const keys = (...args: string[]) => {
    const s = settings({ args: [...base, ...args, 'backup'] });
    return [s.repos.map(repo => repo.key), s.clusters.map(cluster => cluster.key)];
  };
  const cases: [args: string[], found: number[][]][] = [
    [[], [[1], [1]]],
    [['--repo2-path=/2'], [[2], [1]]],
    [
      ['--repo10-path=/10', '--repo2-path=/2'],
      [[2, 10], [1]],
    ],
    [
      ['--pg3-path=/3', '--pg2-path=/2'],
      [[1], [1, 2, 3]],
    ],
    [
      ['--repo2-path=/2', '--reset-repo1-path'],
      [[2], [1]],
    ],
  ];
  test.each(cases)('%j', (args, found) => expect(keys(...args)).toEqual(found));

  test('an index with nothing but failed dependencies is not there', () => {
    const repos = (file: string) => settings({ file, args: [...base, 'backup'] }).repos.map(repo => repo.key);
    expect(repos('[global]\nrepo1-path=/1\nrepo2-s3-bucket=b\n')).toEqual([1]);
    expect(repos('[global]\nrepo2-s3-bucket=b\n')).toEqual([1]);
    expect(repos('[global]\nrepo2-s3-bucket=b\nrepo3-s3-bucket=b\n')).toEqual([1]);
    expect(repos('[global]\nrepo2-path=/2\nrepo3-s3-bucket=b\n')).toEqual([2]);
  });

  test('pg1 must have its path when another cluster has', () => {
    const error = failure(() => loadFrom({ args: ['--stanza=demo', '--pg2-path=/2', 'backup'] }));
    expect(summary(error)).toBe('[037] backup command requires option: pg1-path');
  });

  test('a command without cluster options has no clusters', () => {
    expect(settings({ args: ['info'] }).clusters).toEqual([]);
    expect(settings({ args: ['start'] }).repos).toEqual([]);
  });
});
