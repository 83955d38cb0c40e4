/**
 * Runs commands of the real program on a tiny cluster while strace records them, looks at every state that a crash could have
 * left, and gives some of these states to the real programs.
 */
import { join } from 'node:path';
import { OfflineBed, type Outcome } from '../../integration/offline-bed.ts';
import {
  type CrashState,
  crashStates,
  type Recording,
  type Rules,
  unexplained,
} from '../../support/power-loss/replay.ts';
import { recorder, takeTrace } from '../../support/power-loss/trace.ts';
import { readTree, type Tree, writeTree } from '../../support/power-loss/tree.ts';
import { findRealPgbackrest, isSince, type RealPgbackrest } from '../../support/real-pgbackrest.ts';
import type { OptionValues, Tool } from '../../support/stanza.ts';
import { type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { unprivilegedUser } from '../../support/unprivileged.ts';

/** A run of a command that is watched. */
export interface Step {
  readonly command: string;
  readonly args?: readonly string[];
  /** What the command's standard input is, for the shell. */
  readonly input?: string;
  /** Of the states, how many are given to the programs: in `npm test`, and in the long form. */
  readonly judged?: readonly [short: number, full: number];
}

/** Real programs look at what lies in the folder now. @throws when a promise is broken */
export type Judge = (state: CrashState) => Promise<void>;

export class PowerBed {
  readonly offline = new OfflineBed();
  readonly user = unprivilegedUser();
  readonly sweep: Sweep;
  /** Holds what is watched. */
  root = '';
  #traces = '';

  constructor(sweep: Sweep) {
    this.sweep = sweep;
  }

  get repo(): string {
    return join(this.root, 'repo');
  }

  /** The real pgBackRest, where there is one that reads what our options make. */
  real(level = '2.0'): RealPgbackrest | undefined {
    const real = findRealPgbackrest();
    return isSince(real, level) ? real : undefined;
  }

  /** Begins with an empty folder, whose `repo` is the repository. @param options lines of `[global]` */
  configure(options: OptionValues): void {
    this.root = this.offline.newFolder();
    this.#traces = this.offline.newFolder();
    this.offline.configure({ 'repo1-path': this.repo, 'compress-type': 'lz4', ...options });
  }

  /** Watches another folder, the repository stays where it is. */
  watch(root: string): void {
    this.root = root;
  }

  /** Runs the command to its success. */
  async record({ command, args = [], input }: Step): Promise<Recording> {
    const file = join(this.#traces, 'trace');
    const before = readTree(this.root, nothing);
    const tool = [...recorder(file), ...this.offline.ours];
    const outcome = await this.offline.attempt(command, args, input === undefined ? tool : fed(tool, input));
    if (outcome.code !== 0) throw failed(command, outcome);
    const calls = takeTrace(file);
    const recording = { root: this.root, ignored: nothing, before, calls, after: readTree(this.root, nothing) };
    const errors = unexplained(recording);
    if (errors.length > 0) throw new Error(`the model of the recorded ${command} is wrong:\n${errors.join('\n')}`);
    return recording;
  }

  /** Makes the folder what a tree says. */
  write(tree: Tree): void {
    writeTree(this.root, tree, { user: this.user, ignored: nothing });
  }

  /**
   * Checks all crash states of a recording by the rules, and some with the programs. Afterwards everything is as the command left it.
   * @param name of the step, for the tally
   */
  async check(
    name: string,
    recording: Recording,
    rules: Rules,
    judge: Judge,
    [short, full]: readonly [short: number, full: number] = [1, 25],
  ): Promise<void> {
    const { sweep } = this;
    const states = crashStates(recording, sweep.random, shortOrFull(4, 24));
    sweep.tried(`${name}, states by rules`, states.length);
    const broken = states.flatMap(state => rules(state).map(what => `${tell(state)}: ${what}`));
    if (broken.length > 0) {
      const shown = [...new Set(broken)].slice(0, 12).join('\n');
      throw new Error(`${name}: ${broken.length} broken promises (again: ${sweep.again})\n${shown}`);
    }
    try {
      for (const state of this.#choose(states, shortOrFull(short, full))) {
        this.write(state.tree);
        await sweep.case(`${name}, ${tell(state)}`, () => judge(state));
        sweep.tried(`${name}, states by programs`);
      }
    } finally {
      this.write(recording.after);
    }
  }

  /** States of both kinds, before and after success was told. */
  #choose(states: readonly CrashState[], count: number): CrashState[] {
    if (states.length <= count) return [...states];
    const chosen = new Set<CrashState>();
    const done = states.filter(state => state.done);
    if (done.length > 0) chosen.add(this.sweep.random.pick(done));
    while (chosen.size < count) chosen.add(this.sweep.random.pick(states));
    return [...chosen];
  }

  /** @throws with all that was said when the command does not end well */
  async succeed(command: string, args: readonly string[] = [], tool: Tool = this.offline.ours): Promise<string> {
    const outcome = await this.offline.attempt(command, args, tool);
    if (outcome.code !== 0) throw failed([...tool.slice(-1), command, ...args].join(' '), outcome);
    return outcome.output;
  }

  dispose(): void {
    this.offline.dispose();
  }
}

export const tell = ({ done, moment, how }: CrashState): string =>
  `crash after ${moment + 1} calls${done ? ', success was told' : ''}: ${how}`;

const nothing = (): boolean => false;

const fed = (tool: Tool, input: string): Tool => ['sh', '-c', `printf %s '${input}' | exec "$@"`, 'sh', ...tool];

const failed = (what: string, { code, signal, output }: Outcome): Error =>
  new Error(`${what} ended with ${code ?? signal}\n${output}`);
