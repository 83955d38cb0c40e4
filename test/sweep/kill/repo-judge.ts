/** Says whether repositories are as if nobody had been killed: what is listed is whole, and both tools say so. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Tool } from '../../support/stanza.ts';
import { expectOk, type KillBed } from './kill-bed.ts';

/** Checksums of files by their names. */
export type Content = Readonly<Record<string, string>>;

export interface RepoJudgeOptions {
  readonly bed: KillBed;
  /** Numbers of the repositories. */
  readonly repos: readonly number[];
  /** Content of each backup that was there, by its label. What is listed beside these has the content of the cluster. */
  readonly contents: ReadonlyMap<string, Content>;
  /** The real tool knows the format. */
  readonly both: boolean;
}

export class RepoJudge {
  readonly #options: RepoJudgeOptions;
  readonly #contents: Map<string, Content>;

  constructor(options: RepoJudgeOptions) {
    this.#options = options;
    this.#contents = new Map(options.contents);
  }

  /** The real tool is the faster one, and the stricter judge. */
  get #fast(): Tool {
    const { bed, both } = this.#options;
    return both ? bed.judge : bed.ours;
  }

  /**
   * Both tools list the same backups, a restore of each is what was backed up, and nothing is wrong with what is stored.
   * @returns labels by repository
   */
  async expectWhole(): Promise<string[][]> {
    const all = await this.expectRestores();
    for (const key of this.#options.repos) await this.#expectSound(key);
    return all;
  }

  /** As expectWhole(), for info files that may tell of different clusters: in the middle of an upgrade. */
  async expectRestores(): Promise<string[][]> {
    const { bed, repos, both } = this.#options;
    const all: string[][] = [];
    for (const key of repos) {
      const labels = await bed.listed(key, bed.ours);
      if (both) expect(await bed.listed(key, bed.judge)).toEqual(labels);
      expect(bed.completeBackups(key)).toEqual(expect.arrayContaining(labels));
      for (const label of labels) await this.#expectContent(key, label, this.#fast);
      all.push(labels);
    }
    return all;
  }

  /** What is complete by now, listed or yet to be found, has the content that the cluster has now: that will change. */
  noteComplete(): void {
    const { bed, repos } = this.#options;
    for (const key of repos) {
      for (const label of bed.completeBackups(key))
        if (this.#contentOf(key, label) === undefined) this.#contents.set(`${key} ${label}`, bed.content());
    }
  }

  /** The newest backup of each repository is the cluster, also by our own restore. */
  async expectNewest(): Promise<void> {
    const { bed, repos, both } = this.#options;
    for (const key of both ? repos : []) {
      const label = (await bed.listed(key, bed.judge)).at(-1) ?? '';
      expect(this.#contentOf(key, label), `${label} is new`).toBeUndefined();
      await this.#expectContent(key, label, bed.ours);
    }
  }

  /** The other tool goes on where ours was killed. The state is put back afterwards. */
  async expectTheOtherGoesOn(command: string, args: readonly string[]): Promise<void> {
    const { bed, repos, both } = this.#options;
    if (!both) return;
    const killed = bed.photograph();
    await bed.untilLabelIsFree(repos);
    for (const key of repos) {
      expectOk(`the real ${command}`, await bed.attempt(command, [...args, `--repo=${key}`], bed.judge));
      const newest = (await bed.listed(key, bed.judge)).at(-1);
      if (newest !== undefined) await this.#expectContent(key, newest, bed.judge);
    }
    bed.putBack(killed);
    bed.forget(killed);
  }

  /** Nothing is there but what is listed: no half backups, no locks, and no temporary names once an expire finds them old. */
  async expectTidy(): Promise<void> {
    const { bed, repos } = this.#options;
    if (bed.leftovers().length > 0) {
      bed.ageLeftovers();
      await bed.run('expire');
    }
    expect(bed.leftovers()).toEqual([]);
    expect(readdirSync(join(bed.state, 'lock'))).toEqual([]);
    for (const key of repos) expect(bed.directories(key)).toEqual(await bed.listed(key, bed.ours));
  }

  async #expectContent(key: number, label: string, tool: Tool): Promise<void> {
    const { bed } = this.#options;
    const expected = this.#contentOf(key, label) ?? bed.content();
    expect(await bed.restore([`--repo=${key}`, `--set=${label}`], tool), `${label} in repo${key}`).toEqual(expected);
  }

  /** What was backed up earlier. A label that is gone on with in one repository may be complete, and older, in another. */
  #contentOf(key: number, label: string): Content | undefined {
    return this.#contents.get(`${key} ${label}`) ?? this.#contents.get(label);
  }

  async #expectSound(key: number): Promise<void> {
    const { bed, both } = this.#options;
    for (const tool of both ? [bed.ours, bed.judge] : [bed.ours]) {
      const said = expectOk('verify', await bed.attempt('verify', [`--repo=${key}`], tool));
      expect(said).not.toMatch(/ERROR|invalid checksum|status: error|(missing|invalid|other): [1-9]/);
    }
  }
}
