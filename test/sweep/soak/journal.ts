import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { projectRoot } from '../../support/unprivileged-project.ts';

/** What happened in a soak, and when; and how often. It can be read in `.test/sweep/soak-SECONDS.log` while it goes on. */
export class Journal {
  readonly #began = performance.now();
  readonly #counts = new Map<string, number>();
  readonly #sweep: Sweep;
  readonly #file: string;
  #lines: string[] = [];

  constructor(sweep: Sweep, seconds: number) {
    this.#sweep = sweep;
    const folder = join(projectRoot(), '.test', 'sweep');
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, `soak-${seconds}.log`);
    writeFileSync(this.#file, `${sweep.again}\n`);
  }

  /** Something that counts. */
  note(what: string, text = ''): void {
    this.#counts.set(what, this.count(what) + 1);
    this.#sweep.tried(what);
    this.add(`${what} ${text}`);
  }

  /** What belongs to the line before it. */
  add(text: string): void {
    const line = `${this.seconds.toFixed(1)} s: ${text}`;
    appendFileSync(this.#file, `${line}\n`);
    this.#lines.push(line);
    // an hour of them is more than anybody reads
    if (this.#lines.length > 2000) this.#lines = this.#lines.slice(-1000);
  }

  count(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  get text(): string {
    return this.#lines.join('\n');
  }
}
