/** Our commands on a tiny cluster, with one operation on one file that fails: for tests of what is said then. */
import { OfflineBed, type Outcome } from '../integration/offline-bed.ts';
import { type Injection, Injector, type Operation } from '../support/sweep/injector.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';

export interface MetFailure extends Outcome {
  /** Where it happened. */
  readonly hit: Operation | undefined;
}

export class FailingDisk extends OfflineBed {
  readonly repo = this.newFolder();
  readonly locks = this.newFolder();
  readonly #injector: Injector;

  constructor() {
    super();
    const [node = '', launcher = ''] = this.ours;
    this.#injector = new Injector(unprivilegedUser(), this.newFolder(), [node, launcher]);
    this.configure({ 'repo1-path': this.repo, 'lock-path': this.locks, 'job-retry': 0 });
  }

  async meet(injection: Injection, command: string, ...args: readonly string[]): Promise<MetFailure> {
    const run = this.#injector.prepare(injection);
    const outcome = await this.attempt(command, args, run.tool);
    return { ...outcome, hit: run.hit() };
  }

  /** How many of such operations the command makes. */
  async count(injection: Injection, command: string, ...args: readonly string[]): Promise<number> {
    return await this.#injector.count(injection, tool => this.attempt(command, args, tool));
  }
}
