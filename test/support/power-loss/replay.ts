/** Goes through a recording, and looks at what a crash at each moment of it could leave. */
import type { Random } from '../random.ts';
import { type Crash, crashes } from './crash.ts';
import { Disk } from './disk.ts';
import type { DiskCall } from './trace.ts';
import { fingerprint, type Tree, wordOf } from './tree.ts';

/** One run of a command. */
export interface Recording {
  readonly root: string;
  readonly ignored: (path: string) => boolean;
  /** All of it durable. */
  readonly before: Tree;
  readonly calls: readonly DiskCall[];
  readonly after: Tree;
}

export interface CrashState extends Crash {
  /** The command had told of its success. */
  readonly done: boolean;
  /** How many calls came before the crash. */
  readonly moment: number;
}

/** What must hold in a state, told cheaply. @returns what does not */
export type Rules = (state: CrashState) => readonly string[];

/** @returns every state that differs from the others, with whether success was told */
export function crashStates(recording: Recording, random: Random, most: number): CrashState[] {
  const disk = new Disk(recording.root, recording.before, recording.ignored);
  const states = new Map<string, CrashState>();
  let done = false;
  for (const [moment, call] of recording.calls.entries()) {
    const told = tellsSuccess(call);
    if (!disk.apply(call) && (done || !told)) continue;
    done ||= told;
    for (const crash of crashes(disk, random, most)) {
      const key = `${done} ${fingerprint(crash.tree)}`;
      if (!states.has(key)) states.set(key, { ...crash, done, moment });
    }
  }
  if (!done) throw new Error('the recorded command did not tell of its success');
  return [...states.values()];
}

function tellsSuccess(call: DiskCall): boolean {
  if (call.call === 'exit') return call.code === 0;
  return call.call === 'say' && call.text.includes('command end: completed successfully');
}

/** The disk as it was when so many calls were made. */
export function diskAt(recording: Recording, moment: number): Disk {
  const disk = new Disk(recording.root, recording.before, recording.ignored);
  for (const call of recording.calls.slice(0, moment)) disk.apply(call);
  return disk;
}

/** A recording is good for something only when it explains what is there. @returns what it does not */
export function unexplained(recording: Recording): string[] {
  return differences(diskAt(recording, recording.calls.length).live(), recording.after);
}

/** Paths at which the trees differ, in words. */
export function differences(is: Tree, should: Tree): string[] {
  const found: string[] = [];
  for (const path of new Set([...is.keys(), ...should.keys()])) {
    const [there, wanted] = [wordOf(is.get(path)), wordOf(should.get(path))];
    if (there !== wanted) found.push(`${path} is ${there} and not ${wanted}`);
  }
  return found;
}

/** The recording of a program that syncs nothing, or nothing of some kind: what it reports must be found to be lost. */
export function withoutSyncs(recording: Recording, dropped: (path: string) => boolean = () => true): Recording {
  return { ...recording, calls: recording.calls.filter(call => call.call !== 'sync-end' || !dropped(call.path)) };
}

/** A run that was killed at a moment, and another one that went on with what it left: none of it need be durable. */
export function joined(killed: Recording, moment: number, next: Recording): Recording {
  const before = killed.calls.slice(0, moment);
  // syncs that the kill has cut off save nothing
  const calls = [...before, ...next.calls].map((call, index) =>
    index >= moment && 'number' in call ? { ...call, number: call.number + killed.calls.length } : call,
  );
  return { ...killed, calls, after: next.after };
}
