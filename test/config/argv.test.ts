import { describe, expect, test } from 'vitest';
import { load } from '../../src/config/index.ts';
import { failure, program, run, settings, summary } from './given.ts';

const base = ['--stanza=demo', '--pg1-path=/pg'];

describe('errors of syntax', () => {
  const cases: [args: string[], error: string][] = [
    [['-x'], "[031] option '-x' must begin with --"],
    [['-'], "[031] option '-' must begin with --"],
    [['--'], "[031] invalid option '--'"],
    [['--nonsense'], "[031] invalid option '--nonsense'"],
    [['--nonsense=1'], "[031] invalid option '--nonsense=1'"],
    [['--repo1-s3', 'backup'], "[031] invalid option '--repo1-s3'"],
    [['--pg-path=/a', 'backup'], "[031] option 'pg-path' requires an index"],
    [['--repo-bundle', 'backup'], "[031] option 'repo-bundle' requires an index"],
    [['--repo300-path=/a', 'backup'], "[031] option 'repo300-path' key must be between 1 and 256"],
    [['--repo0-path=/a', 'backup'], "[031] option 'repo0-path' key must be between 1 and 256"],
    [['--log1-path=/a', 'backup'], "[031] option 'log1-path' cannot have an index"],
    [['--1-path=/a', 'backup'], "[031] option '1-path' cannot begin with a number"],
    [['--no--path', 'backup'], "[031] option 'no--path' cannot begin with a dash"],
    [['--retention1-full=1', 'expire'], "[031] deprecated option 'retention1-full' cannot have an index"],
    [['--repo-s3-verify-tls', 'expire'], "[031] deprecated option 'repo-s3-verify-tls' requires an index"],
    [[`--${'x'.repeat(65)}`], `[031] option '${'x'.repeat(65)}' exceeds maximum size of 64`],
    [['--stanza'], "[031] option '--stanza' requires an argument"],
    [['--delta=yes'], "[032] boolean option '--delta' argument must be 'y' or 'n'"],
    [['--no-delta=y'], "[031] option 'no-delta' does not allow an argument"],
    [['--no-stanza'], "[031] option 'no-stanza' cannot be negated"],
    [['--no-force'], "[031] option 'no-force' cannot be negated"],
    [['--reset-stanza'], "[031] option 'reset-stanza' cannot be reset"],
    [['--reset-config'], "[031] option 'reset-config' cannot be reset"],
    [['--stanza=a', '--stanza=b'], "[031] option 'stanza' cannot be set multiple times"],
    [['--repo1-path=/a', '--repo-path=/b'], "[031] option 'repo1-path' cannot be set multiple times"],
    [['--delta', '--no-delta'], "[031] option 'delta' cannot be set and negated"],
    [['--delta', '--reset-delta'], "[031] option 'delta' cannot be set and reset"],
    [['--no-delta', '--reset-delta'], "[031] option 'delta' cannot be negated and reset"],
    [['--no-delta', '--no-delta'], "[031] option 'delta' is negated multiple times"],
    [['--reset-delta', '--reset-delta'], "[031] option 'delta' is reset multiple times"],
    [['--repo2-cipher-pass=x'], "[031] option 'repo2-cipher-pass' is not allowed on the command-line"],
    [['--repo1-s3-key-secret', 'x'], "[031] option 'repo1-s3-key-secret' is not allowed on the command-line"],
    [['bogus'], "[048] invalid command 'bogus'"],
    [['back'], "[048] invalid command 'back'"],
    [[''], "[048] invalid command ''"],
    [['backup:bogus'], "[048] invalid command role 'bogus'"],
    [['backup:async'], "[048] invalid command/role combination 'backup:async'"],
    [['help', 'backup:local'], "[048] help is not available for the 'local' role"],
    [['--stanza=demo'], '[030] no command found'],
    [['--version', '--output=num'], '[030] no command found'],
    [['backup', 'x'], '[096] command does not allow parameters'],
  ];
  test.each(cases)('%j', (args, error) => {
    const found = failure(() => load(args, {}, program));
    expect(summary(found)).toBe(error);
    expect(found.stage).toBe('syntax');
  });

  test('a secret is not repeated', () => {
    for (const argv of [
      ['--repo1-cipher-pass=hunter2', 'info'],
      ['--repo1-cypher-pass=hunter2', 'info'],
      ['--repo1-cipher-pass hunter2', 'info'],
      ['-repo1-cipher-pass=hunter2', 'info'],
      ['repo1-cipher-pass=hunter2', 'info'],
      ['--no-config', 'help', 'info', 'repo1-cipher-pass=hunter2'],
    ])
      expect(failure(() => load(argv, {}, program)).text).not.toContain('hunter2');
  });

  test('a missing index comes with the name to use', () => {
    expect(failure(() => load(['--pg-path=/a'], {}, program)).hints.join()).toContain('pg1-path');
    expect(failure(() => load(['--repo-s3-verify-tls'], {}, program)).hints.join()).toContain(
      'repo1-storage-verify-tls',
    );
  });
});

