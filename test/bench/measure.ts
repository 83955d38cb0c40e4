/** What a run of commands costs: wall time, processor time of all its processes, and the most memory they hold. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

export const mostMemory = (a: Memory, b: Memory): Memory => ({
  peak: Math.max(a.peak, b.peak),
  largest: Math.max(a.largest, b.largest),
});

/** Looks at the memory of a process and all below it, until stop(). */
class MemoryWatch {
  #seen: Memory = { peak: 0, largest: 0 };
  #going = true;
  #looking: Promise<void> = Promise.resolve();

  start(pid: number, pause: Pause): void {
    this.#looking = this.#look(pid, pause);
  }

  async #look(pid: number, pause: Pause): Promise<void> {
    const begin = performance.now();
    while (this.#going) {
      const processes = processTree(pid);
      this.#seen = mostMemory(this.#seen, {
        peak: processes.reduce((sum, each) => sum + proportionalMemory(each), 0),
        largest: Math.max(...processes.map(largestResident)),
      });
      await sleep(pause(performance.now() - begin));
    }
  }

  async stop(): Promise<Memory> {
    this.#going = false;
    await this.#looking;
    return this.#seen;
  }
}

/** Milliseconds between two looks at the memory, `after` so many milliseconds of the run. */
export type Pause = (after: number) => number;

/** Four looks a second: in a run of many seconds they cost nothing that could be measured. */
export const seldom: Pause = () => 250;

/** Short runs are seen, and a process's own account of its peak is never old; of all together what is seen is less exact. */
export const regularly: Pause = after => (after < 300 ? 10 : 100);

/** Often at first, so that short runs are seen, then fifty times a second. */
export const often: Pause = after => (after < 500 ? 1 : 20);

/**
 * Runs commands one after the other. bash's `time` counts in milliseconds and includes the children's children.
 * @param pause how often the memory is looked at; not at all when absent, as looking often costs time
 * @throws with what was printed when one fails
 */
export async function measure(
  runner: Runner,
  commands: readonly Command[],
  pause?: Pause,
): Promise<Cost & { readonly memory: Memory }> {
  const lines = commands.map(command => `${command.map(quote).join(' ')} >&3 2>&3 || exit`);
  // The inner shell may exit early; TIMEFORMAT's line is then the last one on stderr all the same.
  const script = `exec 3>&1; TIMEFORMAT='%R %U %S'; time ( ${lines.join('; ')} )`;
  const watch = new MemoryWatch();
  const run = runAs(runner.user, ['bash', '-c', script], {
    env: runner.env,
    timeout: patience,
    ...(pause === undefined ? {} : { onStart: (pid: number) => watch.start(pid, pause) }),
  });
  const { code, stdout, stderr } = await run.finally(() => watch.stop());
  const times = /^([\d.]+) ([\d.]+) ([\d.]+)$/m.exec(stderr);
  if (code !== 0 || times === null) throw new Error(`${commands[0]?.join(' ')} failed (${code})\n${stdout}${stderr}`);
  const [wall = 0, user = 0, system = 0] = times.slice(1).map(Number);
  return { wall, cpu: user + system, memory: await watch.stop() };
}

/** Runs one command and looks at its memory. Not to be timed: looking so often costs. */
export async function peakMemory(runner: Runner, command: Command): Promise<Memory> {
  const watch = new MemoryWatch();
  const run = runAsOrThrow(runner.user, command, {
    env: runner.env,
    timeout: patience,
    onStart: pid => watch.start(pid, often),
  });
  await run.finally(() => watch.stop());
  return await watch.stop();
}

/**
 * Runs commands one after the other, each timed alone.
 * @param rounds lists of commands that take turns: the first of each, then the second of each
 * @returns seconds, in the order of the lists. The first round is a warm-up and is left out
 * @throws with what was printed when one fails
 */
export async function measureEach(runner: Runner, rounds: readonly (readonly Command[])[]): Promise<number[][]> {
  const calls = Math.max(...rounds.map(list => list.length));
  const lines = Array.from({ length: calls }, (_, at) =>
    rounds.map((list, index) => {
      const command = list[at]?.map(quote).join(' ');
      return `b=$EPOCHREALTIME; ${command} >&2 || exit; e=$EPOCHREALTIME; echo "${index} $b $e"`;
    }),
  );
  const script = `LC_ALL=C; ${lines.flat().join('\n')}`;
  const folder = mkdtempSync(join(tmpdir(), 'bench-calls-'));
  chmodSync(folder, 0o755);
  const file = join(folder, 'calls');
  try {
    writeFileSync(file, script, { mode: 0o644 });
    const { code, stdout, stderr } = await runAs(runner.user, ['bash', file], { env: runner.env, timeout: patience });
    const times = stdout.trim().split('\n').slice(rounds.length);
    if (code !== 0 || times.length !== rounds.length * (calls - 1)) {
      throw new Error(`${rounds[0]?.[0]?.join(' ')} failed (${code})\n${stderr}`);
    }
    return rounds.map((_, index) =>
      times.flatMap(line => {
        const [which, begin, end] = line.split(' ').map(Number);
        return which === index && begin !== undefined && end !== undefined ? [end - begin] : [];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
