/** The same arguments, environment and configuration file for the real tool and for us: same answer. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isBackstopError } from '../../src/base/error.ts';
import { formatOptions, type Loaded, load } from '../../src/config/index.ts';
import { isSince, requireCompat, skipReason } from '../support/real-pgbackrest.ts';
import { giveTo, spawnOptionsFor, unprivilegedUser } from '../support/unprivileged.ts';

const real = requireCompat();
if (real === undefined) console.warn(skipReason);

interface Case {
  readonly args: readonly string[];
  readonly file?: string;
  readonly env?: Readonly<Record<string, string>>;
}

describe.skipIf(real === undefined)('beside the real pgbackrest', () => {
  const user = unprivilegedUser();
  let root = '';
  let count = 0;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'pgbackstop-compat-config-'));
    for (const path of ['', 'repo', 'log', 'lock']) {
      mkdirSync(join(root, path), { recursive: true });
      giveTo(user, join(root, path));
    }
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  /** Arguments for both: `@` is the directory of this run. */
  function complete({ args, file }: Case): string[] {
    const all = args.map(arg => arg.replaceAll('@', root));
    if (args.some(arg => /^--(no-config|config|config-path|config-include-path)\b/.test(arg))) return all;
    if (file === undefined) return ['--no-config', ...all];
    const path = join(root, `${++count}.conf`);
    writeFileSync(path, file.replaceAll('@', root));
    giveTo(user, path);
    return [`--config=${path}`, ...all];
  }

  function runReal(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const result = spawnSync(real?.path ?? '', args, { ...spawnOptionsFor(user, env), encoding: 'utf8' });
    const output = `${result.stdout}\n${result.stderr}`;
    const error = /ERROR: (\[\d{3}\]: [^\n]*)/.exec(output)?.[1];
    const warnings = [...output.matchAll(/WARN: ([^\n]*)/g)].map(match => match[1]);
    return { code: result.status, output, error, warnings };
  }

  function runOurs(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    let loaded: Loaded | undefined;
    try {
      loaded = load(args, env, real?.path ?? '');
    } catch (error) {
      if (!isBackstopError(error)) throw error;
      return { code: error.code, error: `[0${error.code}]: ${error.message.split('\n')[0]}` };
    }
    const later = loaded.kind === 'run' ? loaded.afterBegin.error : undefined;
    return later === undefined
      ? { code: 0, error: undefined, loaded }
      : { code: later.code, error: `[0${later.code}]: ${later.message.split('\n')[0]}`, loaded };
  }

  const stanza = ['--stanza=demo', '--pg1-path=/pg'];
  const refused: Case[] = [
    { args: ['-x'] },
    { args: ['--nonsense'] },
    { args: ['--nonsense=1', 'info'] },
    { args: ['bogus'] },
    // 2.59.1 takes the first command that begins so, and `stanza-` for stanza-create: we, as 2.45, want the whole name
    ...(isSince(real, '2.54') ? [] : [{ args: ['back'] }]),
    { args: ['backup:bogus'] },
    { args: ['backup:async'] },
    { args: ['--stanza=x'] },
    { args: ['info', 'x'] },
    { args: ['info', '--stanza'] },
    { args: ['info', '--delta'] },
    { args: ['backup', '--pg-path=/x'] },
    { args: ['backup', '--repo1-cipher-pass=x'] },
    { args: ['backup', '--no-stanza'] },
    { args: ['backup', '--reset-stanza'] },
    { args: ['backup', '--stanza=a', '--stanza=b'] },
    { args: ['backup', '--delta', '--no-delta'] },
    { args: ['backup', '--delta', '--reset-delta'] },
    { args: ['backup', '--no-delta', '--reset-delta'] },
    { args: ['backup', '--no-delta', '--no-delta'] },
    { args: ['backup', '--delta=x'] },
    { args: ['backup', '--retention1-full=1'] },
    { args: ['backup'] },
    { args: ['backup', '--stanza=x'] },
    { args: ['annotate', '--stanza=x', '--set=y'] },
    { args: ['restore', ...stanza, '--type=time'] },
    { args: ['restore', ...stanza, '--target=x'] },
    { args: ['restore', ...stanza, '--type=bogus'] },
    { args: ['backup', ...stanza, '--force'] },
    { args: ['backup', ...stanza, '--repo1-block'] },
    { args: ['backup', ...stanza, '--process-max=0'] },
    { args: ['backup', ...stanza, '--process-max=x'] },
    { args: ['backup', ...stanza, '--compress-type=foo'] },
    { args: ['backup', ...stanza, '--buffer-size=3MiB'] },
    { args: ['backup', ...stanza, '--log-path=abc'] },
    { args: ['backup', ...stanza, '--log-path=/a//b'] },
    { args: ['backup', ...stanza, '--annotation=a'] },
    { args: ['backup', ...stanza, '--repo=2'] },
    { args: ['backup', ...stanza, '--repo1-s3-bucket=b'] },
    { args: ['archive-push', ...stanza, '--spool-path=/s', 'x'] },
    { args: ['info', '--set=x'] },
    { args: ['info', '--repo1-cipher-type=aes-256-cbc'] },
    { args: ['info', '--config=@/none'] },
    { args: ['info', '--config=@'] },
    { args: ['info', '--no-config', '--config-include-path=@/none'] },
    { args: ['info'], file: 'a=b' },
    { args: ['info'], file: '[global]\na' },
    { args: ['info'], file: '[global]\n=a' },
    { args: ['info'], file: '[global' },
    { args: ['info'], file: '[global]\nrepo1-path=' },
    { args: ['info'], file: '[global]\nrepo1-path=/a\nrepo-path=/b' },
    { args: ['info'], file: '[global]\nlog-path=/a\nlog-path=/b' },
    { args: ['info'], file: '[global]\nlog-timestamp=yes' },
    { args: ['info'], env: { PGBACKREST_LOG_PATH: '' } },
    { args: ['info'], env: { PGBACKREST_LOG_TIMESTAMP: 'x' } },
    { args: ['info', '--repo1-path=/a', '--repo2-path=/a'] },
    {
      args: ['expire', ...stanza.slice(0, 1), '--repo1-path=@/repo', '--repo1-retention-full=1', '--repo1-type=x'],
    },
  ];
  test.each(refused)('refused: $args $file $env', one => {
    const args = complete(one);
    const theirs = runReal(args, one.env);
    const ours = runOurs(args, one.env);
    expect(theirs.error, theirs.output).toBeDefined();
    expect([ours.code, ours.error]).toEqual([theirs.code, theirs.error]);
  });

  const local = ['--repo1-path=@/repo', '--log-path=@/log', '--lock-path=@/lock'];
  const logged: Case[] = [
    { args: ['--stanza=demo', '--repo1-retention-full=2', '--dry-run'] },
    { args: ['--stanza', 'demo', '--retention-full=2', '--no-neutral-umask', '--reset-buffer-size'] },
    { args: ['--stanza=demo', '--buffer-s', '64KB'], env: { PGBACKREST_IO_TIMEOUT: '30' } },
    {
      args: ['--stanza=demo'],
      file: '[global]\nrepo1-retention-full=1\nio-timeout=40m\n[global:expire]\nio-timeout=41m\n[demo]\nbuffer-size=2MiB\npg1-path=/pg\n[demo:expire]\nbuffer-size=4MiB\n',
    },
    {
      args: ['--stanza=demo'],
      file: '[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=x+y/z#1;2==\nrepo2-path=@/repo/2\nrepo2-retention-full=1\nrepo1-storage-verify-tls=n\nlog-timestamp=n\n',
    },
    { args: ['--stanza=demo', '--no-sck-keep-alive', '--repo2-path=@/repo/two words'] },
  ];
  test.each(logged)('the begin line: $args $file $env', one => {
    const args = complete({ ...one, args: ['expire', '--log-level-console=info', ...local, ...one.args] });
    const theirs = runReal(args, one.env);
    const ours = runOurs(args, one.env).loaded;
    const line = /expire command begin [\d.]+:( .*)/.exec(theirs.output)?.[1];
    expect(line, theirs.output).toBeDefined();
    const execId = /--exec-id=(\S+)/.exec(line ?? '')?.[1] ?? '';
    expect(ours?.kind === 'run' ? formatOptions(ours.settings, execId) : ours).toBe(line);
  });

  const warned: Case[] = [
    {
      args: ['info'],
      file: '[global]\nnonsense=1\nno-delta=y\nreset-delta=y\nstanza=x\npg1-path=/x\n[global:info]\ndelta=y\n',
    },
    { args: ['info'], env: { PGBACKREST_NONSENSE: '1', PGBACKREST_NO_DELTA: 'y' } },
  ];
  test.each(warned)('warned: $args $file $env', one => {
    const args = complete({ ...one, args: [...one.args, '--repo1-path=@/repo'] });
    const theirs = runReal(args, one.env);
    const ours = runOurs(args, one.env).loaded;
    expect(theirs.warnings.length, theirs.output).toBeGreaterThan(0);
    expect(ours?.kind === 'run' ? ours.warnings : ours).toEqual(theirs.warnings);
  });

  test('the passphrase that we read opens what the real tool encrypted with it', () => {
    const file =
      '[global]\nrepo1-path=@/repo\nlog-path=@/log\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=x+y/z#1;2==\n';
    const name = 'archive/demo/archive.info';
    const written = spawnSync(real?.path ?? '', complete({ args: ['repo-put', name], file }), {
      ...spawnOptionsFor(user),
      input: 'content',
    });
    expect(written.status, String(written.stderr)).toBe(0);
    const ours = runOurs(complete({ args: ['info'], file })).loaded;
    const [repo] = ours?.kind === 'run' ? ours.settings.repos : [];
    const read = runReal(
      complete({ args: ['repo-get', name, '--no-config', '--repo1-path=@/repo', '--repo1-cipher-type=aes-256-cbc'] }),
      {
        PGBACKREST_REPO1_CIPHER_PASS: repo?.values['cipher-pass'] ?? '',
      },
    );
    expect([read.code, read.output.trim()]).toEqual([0, 'content']);
  });
});