describe('ways to write an option', () => {
  const cases: [name: string, args: string[], check: (values: Record<string, unknown>) => unknown, value: unknown][] = [
    ['with equals sign', ['--process-max=4'], v => v['process-max'], 4],
    ['with a space', ['--process-max', '4'], v => v['process-max'], 4],
    ['the next argument even if it looks like an option', ['--cmd', '--x'], v => v.cmd, '--x'],
    ['a unique prefix', ['--process-m=4'], v => v['process-max'], 4],
    ['boolean', ['--delta'], v => v.delta, true],
    ['boolean y', ['--delta=y'], v => v.delta, true],
    ['boolean n', ['--delta=n'], v => v.delta, false],
    ['negated', ['--no-resume'], v => v.resume, false],
    ['like a boolean', ['--backup-standby'], v => v['backup-standby'], 'y'],
    ['like a boolean, negated', ['--no-backup-standby'], v => v['backup-standby'], 'n'],
    ['like a boolean, word', ['--backup-standby=prefer'], v => v['backup-standby'], 'prefer'],
    ['list', ['--exclude=a', '--exclude=b:c'], v => v.exclude, ['a', 'b:c']],
    [
      'map',
      ['--annotation=a=b=c', '--annotation=d='],
      v => v.annotation,
      new Map([
        ['a', 'b=c'],
        ['d', ''],
      ]),
    ],
    ['an equals sign in a value', ['--cmd=a=b'], v => v.cmd, 'a=b'],
  ];
  test.each(cases)('%s', (_name, args, check, value) => {
    expect(check(settings({ args: [...base, ...args, 'backup'] }).values)).toEqual(value);
  });

  const named: [args: string[], repo: number, option: string, value: unknown][] = [
    [['--repo-path=/a'], 0, 'path', '/a'],
    [['--repo-pa=/a'], 0, 'path', '/a'],
    [['--repo1-pa=/a'], 0, 'path', '/a'],
    [['--hardlink'], 0, 'hardlink', true],
    [['--no-hardlink'], 0, 'hardlink', false],
    [['--retention-full=3'], 0, 'retention-full', 3],
    [['--repo2-path=/b', '--repo1-path=/a'], 1, 'path', '/b'],
    [['--repo256-path=/c', '--repo1-path=/a'], 1, 'path', '/c'],
  ];
  test.each(named)('%j', (args, index, option, value) => {
    const { values = {} } = settings({ args: [...base, ...args, 'backup'] }).repos[index] ?? {};
    expect((values as Record<string, unknown>)[option]).toBe(value);
  });

  test('options may stand around command and parameters', () => {
    const { settings: s } = run({ args: ['archive-push', '--stanza', 'demo', 'a', '--process-max=2', 'b'] });
    expect([s.command, s.role, s.params]).toEqual(['archive-push', 'main', ['a', 'b']]);
  });

  test('a role follows the command', () => {
    const { settings: s } = run({ args: [...base, '--archive-async', 'archive-push:async', 'a'] });
    expect([s.command, s.role]).toEqual(['archive-push', 'async']);
  });

  test('a repeated key of a map is told, the last one counts', () => {
    const loaded = run({ args: [...base, '--annotation=a=1', '--annotation=a=2', 'backup'] });
    expect(loaded.settings.values.annotation).toEqual(new Map([['a', '2']]));
    expect(loaded.warnings).toEqual(["key 'a' value '1' is overwritten with '2' for 'annotation' option"]);
  });
});

describe('help and version', () => {
  const cases: [args: string[], loaded: unknown][] = [
    [[], { kind: 'help', request: { command: undefined } }],
    [['--help'], { kind: 'help', request: { command: undefined } }],
    [['help'], { kind: 'help', request: { command: undefined } }],
    [['help', '--version'], { kind: 'version', output: 'text' }],
    [['--version'], { kind: 'version', output: 'text' }],
    [['--version', '--help'], { kind: 'help', request: { command: undefined } }],
    [['version'], { kind: 'version', output: 'text' }],
    [['version', '--output=num'], { kind: 'version', output: 'num' }],
    [['help', 'help'], { kind: 'help', request: { command: 'help', option: undefined } }],
    [['help', 'version'], { kind: 'help', request: { command: 'version', option: undefined } }],
    [['--no-config', 'help', 'backup'], { kind: 'help', request: { command: 'backup', option: undefined } }],
    [['--no-config', 'help', 'backup', 'repo-path'], { kind: 'help', request: { option: 'repo-path' } }],
    [['--no-config', 'help', 'backup', 'repo2-path'], { kind: 'help', request: { option: 'repo-path' } }],
    [['--no-config', 'help', 'backup', 'pg-path'], { kind: 'help', request: { option: 'pg-path' } }],
    [['--no-config', 'help', 'backup', 'db-path'], { kind: 'help', request: { option: 'pg-path' } }],
  ];
  test.each(cases)('%j', (args, loaded) => expect(load(args, {}, program)).toMatchObject(loaded as object));

  test('version needs no valid environment', () => {
    expect(load(['version'], { PGBACKREST_PROCESS_MAX: 'x' }, program)).toMatchObject({ kind: 'version' });
  });

  const broken: [args: string[], error: string][] = [
    [['help', 'backup', 'nonsense'], "[031] option 'nonsense' is not valid for command 'backup'"],
    [['help', 'backup', 'tablespace-map'], "[031] option 'tablespace-map' is not valid for command 'backup'"],
    [['help', 'backup', 'repo-path', 'type'], '[096] only one option allowed for option help'],
    [['backup', '--help'], "[031] option 'help' not valid for command 'backup'"],
  ];
  test.each(broken)('%j', (args, error) => {
    const found = failure(() => load(['--no-config', ...args], {}, program));
    expect([summary(found), found.stage]).toEqual([error, 'validate']);
  });
});
