/** What a run of commands costs: wall time, processor time of all its processes, and the most memory they hold. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAs, runAsOrThrow, type UnprivilegedUser } from '../support/unprivileged.ts';

/** Program and parameters. */
export type Command = readonly string[];

export interface Cost {
  /** Seconds from start to end. */
  readonly wall: number;
  /** Seconds of user and system time, of every process that was waited for. */
  readonly cpu: number;
}

export interface Runner {
  readonly user: UnprivilegedUser;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Longest that one measured run may take, in milliseconds. */
const patience = 3_600_000;

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Runs commands one after the other. bash's `time` counts in milliseconds and includes the children's children.
 * @throws with what was printed when one fails
 */
export async function measure(runner: Runner, commands: readonly Command[]): Promise<Cost> {
  const lines = commands.map(command => `${command.map(quote).join(' ')} >&3 2>&3 || exit`);
  // The inner shell may exit early; TIMEFORMAT's line is then the last one on stderr all the same.
  const script = `exec 3>&1; TIMEFORMAT='%R %U %S'; time ( ${lines.join('; ')} )`;
  const { code, stdout, stderr } = await runAs(runner.user, ['bash', '-c', script], {
    env: runner.env,
    timeout: patience,
  });
  const times = /^([\d.]+) ([\d.]+) ([\d.]+)$/m.exec(stderr);
  if (code !== 0 || times === null) throw new Error(`${commands[0]?.join(' ')} failed (${code})\n${stdout}${stderr}`);
  const [wall = 0, user = 0, system = 0] = times.slice(1).map(Number);
  return { wall, cpu: user + system };
}

/** The process and all below it that are there now. */
function processTree(pid: number): number[] {
  const below: number[] = [];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
      if (children !== '') below.push(...children.split(' ').map(Number));
    }
  } catch (error) {
    ignoreEnded(error);
  }
  return [pid, ...below.flatMap(processTree)];
}

/** A process may end between any two looks at it. */
function ignoreEnded(error: unknown): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
}

/** Bytes that are in memory because of the process; shared pages are shared out. */
function proportionalMemory(pid: number): number {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch (error) {
    ignoreEnded(error);
    return 0;
  }
}

/** Bytes that the process had in memory at its peak, those that it shares included. */
function largestResident(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch (error) {
    ignoreEnded(error);
    return 0;
  }
}

export interface Memory {
  /** The highest sum of all processes' proportional share, in bytes. */
  readonly peak: number;
  /** The peak of the largest process alone (maximum resident set), in bytes. */
  readonly largest: number;
}

/**
 * Runs one command and looks at its memory: often at first, so that short runs are seen, then fifty times a second.
 * Not to be timed: looking costs.
 */
export async function peakMemory(runner: Runner, command: Command): Promise<Memory> {
  let pid: number | undefined;
  let going = true;
  let peak = 0;
  let largest = 0;
  const run = runAsOrThrow(runner.user, command, {
    env: runner.env,
    timeout: patience,
    onStart: started => {
      pid = started;
    },
  }).finally(() => {
    going = false;
  });
  const look = async (): Promise<void> => {
    const begin = performance.now();
    while (going && pid !== undefined) {
      const processes = processTree(pid);
      peak = Math.max(
        peak,
        processes.reduce((sum, each) => sum + proportionalMemory(each), 0),
      );
      largest = Math.max(largest, ...processes.map(largestResident));
      await sleep(performance.now() - begin < 500 ? 1 : 20);
    }
  };
  await Promise.all([run, look()]);
  return { peak, largest };
}
