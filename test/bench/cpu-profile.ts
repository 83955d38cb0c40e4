/** Reads V8's profiles (`.cpuprofile`): where a thread spent its time. */

/** The part of the file that is read. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** The node that ran at each sample, and the microseconds since the sample before. */
  readonly samples?: readonly number[];
  readonly timeDeltas?: readonly number[];
}

/** Milliseconds by function. */
export type SelfTimes = ReadonlyMap<string, number>;

/** V8's name for the time in which the thread waits. */
export const idle = '(idle)';

/** @param text of the file @throws when it is none */
export function parseCpuProfile(text: string): CpuProfile {
  const value = JSON.parse(text) as Partial<CpuProfile> | null;
  if (!Array.isArray(value?.nodes)) throw new Error('this is no profile of V8');
  return value as CpuProfile;
}

/** Time in each function itself, without what it calls. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: CpuProfile): SelfTimes {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '(unknown)';
    // what passes until the next sample is spent where this one was; a clock that went back spends nothing
    times.set(name, (times.get(name) ?? 0) + Math.max(0, timeDeltas[index + 1] ?? 0) / 1000);
  }
  return times;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.startsWith('node:') ? url : url.slice(url.lastIndexOf('/') + 1);
  return `${name} ${file}:${lineNumber + 1}`;
}

export function addUp(all: readonly SelfTimes[]): SelfTimes {
  const sum = new Map<string, number>();
  for (const times of all) for (const [name, time] of times) sum.set(name, (sum.get(name) ?? 0) + time);
  return sum;
}

/** The most expensive functions, with their part of the time in which the thread did something. */
export function topSelfTimes(times: SelfTimes, count: number): string[] {
  const busy = [...times].filter(([name]) => name !== idle);
  const total = busy.reduce((sum, [, time]) => sum + time, 0);
  return busy
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, time]) => {
      const part = total === 0 ? 0 : (100 * time) / total;
      return `${time.toFixed(1).padStart(10)} ms ${part.toFixed(1).padStart(5)} %  ${name}`;
    });
}

/** @returns milliseconds in which the thread did something, and in which it waited */
export function busyAndIdle(times: SelfTimes): { readonly busy: number; readonly idle: number } {
  const waited = times.get(idle) ?? 0;
  return { busy: [...times.values()].reduce((sum, time) => sum + time, 0) - waited, idle: waited };
}

/** V8 names the file `CPU.DATE.TIME.PID.THREAD.NUMBER.cpuprofile`; the main thread is 0. */
export function isMainThread(file: string): boolean {
  return file.split('.').at(-3) === '0';
}
