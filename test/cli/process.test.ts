/** What the process makes of surroundings that are not as they should be. Exit code 1 would be "not in the archive" to archive-get. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { forgeControl } from '../postgres/forge.ts';
import { type UnprivilegedUser, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let root: string;
let config: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'process-'));
  config = join(root, 'pgbackrest.conf');
  writeFileSync(
    config,
    `[global]\nrepo1-path=${root}/repo\nlog-path=${root}/log\nlock-path=${root}/lock\nallow-root=y\n[demo]\npg1-path=${root}/pg\n`,
  );
});

afterAll(() => rmSync(root, { recursive: true }));

interface RunOptions {
  readonly stdout?: number;
  readonly program?: string;
  readonly cwd?: string;
  readonly execArgv?: readonly string[];
}

function run(args: readonly string[], options: RunOptions = {}) {
  const { stdout = 'pipe', program = 'bin/pgbackstop.cjs', cwd = process.cwd(), execArgv = [] } = options;
  const { PATH } = process.env;
  return spawnSync(process.execPath, [...execArgv, program, `--config=${config}`, ...args], {
    cwd,
    env: { PATH, NODE_DISABLE_COMPILE_CACHE: '1' },
    stdio: ['ignore', stdout, 'pipe'],
    encoding: 'utf8',
  });
}

describe('a full file system behind standard output', () => {
  function runFull(...args: string[]) {
    const stdout = openSync('/dev/full', 'w');
    try {
      return run(args, { stdout });
    } finally {
      closeSync(stdout);
    }
  }

  test('fails a command whose result goes there', () => {
    expect(runFull('info')).toMatchObject({
      status: 64,
      stderr: expect.stringContaining('ERROR: [064]: unable to write to standard output: [28] No space left on device'),
    });
  });

  test('does not fail a command that only logs there', () => {
    expect(runFull('--stanza=demo', '--log-level-console=detail', 'stop')).toMatchObject({ status: 0 });
    expect(readFileSync(join(root, 'lock', 'demo.stop'), 'utf8')).toBe('');
  });

  test('keeps the code of an error, which then goes to standard error', () => {
    expect(runFull('--stanza=demo', 'stanza-create', '--no-online')).toMatchObject({
      status: 62,
      stderr: expect.stringContaining('ERROR: [062]: stop file exists for stanza demo'),
    });
  });
});

describe('a program', () => {
  let program: string;
  const breakWith = (text: string) => writeFileSync(join(root, 'broken', 'dist', 'main.cjs'), text);

  beforeAll(() => {
    for (const folder of ['bin', 'dist']) mkdirSync(join(root, 'broken', folder), { recursive: true });
    program = join(root, 'broken', 'bin', 'pgbackstop.cjs');
    copyFileSync('bin/pgbackstop.cjs', program);
  });

  test('of which files are missing ends as a missing program does, which stops a recovery', () => {
    expect(run(['version'], { program })).toMatchObject({ status: 127, stderr: expect.stringContaining('is missing') });
    for (const text of ['this is no program', 'require("./gone.cjs")']) {
      breakWith(text);
      expect(run(['version'], { program })).toMatchObject({ status: 127, stderr: expect.stringContaining('[127]') });
    }
    breakWith('exports.main = async () => require("node:fs").readFileSync("gone")');
    expect(run(['version'], { program })).toMatchObject({ status: 127, stderr: expect.stringContaining('gone') });
  });

  test('with a defect ends with the code for it', () => {
    breakWith('exports.main = async () => { throw new Error("gone"); };');
    expect(run(['version'], { program })).toMatchObject({ status: 124, stderr: expect.stringContaining('gone') });
    expect(run(['archive-get'], { program })).toMatchObject({ status: 128 + 124 });
  });

  test('that is broken does not shut a standby down, which asks again', () => {
    const cwd = join(root, 'standby');
    mkdirSync(cwd);
    writeFileSync(join(cwd, 'standby.signal'), '');
    for (const text of ['this is no program', 'exports.main = async () => { throw new Error("gone"); };']) {
      breakWith(text);
      expect(run(['archive-get'], { program, cwd })).toMatchObject({ status: 124 });
    }
  });

  test('that has nothing left to do before its answer has failed', () => {
    breakWith('exports.main = () => new Promise(() => {});');
    expect(run(['archive-get'], { program })).toMatchObject({ status: 128 + 124 });
  });

  test('on a Node that is too old says so, with a code that stops a recovery', () => {
    const old = join(root, 'old.cjs');
    writeFileSync(old, 'Object.defineProperty(process, "versions", { value: { node: "12.22.12" } });');
    breakWith('exports.main = async () => 1;');
    expect(run(['archive-get'], { program, execArgv: ['--require', old] })).toMatchObject({
      status: 128 + 124,
      stderr: expect.stringContaining('Node 12.22.12 is too old'),
    });
    // what it could not even read is not there
    const half = readFileSync('bin/pgbackstop.cjs', 'utf8').split("'use strict';")[1] ?? '';
    const code = half.replaceAll(/^ *\/\/.*$/gm, '');
    expect(code).toContain('process.exit');
    expect(code).not.toMatch(/\?\.|\?\?|require\('node:|\?\?=|\basync\b/);
  });
});

describe('a user', () => {
  const stranger: UnprivilegedUser = { name: 'stranger', uid: 54321, gid: 54321, home: '', foreign: true };
  const isRoot = process.getuid?.() === 0;
  let project: RunnableProject;

  beforeAll(() => {
    project = runnableProject(isRoot ? stranger : unprivilegedUser());
  });

  afterAll(() => project.remove());

  function runAsUser(...args: readonly string[]) {
    const [node, launcher] = project.command;
    return spawnSync(node, [launcher, '--no-config', '--lock-path=/nonexistent', '--log-level-file=off', ...args], {
      ...(isRoot ? { uid: stranger.uid, gid: stranger.gid } : {}),
      env: {},
      encoding: 'utf8',
    });
  }

  test('that the system does not know, as in a container, needs no home', () => {
    const { status, stdout } = runAsUser('--repo1-path=/nonexistent', 'info');
    expect(status).toBe(0);
    expect(stdout).toBe('No stanzas exist in the repository.\n');
  });

  test('who may not have a priority is told so', () => {
    const { status, stdout } = runAsUser('--stanza=demo', '--priority=-5', 'expire');
    expect(stdout).toContain('unable to set process priority to -5: [13] permission denied');
    expect(status).toBe(100);
  });
});

describe('a configuration that every user can read, with a passphrase in it', () => {
  let open: string;
  beforeAll(() => {
    open = join(root, 'open.conf');
    writeFileSync(
      open,
      `${readFileSync(config, 'utf8')}[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=x\n`,
    );
    chmodSync(open, 0o644);
    chmodSync(root, 0o755);
  });
  afterAll(() => chmodSync(root, 0o700));

  const start = (...args: string[]) =>
    spawnSync(process.execPath, ['bin/pgbackstop.cjs', `--config=${open}`, ...args], {
      env: { PATH: process.env.PATH, NODE_DISABLE_COMPILE_CACHE: '1' },
      encoding: 'utf8',
    });
  const warning = `every user of this host can read the secrets in configuration file '`;

  test('is warned of once, in the log, and changes no exit code', () => {
    const { status, stdout, stderr } = start('--no-log-timestamp', '--log-level-file=warn', 'start');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      `P00   WARN: ${warning}${open}'`,
      `            HINT: chmod 640 ${open}`,
    ]);
    expect(stdout.split(warning)).toHaveLength(2);
    expect(readFileSync(join(root, 'log/all-start.log'), 'utf8')).toContain(warning);
    expect(start('--log-level-console=error', 'start')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('is warned of once for all stanzas, by check', () => {
    expect(start('check').stdout.split(warning)).toHaveLength(2);
  });

  test('is no matter of what other programs read, and of archive_command', () => {
    expect(start('--output=json', 'info')).toMatchObject({ status: 0, stdout: '[]', stderr: '' });
    const { stdout, stderr } = start('--stanza=demo', 'archive-push', join(root, 'pg/pg_wal/000000010000000000000001'));
    expect(stdout + stderr).not.toContain(warning);
  });
});

describe('what is secret in the environment', () => {
  const secrets = {
    PGBACKREST_REPO1_CIPHER_PASS: 'hunter2',
    PGBACKREST_REPO2_S3_KEY_SECRET: 'hunter3',
    PGPASSWORD: 'hunter4',
  };

  /** With a program for keys, which tells what it was given. */
  function runWithProgram(type: readonly string[], env: Record<string, string>): string {
    const seen = join(root, 'environment');
    const program = join(root, 'give-key');
    const key = '{"Version":1,"AccessKeyId":"K","SecretAccessKey":"S"}';
    writeFileSync(program, `#!/bin/sh\nenv >${seen}\necho '${key}'\n`, { mode: 0o755 });
    writeFileSync(join(root, 'profile'), `[default]\ncredential_process = ${program}\n`);
    const store = ['type=s3', 's3-bucket=b', 's3-region=r', 's3-endpoint=http://127.0.0.1:1', ...type];
    const { status } = spawnSync(
      process.execPath,
      [
        'bin/pgbackstop.cjs',
        `--config=${config}`,
        ...store.map(option => `--repo1-${option}`),
        ...['--io-timeout=100ms', '--stanza=demo', 'repo-ls'],
      ],
      { env: { PATH: process.env.PATH, NODE_DISABLE_COMPILE_CACHE: '1', ...secrets, ...env }, encoding: 'utf8' },
    );
    expect(status).toBe(49);
    return readFileSync(seen, 'utf8');
  }

  test.each<[string, readonly string[]]>([
    ['that the configuration names', ['s3-key-type=process', `s3-process-cmd=ROOT/give-key`]],
    ['of a profile', ['s3-key-type=default']],
  ])('is not given to a program for keys %s, and all else is', (_, type) => {
    const given = runWithProgram(
      type.map(option => option.replace('ROOT', root)),
      {
        AWS_CONFIG_FILE: '/dev/null',
        AWS_SHARED_CREDENTIALS_FILE: join(root, 'profile'),
        PGBACKREST_PROCESS_MAX: '2',
      },
    );
    expect(given).toMatch(/^PGBACKREST_PROCESS_MAX=2$/m);
    expect(given).toMatch(/^AWS_CONFIG_FILE=/m);
    expect(given).not.toMatch(/hunter|PGPASSWORD|CIPHER_PASS/);
  });
});

