import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { load } from '../../src/config/index.ts';
import { directory, failure, file, loadFrom, program, run, settings, summary } from './given.ts';

const base = ['--stanza=demo', '--pg1-path=/pg'];

describe('precedence', () => {
  const all = '[global]\nX\n[global:backup]\nX\n[demo]\nX\n[demo:backup]\nX\n';
  const levels = (n: number): string => {
    let at = 0;
    return all.replace(/X/g, () => (++at <= n ? `process-max=${at}` : '#'));
  };
  const cases: [
    name: string,
    value: number,
    source: string,
    content: string,
    env: NodeJS.ProcessEnv,
    args: string[],
  ][] = [
    ['default', 1, 'default', '[global]\n', {}, []],
    ['global', 1, 'file', levels(1), {}, []],
    ['global:command', 2, 'file', levels(2), {}, []],
    ['stanza', 3, 'file', levels(3), {}, []],
    ['stanza:command', 4, 'file', levels(4), {}, []],
    ['environment', 5, 'environment', levels(4), { PGBACKREST_PROCESS_MAX: '5' }, []],
    ['command line', 6, 'argument', levels(4), { PGBACKREST_PROCESS_MAX: '5' }, ['--process-max=6']],
    ['reset', 1, 'default', levels(4), { PGBACKREST_PROCESS_MAX: '5' }, ['--reset-process-max']],
  ];
  test.each(cases)('%s', (_name, value, source, content, environment, args) => {
    const s = settings({ file: content, environment, args: [...base, ...args, 'backup'] });
    expect(s.values['process-max']).toBe(value);
    expect(s.source('process-max')).toBe(source);
    expect(s.optionIsSet('process-max')).toBe(source !== 'default');
  });

  test('sections of another command or stanza do not count', () => {
    const content = '[global:restore]\nprocess-max=7\n[other]\nprocess-max=8\n[other:backup]\nprocess-max=9\n';
    expect(settings({ file: content, args: [...base, 'backup'] }).values['process-max']).toBe(1);
  });

  test('the default of a command goes before the general one', () => {
    expect(settings({ args: [...base, 'archive-push', 'x'] }).values['job-retry']).toBe(1);
    expect(settings({ args: [...base, 'backup'] }).values['job-retry']).toBe(2);
    expect(settings({ args: [...base, 'restore'] }).values['allow-root']).toBe(true);
    expect(settings({ args: [...base, 'backup'] }).values['allow-root']).toBe(false);
  });

  test('a list comes from one source as a whole', () => {
    const content = '[global]\nexclude=a\nexclude=b\n[demo]\nexclude=c\n';
    expect(settings({ file: content, args: [...base, 'backup'] }).values.exclude).toEqual(['c']);
  });
});

describe('environment', () => {
  test('carries options of all types', () => {
    const { values, repos } = settings({
      environment: {
        PGBACKREST_STANZA: 'demo',
        PGBACKREST_PG1_PATH: '/pg',
        PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc',
        PGBACKREST_REPO1_CIPHER_PASS: 'a:b c#d',
        PGBACKREST_EXCLUDE: 'a:b',
        PGBACKREST_ANNOTATION: 'k=1:l=2=3',
        PGBACKREST_DELTA: 'y',
        PGBACKREST_RESUME: 'n',
      },
      args: ['backup'],
    });
    expect(values).toMatchObject({
      stanza: 'demo',
      exclude: ['a', 'b'],
      annotation: new Map([
        ['k', '1'],
        ['l', '2=3'],
      ]),
      delta: true,
      resume: false,
    });
    expect(repos[0]?.values['cipher-pass']).toBe('a:b c#d');
  });

  test('names that mean nothing are told and ignored', () => {
    const { warnings } = run({
      environment: {
        PGBACKREST_NONSENSE: '1',
        PGBACKREST_NO_DELTA: 'y',
        PGBACKREST_RESET_DELTA: 'y',
        PGBACKREST_TABLESPACE_MAP: '',
        OTHER: '1',
      },
      args: [...base, 'backup'],
    });
    expect(warnings).toEqual([
      "environment contains invalid option 'nonsense'",
      "environment contains invalid negate option 'no-delta'",
      "environment contains invalid reset option 'reset-delta'",
    ]);
  });

  const broken: [environment: NodeJS.ProcessEnv, error: string][] = [
    [{ PGBACKREST_DELTA: '' }, "[032] environment variable 'delta' must have a value"],
    [{ PGBACKREST_DELTA: 'yes' }, "[032] environment boolean option 'delta' must be 'y' or 'n'"],
    [{ PGBACKREST_REPO_BUNDLE: 'y' }, "[031] option 'repo-bundle' requires an index"],
    [{ PGBACKREST_REPO999_PATH: '/x' }, "[031] option 'repo999-path' key must be between 1 and 256"],
    [{ PGBACKREST_ANNOTATION: 'a' }, "[031] key/value 'a' not valid for 'annotation' option"],
  ];
  test.each(broken)('%j', (environment, error) => {
    const found = failure(() => loadFrom({ environment, args: [...base, 'backup'] }));
    expect([summary(found), found.stage]).toEqual([error, 'validate']);
  });
});

