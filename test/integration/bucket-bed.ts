/** Our command line on a tiny cluster, with repositories in buckets of the lab. No server: backups are offline. */
import type { S3Lab } from '../support/s3/lab.ts';
import { type RepoOptions, repoOptions } from '../support/s3/repo-options.ts';
import type { OptionValues } from '../support/stanza.ts';
import { OfflineBed } from './offline-bed.ts';

export type { Outcome } from './offline-bed.ts';

export class BucketBed extends OfflineBed {
  readonly #lab: S3Lab;

  constructor(lab: S3Lab) {
    super();
    this.#lab = lab;
  }

  /** Takes another repository from here on. @param more lines of `[global]` */
  use(repo: RepoOptions, more: OptionValues = {}): void {
    this.configure({ ...repoOptions(this.#lab, repo), ...more });
  }
}
