/** The beds of a run. */
import { Bed, type BedName, type BedOptions } from './bed.ts';
import type { Runner } from './measure.ts';
import type { Row } from './row.ts';

/** Makes beds when a row asks for them and removes them after the last that does. */
export class Beds {
  readonly #beds = new Map<BedName, Bed>();
  readonly #create: (name: BedName) => Promise<Bed>;

  constructor(create: (name: BedName) => Promise<Bed>) {
    this.#create = create;
  }

  /** @param made is told each new bed */
  static of(
    version: string | undefined,
    options: BedOptions,
    runner: Runner,
    made: (bed: Bed) => Promise<void> = async () => undefined,
  ): Beds {
    return new Beds(async name => {
      console.error(`making the cluster '${name}'`);
      const bed = await Bed.create(name, version, options, runner.env);
      await made(bed);
      return bed;
    });
  }

  async get(name: BedName): Promise<Bed> {
    const bed = this.#beds.get(name) ?? (await this.#create(name));
    this.#beds.set(name, bed);
    return bed;
  }

  /** @param later rows that are still to come */
  async keepFor(later: readonly Row[]): Promise<void> {
    for (const [name, bed] of this.#beds) {
      if (later.some(row => row.bed === name)) continue;
      this.#beds.delete(name);
      await bed.dispose();
    }
  }
}
