/** What a command gets: settings, log, clock, and the things it opens on demand. Made once, in cli. */
import type { Clock } from '../base/clock.ts';
import type { Lock } from '../base/lock.ts';
import type { Log } from '../base/log.ts';
import type { CommandName, RunCommand } from '../config/command.ts';
import type { Settings } from '../config/settings.ts';
import type { StoreRequests } from './store-requests.ts';

export interface Session<C extends CommandName = RunCommand> {
  readonly settings: Settings<C>;
  readonly log: Log;
  readonly clock: Clock;
  /** Version of pgbackstop: written into info files and log lines. */
  readonly version: string;
  /** `PID-8hex`: names this run in lock files and logs. */
  readonly execId: string;
  /** Compiled entry of worker threads. */
  readonly threadFile: string;
  /** As this process was started. What is secret in it is no longer in `process.env`, which other programs are given. */
  readonly environment: NodeJS.ProcessEnv;
  /** Stanzas that the configuration files name. */
  readonly stanzas: readonly string[];
  /** The locks that were taken for this command. */
  readonly locks: readonly Lock[];
  /**
   * Tells lock files, where info reads it, and a terminal how far the command is, in bytes; undefined: no longer under way.
   * May be called as often as there is something new.
   */
  readonly progress: (progress: { readonly size: number; readonly sizeComplete: number } | undefined) => void;
  /** Counts what is asked of object stores. */
  readonly requests: StoreRequests;
  /** Writes to standard output, for commands whose result is text. */
  readonly print: (text: string) => void;
  /**
   * Has another command run after this one, whether that ends well or not (expire after backup): under the same locks, with
   * begin and end lines of its own. The first failure is the failure of the process.
   */
  readonly afterwards: <D extends RunCommand>(settings: Settings<D>) => void;
  /**
   * Tells that there was nothing to do but to look into the spool, and nothing to say: the next call of this kind may be
   * answered without the program (cli/first-step.ts).
   */
  readonly answeredFromSpool: (answer: SpoolAnswer) => void;
}

/** An answer of archive-push or archive-get that was found in the spool. */
export interface SpoolAnswer {
  /** `out` or `in` of the stanza. */
  readonly folder: string;
  /** The data directory of the cluster that the spool is of. */
  readonly clusterPath: string;
  /** archive-get: while the segment so many ahead is in the spool, the background process need not be started. */
  readonly queue?: { readonly ahead: number; readonly segmentSize: number };
}

/** A command's module: what `command/index.ts` loads when it is asked for. */
export interface CommandModule<C extends RunCommand> {
  /** @returns the exit code when it is not 0 */
  run(session: Session<C>): Promise<number | undefined>;
}
