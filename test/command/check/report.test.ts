import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatReport } from '../../../src/command/check/report.ts';
import { isFor, load } from '../../../src/config/index.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'report-'));
});

afterEach(() => rmSync(root, { recursive: true }));

function report(args: readonly string[], environment: NodeJS.ProcessEnv = {}): string {
  const loaded = load([...args, '--report', 'check'], environment, '/usr/bin/pgbackstop');
  if (loaded.kind !== 'run' || !isFor(loaded.settings, 'check')) throw new TypeError('not a check');
  return formatReport(loaded.settings, environment);
}

function config(text: string, name = 'config'): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

it('lists variables, sections and keys in order, each with what is written there', () => {
  const path = config(
    '[global]\nrepo1-path=/repo\nprocess-max=2\nexclude=a/b\nexclude=c:d\n[demo:backup]\ncompress-type=lz4\n[demo]\npg1-path=/pg\n',
  );
  const environment = { PGBACKREST_REPO1_RETENTION_FULL: '2', PGBACKREST_EXCLUDE: 'one:two', HOME: '/root' };
  expect(report([`--config=${path}`], environment)).toBe(
    '{"cfg":{"env":{"PGBACKREST_EXCLUDE":{"val":["one","two"]},"PGBACKREST_REPO1_RETENTION_FULL":{"val":"2"}},' +
      '"file":{"demo":{"pg1-path":{"val":"/pg"}},"demo:backup":{"compress-type":{"val":"lz4"}},' +
      '"global":{"exclude":{"val":["a/b","c:d"]},"process-max":{"val":"2"},"repo1-path":{"val":"/repo"}}}}}',
  );
});

it('without variables and files', () => {
  expect(report(['--no-config'])).toBe('{"cfg":{"env":{},"file":null}}');
});

it('one value of an option that repeats is a list too', () => {
  const path = config('[global]\nexclude=a:b\n');
  expect(report([`--config=${path}`], { PGBACKREST_RECOVERY_OPTION: 'a=b' })).toBe(
    '{"cfg":{"env":{"PGBACKREST_RECOVERY_OPTION":{"val":["a=b"]}},"file":{"global":{"exclude":{"val":["a:b"]}}}}}',
  );
});

it('finds the files by the environment, and joins those of conf.d', () => {
  mkdirSync(join(root, 'conf.d'));
  config('[demo]\npg1-path=/pg\n', 'pgbackrest.conf');
  config('[demo]\npg1-port=5433\n', join('conf.d', 'a.conf'));
  expect(JSON.parse(report([], { PGBACKREST_CONFIG_PATH: root })).cfg).toEqual({
    env: { PGBACKREST_CONFIG_PATH: { val: root } },
    file: { demo: { 'pg1-path': { val: '/pg' }, 'pg1-port': { val: '5433' } } },
  });
});

it('tells no secret, and nothing of the value of an option that it does not know', () => {
  const path = config(
    '[global]\nrepo1-cipher-pass=verysecret\nrepo1-chipher-pass=verysecret\n[demo]\nrepo-s3-key-secret=verysecret\n' +
      'repo1-s3-key-secret=verysecret\nrepo999-s3-key=verysecret\n',
  );
  const text = report([`--config=${path}`], {
    PGBACKREST_REPO2_CIPHER_PASS: 'verysecret',
    PGBACKREST_PASS: 'verysecret',
  });
  expect(text).not.toContain('verysecret');
  expect(JSON.parse(text).cfg).toEqual({
    env: { PGBACKREST_PASS: { warn: 'invalid option' }, PGBACKREST_REPO2_CIPHER_PASS: { val: '<repo2-cipher-pass>' } },
    file: {
      global: {
        'repo1-chipher-pass': { warn: 'invalid option' },
        'repo1-cipher-pass': { val: '<repo1-cipher-pass>' },
      },
      demo: {
        'repo-s3-key-secret': { val: '<repo-s3-key-secret>' },
        'repo1-s3-key-secret': { val: '<repo1-s3-key-secret>' },
        'repo999-s3-key': { warn: "option 'repo999-s3-key' key must be between 1 and 256" },
      },
    },
  });
});

it('tells no password that is in another value', () => {
  const path = config(
    '[global]\nrepo1-s3-endpoint=https://me:verysecret@host\nrecovery-option=primary_conninfo=host=a password=verysecret\n',
  );
  const text = report([`--config=${path}`], { PGBACKREST_REPO1_STORAGE_HOST: 'https://me:verysecret@host' });
  expect(text).toContain('host');
  expect(text).not.toContain('verysecret');
});

it('does not quote a name in which the secret is', () => {
  const path = config('[global]\nrepo1-cipher-pass: verysecret+/==\nvery5secretAz==\n');
  expect(JSON.parse(report([`--config=${path}`])).cfg.file.global).toEqual({
    'repo1-cipher-pass<redacted>': { warn: 'invalid option' },
    '<redacted>': { warn: 'invalid option' },
  });
});

it('says what does not count', () => {
  const path = config('[other]\nno-online=y\nreset-process-max=y\n[__proto__]\n__proto__=y\nonline=n\n');
  const { cfg } = JSON.parse(report([`--config=${path}`], { PGBACKREST_NO_ONLINE: 'y' }));
  expect(cfg.env).toEqual({ PGBACKREST_NO_ONLINE: { val: 'y', warn: 'invalid negate option' } });
  expect(cfg.file.other).toEqual({
    'no-online': { val: 'y', warn: 'invalid negate option' },
    'reset-process-max': { val: 'y', warn: 'invalid reset option' },
  });
  expect(Object.entries(Object.getOwnPropertyDescriptor(cfg.file, '__proto__')?.value)).toEqual([
    ['__proto__', { warn: 'invalid option' }],
    ['online', { val: 'n' }],
  ]);
});
