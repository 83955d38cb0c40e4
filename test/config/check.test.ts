import { describe, expect, test } from 'vitest';
import { run, summary } from './given.ts';

const base = ['--stanza=demo', '--pg1-path=/pg', '--repo1-retention-full=2'];
const backup = (...args: string[]) => run({ args: [...base, ...args, 'backup'] });

describe('errors after begin', () => {
  const cases: [args: string[], error: string][] = [
    [
      ['--repo2-path=/var/lib/pgbackrest', '--repo1-path=/var/lib/pgbackrest', 'info'],
      "[032] local repo1 and repo2 paths are both '/var/lib/pgbackrest' but must be different",
    ],
    [
      [...base, '--db-timeout=10m', '--protocol-timeout=10m', 'backup'],
      "[032] '10m' is not valid for 'protocol-timeout' option\nHINT 'protocol-timeout' option (10m) should be greater than 'db-timeout' option (10m).",
    ],
    [
      [...base, '--pg2-path=/2', '--pg2-host=a', '--repo1-host=b', 'backup'],
      '[027] pg and repo hosts cannot both be configured as remote',
    ],
    [
      ['--stanza=demo', '--pg1-path=/pg', '--repo2-path=/2', 'stanza-delete'],
      '[037] stanza-delete command requires option: repo',
    ],
    [['--repo-target-time=2026-01-01', 'info'], "[031] option 'repo-target-time' not valid without option 'repo'"],
  ];
  test.each(cases)('%j', (args, error) => {
    const { afterBegin } = run({ args });
    expect(afterBegin.error && summary(afterBegin.error)).toBe(error);
  });

  const s3 = (more: string) =>
    `[global]\nrepo1-type=s3\nrepo1-s3-bucket=a.b\nrepo1-s3-endpoint=e\nrepo1-s3-region=r\nrepo1-s3-key-type=auto\n${more}`;
  test('a bucket with dots has no certificate', () => {
    const of = (file: string) => run({ file, args: ['info'] }).afterBegin.error;
    const error = of(s3(''));
    expect(error && summary(error)).toBe("[032] 'a.b' is not valid for option 'repo1-s3-bucket'");
    expect(of(s3('repo1-s3-uri-style=path'))).toBeUndefined();
    expect(of(s3('repo1-storage-verify-tls=n'))).toBeUndefined();
  });

  const bucket = (more: string) =>
    run({ file: `[global]\nrepo2-type=s3\nrepo2-s3-bucket=b\n${more}`, args: ['info'] }).afterBegin.error;
  test('a customer key is 32 bytes in base64', () => {
    const good = Buffer.alloc(32, 1).toString('base64');
    expect(bucket(`repo2-s3-sse-customer-key=${good}`)).toBeUndefined();
    for (const wrong of [good.slice(1), `${good}AAAA`, 'verysecret', good.replace('A', '*'), good.replace('=', '')]) {
      const error = bucket(`repo2-s3-sse-customer-key=${wrong}`);
      expect(error && summary(error), wrong).toBe(
        "[032] '<redacted>' is not valid for 'repo2-s3-sse-customer-key' option",
      );
      expect(error?.hints.join()).toContain('openssl rand -base64 32');
    }
  });

  test('an object lock has mode and days', () => {
    const [mode, days] = ['repo2-s3-object-lock-mode=governance\n', 'repo2-s3-object-lock-days=7\n'];
    expect([bucket(''), bucket(mode + days)]).toEqual([undefined, undefined]);
    expect(bucket(mode)?.text).toBe(
      "info command requires option: repo2-s3-object-lock-days\nHINT: option 'repo2-s3-object-lock-mode' is of no use without it.",
    );
    expect(bucket(days)?.message).toBe('info command requires option: repo2-s3-object-lock-mode');
    expect(bucket(days)?.code).toBe(37);
  });
});

