/** Three repositories that are not alike, for backups that go to all of them. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { pages } from '../support/tiny-cluster.ts';
import { OfflineBed, type Running } from './offline-bed.ts';

export const repos = [1, 2, 3] as const;

/** Slow enough to be met in the middle: one worker, the slowest codec. */
export const slowly = ['--compress-type=bz2', '--compress-level=9', '--process-max=1'];

export class FanOutBed extends OfflineBed {
  #root = '';

  constructor() {
    super();
    for (let file = 20_000; file < 20_150; file++) this.cluster.write(`base/5/${file}`, pages(1 + (file % 5), file));
  }

  /** Takes new repositories: files one by one and plain; blocks in small bundles, encrypted; larger bundles, encrypted. */
  async createRepos(): Promise<void> {
    this.#root = this.newFolder();
    this.configure({
      'backup-fan-out': 'y',
      'checksum-page': 'n',
      'compress-type': 'lz4',
      'job-retry': 0,
      'repo1-path': this.repoPath(1),
      'repo2-path': this.repoPath(2),
      'repo2-cipher-type': 'aes-256-cbc',
      'repo2-cipher-pass': 'two',
      'repo2-bundle': 'y',
      'repo2-bundle-size': '1MiB',
      'repo2-bundle-limit': '64KiB',
      'repo2-block': 'y',
      'repo2-retention-full': 9,
      'repo3-path': this.repoPath(3),
      'repo3-cipher-type': 'aes-256-cbc',
      'repo3-cipher-pass': 'three',
      'repo3-bundle': 'y',
      'repo3-bundle-size': '2MiB',
      'repo3-retention-full': 9,
    });
    await this.run('stanza-create');
  }

  repoPath(repo: number): string {
    return join(this.#root, `repo${repo}`);
  }

  /** The directory that holds those of backups. */
  backups(repo: number): string {
    return join(this.repoPath(repo), 'backup/demo');
  }

  /** Labels that info lists, by repository. */
  async allLabels(): Promise<string[][]> {
    return await Promise.all(repos.map(repo => this.labels(`--repo=${repo}`)));
  }

  /** Directories of backups that are not complete. */
  unfinished(repo: number): string[] {
    const folder = this.backups(repo);
    return readdirSync(folder).filter(
      name => /^\d{8}-\d{6}F/.test(name) && !existsSync(join(folder, name, 'backup.manifest')),
    );
  }

  /** That the newest backup of each repository, alone, is the cluster. */
  async expectRestores(...which: readonly number[]): Promise<void> {
    const content = this.content();
    for (const repo of which) expect(await this.restore([`--repo=${repo}`]), `repo${repo}`).toEqual(content);
  }

  /** Waits until the second repository has its first bundle. @returns where its bundles are */
  async untilBundled(running: Running): Promise<string> {
    let isOver = false;
    running.done.finally(() => {
      isOver = true;
    });
    for (;;) {
      const [label] = this.unfinished(2);
      const folder = join(this.backups(2), label ?? '', 'bundle');
      if (label !== undefined && existsSync(folder)) return folder;
      if (isOver) throw new Error(`ended before it was met in the middle:\n${(await running.done).output}`);
      await new Promise(resolve => setTimeout(resolve, 5));
    }
  }
}
