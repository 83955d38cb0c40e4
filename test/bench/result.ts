/** What a run of the bench found, as its file has it. */
import type { Spread } from './statistics.ts';

export interface Series {
  /** Seconds, one for each pair. */
  readonly wall: readonly number[];
  readonly cpu: readonly number[];
  /** Bytes: of all processes together, and of the largest alone. */
  readonly peak: number;
  readonly largest: number;
  /** To an S3 server, of the first command of a run, by kind. */
  readonly requests?: Readonly<Record<string, number>>;
}

/** What both kinds of rows say. */
interface AnyRow {
  readonly name: string;
  /** What the tools do not do alike. */
  readonly note?: string;
  /** The most that ours may take of the time that theirs takes (of this release). */
  readonly target?: number;
  /** Computed from the rest, for readers of the file. */
  readonly summary?: Summary;
}

export interface RowResult extends AnyRow {
  readonly ours: Series;
  readonly theirs?: Series;
  /** Where it is not the pairs of the others. */
  readonly pairs?: number;
  /** Wall seconds of an empty Node program. */
  readonly emptyNode?: readonly number[];
  readonly timeOnly?: boolean;
  readonly unit?: string;
}

/** Seconds of single calls, in turns. */
export interface LatencyRow extends AnyRow {
  readonly ours: readonly number[];
  readonly theirs?: readonly number[];
  /** An empty Node program, and a shell that does nothing. */
  readonly emptyNode: readonly number[];
  readonly shell: readonly number[];
  /** Of runs beside those that are timed. */
  readonly costs?: { readonly ours: CallCost; readonly theirs?: CallCost };
}

/** What one call costs beside time. */
export interface CallCost {
  /** Seconds of processor time, the mean of all calls. */
  readonly cpu: number;
  /** Bytes: of all processes together, and of the largest alone. */
  readonly peak: number;
  readonly largest: number;
}

/** A row that could not be measured. */
export interface FailedRow {
  readonly name: string;
  readonly error: string;
}

export interface Result {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  /** `Node` is the one that ours ran on; `ours` and `theirs` as the tools say it. */
  readonly versions: Readonly<Record<string, string>>;
  readonly pairs: number;
  readonly clusters: Readonly<Record<string, { readonly bytes: number; readonly files: number }>>;
  readonly rows: readonly RowResult[];
  readonly latencies: readonly LatencyRow[];
  readonly failed: readonly FailedRow[];
}

/** Medians, seconds; and ratios ours/theirs, taken within each pair. */
export interface Summary {
  readonly ours: number;
  readonly theirs?: number;
  /** Of single calls 5 and 95 of a hundred in place of the extremes. */
  readonly time?: Spread;
  readonly cpu?: Spread;
  readonly target: number;
  /** Is the time as good as it is to be? Absent where there is no other tool. */
  readonly met?: boolean;
  /** Bytes of the largest process of ours where it is more than it may be. */
  readonly tooLarge?: number;
}

/** @param text of a file that a run has written @throws when it is something else */
export function parseResult(text: string): Result {
  const value = JSON.parse(text) as Partial<Result> | null;
  const { date, machine, versions, pairs, clusters, rows } = value ?? {};
  if (!date || !machine || !versions || !pairs || !clusters || !Array.isArray(rows)) {
    throw new Error('this is no result of the bench');
  }
  return {
    date,
    machine,
    versions,
    pairs,
    clusters,
    rows,
    latencies: value?.latencies ?? [],
    failed: value?.failed ?? [],
  };
}