describe('adjustments', () => {
  test('timeouts give way to each other', () => {
    const times = (...args: string[]) => {
      const { values } = backup(...args).settings;
      return [values['db-timeout'], values['protocol-timeout']];
    };
    expect(times()).toEqual([1_800_000, 1_860_000]);
    expect(times('--db-timeout=1h')).toEqual([3_600_000, 3_630_000]);
    expect(times('--protocol-timeout=10m')).toEqual([570_000, 600_000]);
    expect(times('--protocol-timeout=40s')).toEqual([20_000, 40_000]);
  });

  test('WAL is kept as long as backups', () => {
    const archive = (...args: string[]) => backup(...args).settings.repos[0]?.values['retention-archive'];
    expect(archive()).toBe(2);
    expect(archive('--repo1-retention-archive=5')).toBe(5);
    expect(archive('--repo1-retention-full-type=time')).toBeUndefined();
    expect(archive('--repo1-retention-archive-type=diff', '--repo1-retention-diff=4')).toBe(4);
    expect(backup().settings.optionIsSet('repo-retention-archive', 1)).toBe(false);
  });

  test('compress=n is the old compress-type=none', () => {
    const { settings, afterBegin } = backup('--no-compress');
    expect([settings.values['compress-type'], settings.values['compress-level']]).toEqual(['none', 0]);
    expect(afterBegin.warnings).toEqual([]);
    const both = backup('--no-compress', '--compress-type=lz4');
    expect(both.settings.values['compress-type']).toBe('lz4');
    expect(both.afterBegin.warnings.join()).toContain("'compress' and 'compress-type' options should not both be set");
  });

  test('a fingerprint alone asks for its check', () => {
    const sftp =
      '[global]\nrepo1-type=sftp\nrepo1-sftp-host=h\nrepo1-sftp-host-user=u\nrepo1-sftp-host-key-hash-type=sha1\nrepo1-sftp-private-key-file=/k\n';
    const of = (more: string) => run({ file: sftp + more, args: ['info'] });
    const old = of('repo1-sftp-host-fingerprint=ab\n');
    expect(old.settings.repos[0]?.values['sftp-host-key-check-type']).toBe('fingerprint');
    expect(old.afterBegin.warnings).toHaveLength(1);
    expect(of('').afterBegin).toEqual({ warnings: [], error: undefined });
    expect(of('repo1-sftp-host-key-check-type=fingerprint\n').afterBegin.error?.code).toBe(37);
    const strict = of('repo1-sftp-host-key-check-type=strict\nrepo1-sftp-host-fingerprint=ab\n');
    expect(strict.afterBegin.error?.code).toBe(31);
  });
});

describe('warnings after begin', () => {
  const first = (...args: string[]) => run({ args }).afterBegin.warnings.map(warning => warning.split('\n')[0]);
  const plain = ['--stanza=demo', '--pg1-path=/pg'];
  const cases: [args: string[], warnings: string[]][] = [
    [
      [...plain, '--repo1-path=/1', '--repo2-path=/2', 'backup'],
      [
        "option 'repo1-retention-full' is not set for 'repo1-retention-full-type=count', the repository may run out of space",
        "option 'repo2-retention-full' is not set for 'repo2-retention-full-type=count', the repository may run out of space",
      ],
    ],
    [['--stanza=demo', '--repo1-retention-full=1', 'expire'], []],
    [['info'], []],
    [
      [...base, '--repo1-retention-archive-type=incr', 'backup'],
      [
        "WAL segments will not be expired: option 'repo1-retention-archive-type=incr' but option 'repo1-retention-archive' is not set",
      ],
    ],
    [
      [...base, '--repo1-retention-archive-type=diff', 'backup'],
      [
        "WAL segments will not be expired: option 'repo1-retention-archive-type=diff' but neither option 'repo1-retention-archive' nor option 'repo1-retention-diff' is set",
      ],
    ],
    [
      [...base, '--repo1-retention-archive-type=diff', '--repo1-retention-archive=1', 'backup'],
      ["option 'repo1-retention-diff' is not set for 'repo1-retention-archive-type=diff'"],
    ],
    [[...base, '--stop-auto', 'backup'], ["option 'stop-auto' is deprecated"]],
  ];
  test.each(cases)('%j', (args, warnings) => expect(first(...args)).toEqual(warnings));
});
