/**
 * The repositories that one backup goes to. Where there are several (option backup-fan-out), one that fails drops out: what
 * it has of the backup stays as a killed backup would leave it, and the others go on.
 */
import { BackstopError } from '../../base/error.ts';
import { formatRepoError, formatRepoErrors, type RepoError, repoError } from '../repo-error.ts';
import type { Session } from '../session.ts';

/** What belongs to one repository. */
interface OfRepo {
  /** Number of the repository. */
  readonly key: number;
}

export class FanOut {
  readonly #session: Session<'backup'>;
  readonly #keys: readonly number[];
  readonly #failures = new Map<number, RepoError>();

  /** @param keys numbers of the repositories, at least one */
  constructor(session: Session<'backup'>, keys: readonly number[]) {
    this.#session = session;
    this.#keys = keys;
  }

  /** The repositories that have not failed. */
  get left(): readonly number[] {
    return this.#keys.filter(key => !this.#failures.has(key));
  }

  /** None has failed. */
  get isComplete(): boolean {
    return this.#failures.size === 0;
  }

  /** The session for what is done in one repository: with several, its log says which one speaks. */
  sessionOf(key: number): Session<'backup'> {
    if (this.#keys.length === 1) return this.#session;
    return { ...this.#session, log: this.#session.log.withPrefix(`repo${key}: `) };
  }

  /** Those that belong to repositories that are left. */
  only<T extends OfRepo>(items: readonly T[]): T[] {
    return items.filter(({ key }) => !this.#failures.has(key));
  }

  /**
   * Does something for each repository that is left, for all at once: none waits for the answers of another.
   * @returns what came of it where it did not fail
   * @throws what a single repository failed with, or the first of several when none is left
   */
  async each<T extends OfRepo, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
    const results = await Promise.all(
      this.only(items).map(async item => {
        try {
          return [await work(item)];
        } catch (error) {
          this.drop(item.key, error);
          return [];
        }
      }),
    );
    return results.flat();
  }

  /**
   * Goes on without a repository.
   * @throws the error when there is no other, or that of the first that failed when none is left
   */
  drop(key: number, thrown: unknown): void {
    if (this.#keys.length === 1) throw thrown;
    if (this.#failures.has(key)) return;
    const failure = repoError(key, thrown);
    this.#failures.set(key, failure);
    const [first = failure] = this.#failures.values();
    const isLast = this.#failures.size === this.#keys.length;
    const note = isLast ? '' : '\nNOTE: the backup goes on without this repository.';
    this.#session.log.warn(`${formatRepoError(failure)}${note}`);
    if (!isLast) return;
    const { error, repo } = first;
    throw new BackstopError(error.kind, `${repo}: ${error.message}`, { hint: error.hints, cause: error });
  }

  /** @throws command when a repository has dropped out */
  end(): void {
    if (this.isComplete) return;
    const failures = [...this.#failures.values()];
    const has = this.left.map(key => `repo${key}`).join(', ');
    throw new BackstopError('command', `backup command encountered error(s):\n${formatRepoErrors(failures)}`, {
      hint: `the backup is complete in ${has}.`,
    });
  }
}
