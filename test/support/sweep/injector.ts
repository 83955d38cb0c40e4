/**
 * Lets the n-th operation on files of our program fail, or kills the program there. The program is the real one, with its
 * threads; what Node's `fs` is asked for goes by `injector-preload.cjs` first.
 *
 *     const injector = new Injector(user, folder, project.command);
 *     const count = await injector.count({ under: [repo] }, tool => stanza.attempt(tool, ['backup']));
 *     for (let nth = 1; nth <= count; nth++) {
 *       const run = injector.prepare({ under: [repo], nth, fault: 'EIO' });
 *       const result = await stanza.attempt(run.tool, ['backup']);
 *       run.hit();    // what it was, or undefined when the command did less this time
 *     }
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tool } from '../stanza.ts';
import { giveTo, type UnprivilegedUser } from '../unprivileged.ts';

/** What an operation is about. `create` opens a file for writing, `remove` is of files and folders, `link` of both kinds. */
export type OperationKind =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'mkdir'
  | 'link'
  | 'stat'
  | 'list'
  | 'truncate'
  | 'attributes'
  | 'close';

/**
 * An errno; a read or write that moves half of what it could; the end of the whole process before or after the operation; or
 * what another program does to the file just before it: remove it (a directory with all in it), cut it to half its pages, add a
 * page, take all permissions away; or the end of the thread alone, at once or by an error that nobody catches (with
 * `thread: 'worker'`: in the main thread both end the process).
 */
export type Fault =
  | 'EIO'
  | 'ENOSPC'
  | 'EACCES'
  | 'ESTALE'
  | 'ENOENT'
  | 'short'
  | 'kill-before'
  | 'kill-after'
  | 'vanish'
  | 'shrink'
  | 'grow'
  | 'forbid'
  | 'end-thread'
  | 'throw-in-thread';

export interface Injection {
  /** Operations on these folders and what lies in them count; a rename by its old name. */
  readonly under: readonly string[];
  /** Which kinds count; all when absent. */
  readonly kinds?: readonly OperationKind[];
  /** Which one it happens to, from 1; none when absent. */
  readonly nth?: number;
  readonly fault?: Fault;
  /** All later ones too, as on a disk that stays full. */
  readonly onwards?: boolean;
  /** Only in this one of the processes of asynchronous archiving; in any when absent. */
  readonly process?: 'foreground' | 'background';
  /** Only what worker threads do counts. */
  readonly thread?: 'worker';
  /** A process that is started after it has happened is left alone. */
  readonly once?: boolean;
  /** Keeps every operation that counts: see `PreparedRun.operations`. */
  readonly log?: boolean;
}

/** Something that the program did. */
export interface Operation {
  readonly number: number;
  readonly kind: OperationKind;
  readonly path: string;
}

export interface PreparedRun {
  /** What starts the program: goes where `project.command` would. */
  readonly tool: Tool;
  /** Where the fault happened (the first time, with `onwards`), or undefined when the program did not get there. */
  hit(): Operation | undefined;
  /** All of them, with `onwards`. */
  hits(): Operation[];
  /** How many operations counted; of a program that was killed, undefined. The largest, of several processes. */
  total(): number | undefined;
  /** All that counted, in order of their numbers, where `log` was asked for. */
  operations(): Operation[];
}

const preload = readFileSync(join(import.meta.dirname, 'injector-preload.cjs'), 'utf8');

export class Injector {
  readonly #user: UnprivilegedUser;
  readonly #folder: string;
  readonly #command: readonly [node: string, launcher: string];
  #runs = 0;

  /**
   * @param folder a folder that the user may enter, for files of each run; it may not lie below one that counts
   * @param command our program, as runnableProject() gives it
   */
  constructor(user: UnprivilegedUser, folder: string, command: readonly [node: string, launcher: string]) {
    this.#user = user;
    this.#folder = join(folder, 'injector');
    this.#command = command;
    mkdirSync(this.#folder, { recursive: true });
    giveTo(user, this.#folder);
  }

  prepare(injection: Injection): PreparedRun {
    const name = join(this.#folder, String(++this.#runs));
    const report = `${name}.report`;
    const told = { kinds: [], nth: 0, fault: 'EIO', onwards: false, once: false, log: false, ...injection, report };
    writeFileSync(`${name}.cjs`, preload.replace('/* INJECTION */ null', JSON.stringify(told)));
    giveTo(this.#user, `${name}.cjs`);
    const [node, launcher] = this.#command;
    const lines = (): string[] => (existsSync(report) ? readFileSync(report, 'utf8').split('\n') : []);
    const operations = (word: string): Operation[] =>
      lines().flatMap(line => {
        const [, number, kind, path = ''] = new RegExp(`^${word} (\\d+) (\\S+) (.*)$`).exec(line) ?? [];
        return number === undefined ? [] : [{ number: Number(number), kind: kind as OperationKind, path }];
      });
    return {
      tool: [node, `--require=${name}.cjs`, launcher],
      hit: () => operations('hit')[0],
      hits: () => operations('hit'),
      total() {
        const totals = lines().flatMap(line => /^all (\d+)$/.exec(line)?.[1] ?? []);
        return totals.length === 0 ? undefined : Math.max(...totals.map(Number));
      },
      operations: () => operations('did').sort((a, b) => a.number - b.number),
    };
  }

  /** @returns how many operations the command makes when nothing happens to it @throws when it was killed */
  async count(injection: Injection, attempt: (tool: Tool) => Promise<unknown>): Promise<number> {
    const run = this.prepare(injection);
    await attempt(run.tool);
    const total = run.total();
    if (total === undefined) throw new Error('the program has not come to its end');
    return total;
  }
}