test('SIGUSR1 opens no port for a debugger, to which every user of the host could connect', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const store = ['type=s3', 's3-bucket=b', 's3-region=r', `s3-endpoint=http://127.0.0.1:${port}`, 's3-uri-style=path'];
  const child = spawn(
    process.execPath,
    ['bin/pgbackstop.cjs', `--config=${config}`, ...store.map(option => `--repo1-${option}`), 'repo-ls'],
    {
      env: { PATH: process.env.PATH, PGBACKREST_REPO1_S3_KEY: 'k', PGBACKREST_REPO1_S3_KEY_SECRET: 's' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const said = text(child.stderr);
  const ended = once(child, 'exit');
  const [socket] = await once(server, 'connection');
  child.kill('SIGUSR1');
  await new Promise(resolve => setTimeout(resolve, 300));
  child.kill('SIGTERM');
  expect(await ended).toEqual([63, null]);
  expect(await said).not.toContain('Debugger');
  (socket as Socket).destroy();
  server.close();
});

test('a passphrase on the command line is not in the log', () => {
  const { stdout } = run(['--cipher-pass=SECRET', '--log-level-console=debug', 'repo-get', 'x']);
  expect(stdout).toContain('--cipher-pass=<redacted>');
  expect(stdout).not.toContain('SECRET');
});

test('a lock file that cannot be removed does not change how the command ended', async () => {
  const lock = join(root, 'lock', 'demo-backup.lock');
  // a server that never answers: the command waits while its lock file becomes something else
  const server = createServer(socket => {
    rmSync(lock);
    mkdirSync(lock);
    socket.destroy();
  });
  server.listen(join(root, '.s.PGSQL.5432'));
  await once(server, 'listening');
  rmSync(join(root, 'lock', 'demo.stop'), { force: true });
  const child = spawn(
    process.execPath,
    ['bin/pgbackstop.cjs', `--config=${config}`, '--stanza=demo', `--pg1-socket-path=${root}`, 'stanza-create'],
    { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  server.close();
  expect(output).toContain('ERROR: [056]: unable to find primary cluster');
  expect(output).toContain(`WARN: unable to remove lock file '${lock}'`);
  expect(code).toBe(56);
  rmSync(lock, { recursive: true });
});

describe('archive-get that fails', () => {
  const segment = '000000010000000000000001';
  let pg: string;

  beforeAll(() => {
    pg = join(root, 'pg');
    mkdirSync(join(pg, 'global'), { recursive: true });
    writeFileSync(join(pg, 'global/pg_control'), forgeControl('15', { systemId: 6569239123849665679n }));
    writeFileSync(join(pg, 'postmaster.pid'), '1');
    rmSync(join(root, 'lock', 'demo.stop'), { force: true });
  });
  beforeEach(() => {
    writeFileSync(join(pg, 'recovery.signal'), '');
    rmSync(join(pg, 'standby.signal'), { force: true });
  });

  test('stops a recovery, wherever the command was started', () => {
    // not in the data directory: as after a cd in restore_command
    const inConfiguration = ['--stanza=demo', 'archive-get', segment, join(pg, 'RECOVERYXLOG')];
    expect(run(inConfiguration)).toMatchObject({ status: 128 + 103 });
    const mistyped = ['--stanza=demo', '--no-such-option', 'archive-get', segment, join(pg, 'RECOVERYXLOG')];
    expect(run(mistyped)).toMatchObject({ status: 31 });
    expect(run([`--pg1-path=${pg}`, ...mistyped])).toMatchObject({ status: 128 + 31 });
    writeFileSync(join(pg, 'standby.signal'), '');
    expect(run(inConfiguration)).toMatchObject({ status: 103 });
    expect(run([`--pg1-path=${pg}`, ...mistyped])).toMatchObject({ status: 31 });
  });

  test.each([
    ['in recovery stops it', 'recovery.signal', 128 + 63],
    ['on a standby is asked again', 'standby.signal', 63],
  ])('because of a signal %s', async (_, signalFile, expected) => {
    writeFileSync(join(pg, signalFile), '');
    // a server that never answers
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const store = ['type=s3', 's3-bucket=b', 's3-region=r', `s3-endpoint=127.0.0.1:${port}`, 's3-uri-style=path'];
    const child = spawn(
      process.execPath,
      [
        'bin/pgbackstop.cjs',
        `--config=${config}`,
        '--stanza=demo',
        ...store.map(option => `--repo1-${option}`),
        ...['archive-get', segment, join(pg, 'RECOVERYXLOG')],
      ],
      {
        env: { PATH: process.env.PATH, PGBACKREST_REPO1_S3_KEY: 'k', PGBACKREST_REPO1_S3_KEY_SECRET: 's' },
        stdio: 'ignore',
      },
    );
    const ended = once(child, 'exit');
    const [socket] = await once(server, 'connection');
    child.kill('SIGTERM');
    expect(await ended).toEqual([expected, null]);
    (socket as Socket).destroy();
    server.close();
  });
});
