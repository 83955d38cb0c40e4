/** Which repositories are asked first: one that was slow is asked last for a while. */
import type { Clock } from '../../base/clock.ts';
import { UnreachableError } from '../../storage/unreachable.ts';
import {
  type ArchivedFile,
  type ArchiveSearch,
  checkProof,
  type OpeningSource,
  type SearchOptions,
  searchArchives,
  usualPatience,
} from './archived-file.ts';

type FindOptions = Pick<SearchOptions, 'find'> & { readonly warn: (message: string) => void };

/** Seconds for which a repository that did not answer is asked last. */
const remembered = 60;

export class RepoOrder {
  readonly #clock: Clock;
  readonly #slow = new Map<number, number>();

  /** @param slow what an earlier process has learnt: keys, with the second since the epoch in which it was */
  constructor(slow: ReadonlyMap<number, number> | undefined, clock: Clock) {
    this.#clock = clock;
    const now = clock.now() / 1000;
    // a clock that was set back must not make it last for years
    for (const [key, since] of slow ?? []) if (Math.abs(now - since) < remembered) this.#slow.set(key, since);
  }

  get slow(): ReadonlyMap<number, number> {
    return this.#slow;
  }

  /**
   * As findArchivedFile(). The slow repositories are asked only when the others do not have the file: that it is not there
   * is for all to say.
   */
  async find(sources: readonly OpeningSource[], name: string, options: FindOptions): Promise<readonly ArchivedFile[]> {
    const patient = { ...options, patience: usualPatience };
    const quick = sources.filter(({ key }) => !this.#slow.has(key));
    if (quick.length > 0 && quick.length < sources.length) {
      const search = await searchArchives(quick, name, patient);
      this.#remember(search, options.warn);
      if (search.copies.length > 0) return search.copies;
    }
    const search = await searchArchives(sources, name, patient);
    this.#remember(search, options.warn);
    checkProof(name, search, sources.length, options.warn);
    return search.copies;
  }

  #remember({ unanswered, errors }: ArchiveSearch, warn: (message: string) => void): void {
    const unreachable = errors.filter(({ error }) => error instanceof UnreachableError).map(({ key }) => key);
    for (const key of [...unanswered, ...unreachable]) {
      if (this.#slow.has(key)) continue;
      this.#slow.set(key, Math.floor(this.#clock.now() / 1000));
      warn(`repo${key}: is asked last for a while, because it does not answer`);
    }
  }
}
