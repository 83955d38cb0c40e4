/**
 * PostgreSQL refuses to run as root, and so do we test as somebody else when root starts the tests. Nothing here adds a
 * user: it picks one that the machine has.
 */
import { type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { chownSync, readFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { coverageFolder, noteOptions, optionsGiven } from './option-coverage.ts';

export interface UnprivilegedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  /** Processes must be started with another uid than ours. */
  readonly foreign: boolean;
}

/**
 * Who runs PostgreSQL and the tools under test: ourselves when we are not root; else `postgres`, `nobody`, or any other
 * user of /etc/passwd (initdb wants the user to have an entry there).
 */
export function unprivilegedUser(): UnprivilegedUser {
  const self = userInfo();
  if (self.uid !== 0) return { name: self.username, uid: self.uid, gid: self.gid, home: self.homedir, foreign: false };
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map(line => line.split(':'))
    .map(([name = '', , uid, gid, , home = '/']) => ({ name, uid: Number(uid), gid: Number(gid), home, foreign: true }))
    .filter(user => user.name !== '' && user.uid > 0 && user.gid > 0);
  const chosen = users.find(user => user.name === 'postgres') ?? users.find(user => user.name === 'nobody') ?? users[0];
  if (chosen === undefined)
    throw new Error('there is no user beside root in /etc/passwd, and PostgreSQL does not run as root');
  return chosen;
}

/** Gives a file or directory to the user; nothing to do when the user is ourselves. */
export function giveTo(user: UnprivilegedUser, path: string): void {
  if (user.foreign) chownSync(path, user.uid, user.gid);
}

/** Options for `spawn` that start a process as the user, with an environment that fits. */
export function spawnOptionsFor(
  user: UnprivilegedUser,
  env: Readonly<Record<string, string | undefined>> = {},
): SpawnOptions & { env: NodeJS.ProcessEnv } {
  const inherited: NodeJS.ProcessEnv = { ...process.env };
  // another user cannot read what these name
  if (user.foreign) for (const key of ['NODE_EXTRA_CA_CERTS', 'XDG_RUNTIME_DIR', 'MAIL']) delete inherited[key];
  // what a developer has set for libpq must not lead a test to his database
  for (const key of Object.keys(inherited)) if (/^PG[A-Z]+$/.test(key)) delete inherited[key];
  return {
    cwd: tmpdir(),
    env: { ...inherited, LC_ALL: 'C', HOME: user.home, USER: user.name, LOGNAME: user.name, ...env },
    ...(user.foreign ? { uid: user.uid, gid: user.gid } : {}),
  };
}

export interface RunResult {
  /** Exit code, or undefined when a signal ended the process. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** Milliseconds until the process is killed, 120,000 when absent. */
  readonly timeout?: number;
  /** Told the process once it runs: to send it signals. */
  readonly onStart?: (pid: number) => void;
}

/** Runs a program to its end as the user. Never throws for an exit code: that is for the test to judge. */
export function runAs(user: UnprivilegedUser, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program, ...parameters] = argv;
  if (program === undefined) throw new Error('no program to run');
  const spawnOptions = spawnOptionsFor(user, options.env);
  const coverage = coverageFolder();
  const given = coverage === undefined ? [] : optionsGiven(argv, spawnOptions.env);
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      ...spawnOptions,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: 'pipe',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 120_000);
    child.stdout?.on('data', chunk => out.push(chunk));
    child.stderr?.on('data', chunk => err.push(chunk));
    // a program that does not read its input closes it early
    child.stdin?.on('error', error => {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') reject(error);
    });
    child.stdin?.end(options.input ?? '');
    child.on('error', error => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (coverage !== undefined && code === 0) noteOptions(given, coverage);
      resolve({
        code: code ?? undefined,
        signal: signal ?? undefined,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      });
    });
    if (child.pid !== undefined) options.onStart?.(child.pid);
  });
}

/** As runAs, and an exit code other than 0 is an error that shows what the program said. */
export async function runAsOrThrow(
  user: UnprivilegedUser,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await runAs(user, argv, options);
  if (result.code === 0) return result;
  throw new Error(
    `${argv.join(' ')} ended with ${result.code ?? result.signal}\n${result.stdout}\n${result.stderr}`.trimEnd(),
  );
}

/** True when the user can get at the file or directory: all parents may be entered, and it may be read. */
export function canReach(user: UnprivilegedUser, path: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'test -r "$0"', path], spawnOptionsFor(user)).status === 0;
}
