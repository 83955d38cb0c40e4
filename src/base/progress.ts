/** What long work tells while it runs. Log lines, the lock file and a terminal line are readers of the same events. */
export interface Progress {
  /** Bytes of the cluster that are done. */
  readonly done: number;
  /** Bytes of the cluster in all. */
  readonly total: number;
}

export type ProgressListener = (progress: Progress) => void;