describe('configuration file', () => {
  test('problems that are told and ignored', () => {
    const content = [
      '[global]',
      'nonsense=1',
      'no-delta=y',
      'reset-delta=y',
      'stanza=x',
      'pg1-path=/x',
      'tablespace-map-all=/for/restore',
      '[global:backup]',
      'tablespace-map-all=/x',
      '[demo]',
      'pg1-path=/pg',
    ].join('\n');
    expect(run({ file: content, args: ['--stanza=demo', 'backup'] }).warnings).toEqual([
      "configuration file contains option 'tablespace-map-all' invalid for section 'global:backup'",
      "configuration file contains invalid option 'nonsense'",
      "configuration file contains negate option 'no-delta'",
      "configuration file contains reset option 'reset-delta'",
      "configuration file contains command-line only option 'stanza'",
      "configuration file contains stanza-only option 'pg1-path' in global section 'global'",
    ]);
  });

  const broken: [content: string, error: string][] = [
    ['delta', '[029] key/value found outside of section at line 1: delta'],
    ['[global]\ndelta', "[029] missing '=' in key/value at line 2: delta"],
    ['[global]\ndelta=', "[032] section 'global', key 'delta' must have a value"],
    ['[global]\ndelta=1', "[032] boolean option 'delta' must be 'y' or 'n'"],
    ['[global]\nprocess-max=1\nprocess-max=2', "[031] option 'process-max' cannot be set multiple times"],
    [
      '[demo]\nrepo1-path=/a\nrepo-path=/b',
      "[031] configuration file contains duplicate options ('repo-path', 'repo1-path') in section '[demo]'",
    ],
    ['[global]\nrepo-bundle=y', "[031] option 'repo-bundle' requires an index"],
    ['[global]\nrepo999-path=/x', "[031] option 'repo999-path' key must be between 1 and 256"],
  ];
  test.each(broken)('%j', (content, error) => {
    const found = failure(() => loadFrom({ file: content, args: [...base, 'backup'] }));
    expect([summary(found), found.stage]).toEqual([error, 'validate']);
  });

  test('an error brings the warnings before it along', () => {
    const error = failure(() => loadFrom({ file: '[global]\nx=1\ndelta=1', args: [...base, 'backup'] }));
    expect(error).toMatchObject({ warnings: ["configuration file contains invalid option 'x'"] });
  });

  test('a secret is not repeated in an error', () => {
    for (const content of [
      'repo1-cipher-pass=hunter2',
      '[global]\nrepo1-cipher-pass hunter2',
      '[global]\nrepo1-cipher-pass\thunter2',
      '[global]\nrepo1-cipher-pass: hunter2',
      '[global]\nrepo1-cypher-passwd hunter2',
      '[global]\n-passphrase hunter2',
    ]) {
      const error = failure(() => loadFrom({ file: content, args: [...base, 'backup'] }));
      expect(error.kind).toBe('format');
      expect(error.text).not.toContain('hunter2');
    }
  });

  test('a secret is not repeated in a warning, where its name is none', () => {
    for (const line of ['repo1-cipher-pass: hunter2+/==', 'hunter2Az09bC==', '"repo1-cipher-pass": "hunter2="']) {
      const { warnings } = run({ file: `[global]\n${line}\n`, args: [...base, 'backup'] });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(/^configuration file contains invalid option '.*<redacted>'$/);
      expect(warnings[0]).not.toContain('hunter2');
    }
  });

  test('a secret in the name of a variable is not repeated in a warning', () => {
    const { warnings } = run({
      environment: { 'PGBACKREST_REPO1_CIPHER_PASS: hunter2+/': 'y' },
      args: [...base, 'backup'],
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^environment contains invalid option '.*<redacted>'$/);
    expect(warnings[0]).not.toContain('hunter2');
  });

  test('a passphrase survives to the letter', () => {
    const pass = 'x+y/z#1;2==';
    const content = `[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=${pass}\n`;
    expect(settings({ file: content, args: [...base, 'backup'] }).repos[0]?.values['cipher-pass']).toBe(pass);
  });

  test('old names work, negated old names on the command line too', () => {
    const content =
      '[demo]\ndb-path=/pg\ndb2-path=/pg2\nretention-full=3\nrepo1-s3-verify-ssl=n\nrepo-type=s3\nrepo-s3-bucket=b\nrepo-s3-endpoint=e\nrepo-s3-region=r\nrepo-s3-key=k\nrepo-s3-key-secret=s\nbackup-user=u\n';
    const s = settings({ file: content, args: ['--stanza=demo', 'check'] });
    expect(s.clusters.map(cluster => [cluster.key, cluster.values.path])).toEqual([
      [1, '/pg'],
      [2, '/pg2'],
    ]);
    expect(s.repos[0]?.values).toMatchObject({ type: 's3', 's3-bucket': 'b', 'storage-verify-tls': false });
    expect(settings({ file: content, args: ['--stanza=demo', 'expire'] }).repos[0]?.values['retention-full']).toBe(3);
  });

  test('options of a failed dependency are silent', () => {
    const content = '[global]\nrepo1-s3-bucket=b\nspool-path=/s\ncompress-level=3\ncompress-type=none\n';
    const { settings: s, warnings } = run({ file: content, args: [...base, 'archive-push', 'x'] });
    expect([s.values['spool-path'], s.values['compress-level'], warnings]).toEqual([undefined, 0, []]);
  });

  test('stanzas are named', () => {
    const content = '[b]\npg1-path=/b\n[global]\n[a:backup]\ndelta=y\n[global:expire]\n[b:backup]\n';
    expect(run({ file: content, args: [...base, 'backup'] }).stanzas).toEqual(['a', 'b']);
  });
});

describe('which files are read', () => {
  const root = directory();
  const one = file(join(root, 'a/pgbackrest.conf'), '[global]\nprocess-max=2\n');
  file(join(root, 'a/conf.d/10.conf'), '[global]\nlog-path=/ten');
  file(join(root, 'a/conf.d/20.conf'), '[demo]\npg1-path=/pg\n');
  file(join(root, 'a/conf.d/ignored.txt'), 'rubbish');
  file(join(root, 'only/conf.d/1.conf'), '[global]\nprocess-max=3\n[demo]\npg1-path=/pg\n');
  const read = (...args: string[]) => {
    const loaded = load([...args, '--stanza=demo', '--pg1-path=/pg', 'backup'], {}, program);
    if (loaded.kind !== 'run') throw new Error(loaded.kind);
    return [loaded.settings.values['process-max'], loaded.settings.values['log-path']];
  };

  const cases: [name: string, args: string[], found: unknown[]][] = [
    ['only the file', [`--config=${one}`], [2, '/var/log/pgbackrest']],
    ['a base directory', [`--config-path=${root}/a`], [2, '/ten']],
    ['file and include directory', [`--config=${one}`, `--config-include-path=${root}/a/conf.d`], [2, '/ten']],
    ['file and base directory', [`--config=${one}`, `--config-path=${root}/a`], [2, '/ten']],
    ['a base directory without main file', [`--config-path=${root}/only`], [3, '/var/log/pgbackrest']],
    ['a base directory with nothing', [`--config-path=${root}/none`], [1, '/var/log/pgbackrest']],
    ['no file', ['--no-config'], [1, '/var/log/pgbackrest']],
    ['no file but includes', ['--no-config', `--config-include-path=${root}/a/conf.d`], [1, '/ten']],
    ['no file but a base directory', ['--no-config', `--config-path=${root}/a`], [1, '/ten']],
  ];
  test.each(cases)('%s', (_name, args, found) => expect(read(...args)).toEqual(found));

  test('from the environment too', () => {
    const loaded = load(['--stanza=demo', 'backup'], { PGBACKREST_CONFIG_PATH: `${root}/a` }, program);
    expect(loaded).toMatchObject({ settings: { values: { 'process-max': 2, 'log-path': '/ten' } } });
  });

  const broken: [args: string[], error: string][] = [
    [[`--config=${root}/none`], `[055] unable to open missing file '${root}/none' for read`],
    [[`--config=${root}`], `[042] unable to read '${root}': [21] `],
    [
      [`--config-include-path=${root}/none`, '--no-config'],
      `[073] unable to list file info for missing path '${root}/none'`,
    ],
    [[`--config-include-path=${one}`, '--no-config'], `[053] unable to list file info for path '${one}': [20] `],
  ];
  test.each(broken)('%j', (args, error) => {
    const found = failure(() => load([...args, '--stanza=demo', 'backup'], {}, program));
    expect(summary(found).startsWith(error), summary(found)).toBe(true);
    expect(found.stage).toBe('validate');
  });

  test.skipIf(process.getuid?.() === 0)('an unreadable file', () => {
    const path = file(join(root, 'secret.conf'), '');
    chmodSync(path, 0);
    expect(summary(failure(() => load([`--config=${path}`, 'info'], {}, program)))).toMatch(
      /^\[041\] unable to open file/,
    );
  });

  test('a process of another role reports as for a bad command line', () => {
    const found = failure(() => load([`--config=${root}/none`, ...base, 'archive-push:async'], {}, program));
    expect(found.stage).toBe('syntax');
  });
});
