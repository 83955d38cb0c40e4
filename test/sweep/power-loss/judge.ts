/** The real programs look at what a crash has left of a repository: ours, and pgBackRest where it is there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { forgeSegment } from '../../command/archive/archive-bed.ts';
import type { CrashState } from '../../support/power-loss/replay.ts';
import type { RealPgbackrest } from '../../support/real-pgbackrest.ts';
import { pages } from '../../support/tiny-cluster.ts';
import type { PowerBed, Step } from './bed.ts';

export class RepoJudge {
  readonly #bed: PowerBed;
  readonly #real: RealPgbackrest | undefined;
  /** What each backup brings back. */
  readonly #contents = new Map<string, Record<string, string>>();
  /** What was archived. */
  readonly #segments = new Map<string, Buffer>();
  #changes = 100;

  /** @param real reads all that the steps write */
  constructor(bed: PowerBed, real: RealPgbackrest | undefined) {
    this.#bed = bed;
    this.#real = real;
  }

  get labels(): string[] {
    return [...this.#contents.keys()];
  }

  /** Takes note of the backup that was just made of the cluster as it is. */
  async learn(): Promise<void> {
    for (const label of await this.#bed.offline.labels())
      if (!this.#contents.has(label)) this.#contents.set(label, this.#bed.offline.content());
  }

  /** The cluster goes on: one file is changed in a part, one is new, one is gone or comes back. */
  change(round: number): void {
    const { cluster } = this.#bed.offline;
    cluster.write('base/5/1247', Buffer.concat([pages(2, 1), pages(1 + (round % 2), round)]));
    cluster.write(`base/5/${17000 + round}`, pages(1, 100 + round));
    cluster.write('base/5/16390', round % 2 === 0 ? '' : pages(1, round));
  }

  /** Makes a segment that waits to be archived. @returns its path */
  segment(name: string): string {
    const { cluster } = this.#bed.offline;
    const content = forgeSegment(name);
    cluster.write(`pg_wal/${name}`, content);
    this.#segments.set(name, content);
    return join(cluster.data, 'pg_wal', name);
  }

  /** What lies in the repository keeps the promises of this command. */
  async judge({ command, args = [] }: Step, { tree, done }: CrashState): Promise<void> {
    const bed = this.#bed;
    const { offline } = bed;
    const hasStanza =
      tree.has(`${bed.repo}/backup/demo/backup.info`) || tree.has(`${bed.repo}/backup/demo/backup.info.copy`);
    const listed = hasStanza && command !== 'stanza-delete' ? await this.#checkListed(tree) : [];
    const isListed = listed.includes(this.labels.at(-1) ?? '');
    if (done && command === 'archive-push') await this.#checkSegments();
    if (command === 'stanza-delete') await offline.run('stop');
    // it is there already, and an incremental one wants something to do
    if (command === 'backup' && isListed) this.change(++this.#changes);
    await bed.succeed(command, args);
    if (command === 'stanza-delete') return;
    if (command === 'archive-push') await this.#checkSegments();
    await this.#verify();
    if (command !== 'backup') return;
    expect(await offline.restore()).toEqual(offline.content());
  }

  /** What info lists can be restored, but for a backup that expire was about to remove: its manifest goes first. */
  async #checkListed(tree: CrashState['tree']): Promise<readonly string[]> {
    const { offline, repo } = this.#bed;
    const labels = await offline.labels();
    for (const label of labels) {
      if (!tree.has(`${repo}/backup/demo/${label}/backup.manifest`)) continue;
      expect(await offline.restore([`--set=${label}`]), label).toEqual(this.#contents.get(label));
    }
    return labels;
  }

  async #checkSegments(): Promise<void> {
    for (const [name, content] of this.#segments) {
      const to = join(this.#bed.offline.newFolder(), name);
      await this.#bed.offline.run('archive-get', name, to);
      expect(readFileSync(to).equals(content), name).toBe(true);
    }
  }

  async #verify(): Promise<void> {
    const said = await this.#bed.succeed('verify', ['--output=text', '--verbose']);
    expect(said).not.toMatch(/ERROR|WARN|(invalid|missing|mismatch)[^:\n]*: [1-9]/);
    if (this.#real === undefined) return;
    const real = await this.#bed.succeed('verify', [], [this.#real.path]);
    expect(real).not.toMatch(/ERROR|WARN: path|invalid checksum/);
  }
}
