/** The cluster of a history: its files change, it becomes another one, and its WAL is archived. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha1 } from '../../command/archive/archive-bed.ts';
import { forgeControl, forgeWalHeader } from '../../postgres/forge.ts';
import type { Random } from '../../support/random.ts';
import type { CommandBed } from '../../support/sweep/command-bed.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { segmentSize, WalPosition } from './fake-server.ts';

/** Files that a restore makes its own, or that are WAL. */
const notCompared = /^(pg_wal\/.*|postgresql\.auto\.conf|recovery\.signal|backup_label|global\/pg_control)$/;

export class ModelCluster {
  readonly #bed: CommandBed;
  readonly #random: Random;
  #systemId = 7_000_000_000_000_000_001n;
  version: '15' | '14' = '15';
  position = new WalPosition(4090);
  /** Times that each file has had. */
  readonly #times = new Map<string, Set<number>>();

  constructor(bed: CommandBed, random: Random) {
    this.#bed = bed;
    this.#random = random;
    for (const name of ['15_202209061', '14_202107181']) {
      const folder = join(bed.cluster.folder, 'space', `PG_${name}`, '5');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, '16401'), pages(1, 4), { mode: 0o600 });
    }
    this.#writeControl();
  }

  /** Another cluster takes its place. */
  replace(version: '15' | '14'): void {
    this.version = version;
    this.#systemId++;
    this.position = new WalPosition(this.#random.between(1, 300));
    this.#writeControl();
  }

  #writeControl(): void {
    const { cluster } = this.#bed;
    cluster.write('PG_VERSION', `${this.version}\n`);
    const fields = { systemId: this.#systemId, walSegmentSize: segmentSize, checksums: 0 };
    cluster.write('global/pg_control', forgeControl(this.version, fields));
  }

  /** Some files change, come and go. @param seconds time that they have then */
  change(seconds: number): void {
    const { data } = this.#bed.cluster;
    const random = this.#random;
    const touch = (name: string, content: Uint8Array): void => {
      const path = join(data, name);
      writeFileSync(path, content, { mode: 0o600 });
      const time = this.#newTime(name, Math.floor(seconds));
      utimesSync(path, time, time);
    };
    for (let count = random.between(1, 3); count > 0; count--) {
      const name = `base/5/${20_000 + random.between(0, 5)}`;
      const path = join(data, name);
      const exists = statSync(path, { throwIfNoEntry: false }) !== undefined;
      const dice = random.between(1, 10);
      if (exists && dice === 1) rmSync(path);
      else if (dice === 2) touch(name, Buffer.alloc(0));
      else if (exists && dice <= 7 && statSync(path).size > 0) {
        // one page of several, as a server writes it
        const content = readFileSync(path);
        content.fill(random.between(0, 255), 8192 * random.between(0, content.length / 8192 - 1));
        touch(name, content);
      } else touch(name, pages(random.between(1, 6), random.between(1, 1000)));
    }
    touch('global/pg_control', readFileSync(join(data, 'global/pg_control')));
  }

  /**
   * A file that is changed in a second in which it was changed before, because the clock was set back, cannot be told from what
   * it was: that is what the option delta is for, and no other file of a history is like it.
   */
  #newTime(name: string, seconds: number): number {
    const times = this.#times.get(name) ?? new Set();
    this.#times.set(name, times);
    let time = seconds;
    while (times.has(time)) time++;
    times.add(time);
    return time;
  }

  content(data = this.#bed.cluster.data): Record<string, string> {
    const found: Record<string, string> = {};
    const visit = (folder: string, base: string): void => {
      for (const entry of readdirSync(folder).sort()) {
        const path = join(folder, entry);
        if (statSync(path).isDirectory()) visit(path, `${base}${entry}/`);
        else if (!notCompared.test(base + entry)) found[base + entry] = sha1(readFileSync(path));
      }
    };
    visit(data, '');
    // of a tablespace only the directory of this version is read
    const other = this.version === '15' ? 'PG_14' : 'PG_15';
    if (data !== this.#bed.cluster.data) return found;
    return Object.fromEntries(Object.entries(found).filter(([name]) => !name.includes(`/${other}_`)));
  }

  /** A file of pg_wal as the server has it. @returns its path */
  walFile(name: string, text?: string): string {
    const path = join(this.#bed.root, 'wal', name);
    mkdirSync(dirname(path), { recursive: true });
    const content = text === undefined ? Buffer.alloc(segmentSize) : Buffer.from(text);
    if (text === undefined) {
      content.set(forgeWalHeader(this.version, { systemId: this.#systemId, segmentSize }));
      content.write(`${name.slice(0, 24)} of ${this.#systemId}`, 8192);
    }
    writeFileSync(path, content);
    return path;
  }
}
