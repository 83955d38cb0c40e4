/** The backups that there are, and what is known of them beside. */
import { findRealPgbackrest, isSince } from '../../support/real-pgbackrest.ts';
import type { Name, SoakBed } from './bed.ts';
import { positionOf } from './position.ts';

export const judgeKnowsBlocks = isSince(findRealPgbackrest(), '2.46');

export type BackupType = 'full' | 'diff' | 'incr';

/** What `info` says of a backup. */
export interface Listed {
  readonly label: string;
  readonly type: BackupType;
  readonly reference: readonly string[] | null;
  readonly archive: { readonly start: string; readonly stop: string };
  readonly lsn: { readonly start: string; readonly stop: string };
  readonly timestamp: { readonly start: number; readonly stop: number };
}

export class Catalog {
  readonly #bed: SoakBed;
  /** Labels of backups with block maps, which Debian's real tool does not know. */
  readonly #blocks = new Set<string>();
  /** Labels of backups on a timeline that the cluster has left before they ended. */
  readonly #left = new Set<string>();
  readonly #seen = new Set<string>();
  hasBundles = false;

  constructor(bed: SoakBed) {
    this.#bed = bed;
  }

  /** Oldest first. */
  async list(): Promise<Listed[]> {
    const [stanza] = JSON.parse(await this.#bed.succeed('ours', ['info', '--output=json'])) as { backup: Listed[] }[];
    return stanza?.backup ?? [];
  }

  /** Looks which of the new backups are by blocks. */
  async learn(): Promise<void> {
    for (const { label, type } of await this.list()) {
      if (this.#seen.has(label)) continue;
      this.#seen.add(label);
      const manifest = await this.#bed.succeed('ours', ['manifest', '--output=json', `--set=${label}`]);
      const { block, bundle } = JSON.parse(manifest);
      if (block?.block === true) this.#blocks.add(label);
      if (bundle?.bundle === true) this.hasBundles = true;
      this.#bed.journal.note(`${type} backup`, `${label}${this.#blocks.has(label) ? ' (blocks)' : ''}`);
    }
  }

  /** Can the tool read the backup and all that it refers to? */
  knows(name: Name, { label, reference }: Listed): boolean {
    return name === 'ours' || judgeKnowsBlocks || ![label, ...(reference ?? [])].some(one => this.#blocks.has(one));
  }

  /** The tools that can read a backup. */
  readers(backup: Listed): Name[] {
    return [...this.#bed.tools.keys()].filter(name => this.knows(name, backup));
  }

  /** Does no recovery on the cluster's timeline go through it? */
  isLeft({ label }: Listed): boolean {
    return this.#left.has(label);
  }

  /** The cluster goes on from a position another way. */
  async rewind(position: bigint): Promise<void> {
    for (const { label, lsn } of await this.list()) if (positionOf(lsn.stop) > position) this.#left.add(label);
  }
}
