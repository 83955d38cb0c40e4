/** Runs a program and keeps all that other users could see of it: what it says, and the programs that it starts. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { type RunOptions, type RunResult, runAs, type UnprivilegedUser } from '../../support/unprivileged.ts';

/** A program that was started by another one. */
export interface StartedProgram {
  /** As strace writes it. */
  readonly arguments: string;
  readonly environment: string;
  /** Our own process of asynchronous archiving, which goes on with the same repositories. */
  readonly isBackground: boolean;
}

export interface WatchedResult extends RunResult {
  /** Undefined where they cannot be watched. */
  readonly started: readonly StartedProgram[] | undefined;
}

/** Why strace cannot be used, if it cannot. */
export const straceProblem = (() => {
  try {
    execFileSync('strace', ['-f', '--seccomp-bpf', '-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `programs that are started are not watched, strace cannot be used (Debian: apt-get install strace): ${error instanceof Error ? error.message.split('\n')[0] : error}`;
  }
})();

/** @param file that the user may write, for what strace tells; it does not stay */
export async function runWatched(
  user: UnprivilegedUser,
  file: string,
  argv: readonly string[],
  options: RunOptions,
): Promise<WatchedResult> {
  if (straceProblem !== undefined) return { ...(await runAs(user, argv, options)), started: undefined };
  const tool = [
    'strace',
    '-f',
    '--seccomp-bpf',
    '-qq',
    '-v',
    '-s',
    '65536',
    '-e',
    'trace=execve',
    '-e',
    'signal=none',
    '-o',
    file,
  ];
  try {
    const result = await runAs(user, [...tool, ...argv], options);
    return { ...result, started: parse(readFileSync(file, 'latin1')) };
  } finally {
    rmSync(file, { force: true });
  }
}

function parse(text: string): StartedProgram[] {
  const calls = text.split('\n').filter(line => line.includes('execve('));
  // the first is the program itself: what it is given is the test's own doing
  return calls.slice(1).map(line => {
    const [, given = line, environment = ''] = /execve\((.*?\]), (\[.*)$/.exec(line) ?? [];
    return { arguments: given, environment, isBackground: /"archive-(push|get):async"/.test(given) };
  });
}
