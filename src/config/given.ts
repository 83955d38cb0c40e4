/** What the sources say about options, before any of it is judged. */
import type { OptionName } from './table.ts';

/** One option of one index as the strongest source that has it gives it. */
export interface Given {
  readonly source: 'argument' | 'environment' | 'file';
  /** `--no-x`, or n for a boolean. */
  readonly negated: boolean;
  /** `--reset-x`: weaker sources are not looked at and the default is used. */
  readonly reset: boolean;
  /** The texts in order; none for booleans, negated and reset options. */
  readonly texts: readonly string[];
}

/** Key of an option that has no index. */
export const noKey = 0;

export class GivenOptions {
  readonly #byName = new Map<OptionName, Map<number, Given>>();

  get(name: OptionName, key: number): Given | undefined {
    return this.#byName.get(name)?.get(key);
  }

  set(name: OptionName, key: number, given: Given): void {
    const keys = this.#byName.get(name);
    if (keys === undefined) this.#byName.set(name, new Map([[key, given]]));
    else keys.set(key, given);
  }

  /** The keys under which some source has the option, unordered. */
  keys(name: OptionName): readonly number[] {
    const keys = this.#byName.get(name);
    return keys === undefined ? [] : [...keys.keys()];
  }

  names(): IterableIterator<OptionName> {
    return this.#byName.keys();
  }
}
