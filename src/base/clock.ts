/** Time as the session gives it, so that labels, retention and timeouts can be tested to the second. */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number;
  /** Monotonic milliseconds, for durations: a clock that is set back does not touch it. */
  monotonic(): number;
  sleep(milliseconds: number): Promise<void>;
}

/** Stops this thread for so many milliseconds, for what has to wait and cannot give way. */
export function pauseThread(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export const systemClock: Clock = {
  now: () => Date.now(),
  // the global `performance` would load a module of Node for more than a millisecond
  monotonic: () => Number(process.hrtime.bigint()) / 1e6,
  sleep: milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds)),
};

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

/** The parts of a moment in the local time zone of this process (labels and log lines use it, as pgBackRest does). */
function localParts(milliseconds: number): { date: string; time: string; compact: string } {
  const at = new Date(milliseconds);
  const [y, mo, d] = [pad(at.getFullYear(), 4), pad(at.getMonth() + 1), pad(at.getDate())];
  const [h, mi, s] = [pad(at.getHours()), pad(at.getMinutes()), pad(at.getSeconds())];
  return { date: `${y}-${mo}-${d}`, time: `${h}:${mi}:${s}`, compact: `${y}${mo}${d}-${h}${mi}${s}` };
}

/** `2026-11-21 02:09:56`, local time. @param seconds since the epoch */
export function formatTime(seconds: number): string {
  const { date, time } = localParts(seconds * 1000);
  return `${date} ${time}`;
}

/** `2026-11-21 02:09:56+00`, local time with its offset (`+HH` or `+HH:MM`). @param seconds since the epoch */
export function formatTimeZone(seconds: number): string {
  const offset = -new Date(seconds * 1000).getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const minutes = Math.abs(offset) % 60;
  const hours = pad(Math.floor(Math.abs(offset) / 60));
  return `${formatTime(seconds)}${sign}${hours}${minutes === 0 ? '' : `:${pad(minutes)}`}`;
}

/** `2026-11-21 02:09:56.074`, local time, for log lines. @param milliseconds since the epoch */
export function formatLogTime(milliseconds: number): string {
  const { date, time } = localParts(milliseconds);
  return `${date} ${time}.${pad((((milliseconds % 1000) + 1000) % 1000) | 0, 3)}`;
}

/** `20261121-020956`, local time: the date part of a backup label. @param seconds since the epoch */
export function formatLabelTime(seconds: number): string {
  return localParts(seconds * 1000).compact;
}
