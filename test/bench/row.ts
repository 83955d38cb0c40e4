/** What one row of the bench is, and what many of them share. */
import type { Bed, BedName, BedOptions, Tool } from './bed.ts';
import type { Command } from './measure.ts';
import type { RoundTrip } from './object-store.ts';
import type { Target } from './target.ts';

export interface Row {
  /** As the command line takes it. */
  readonly name: string;
  readonly bed: BedName;
  /** What it is to reach; absent: no slower. */
  readonly target?: Target;
  /** What these two tools do not do alike, for the reader of the table. */
  readonly note?: (tools: readonly Tool[]) => string | undefined;
  /** Commands that one run consists of: times are divided by it. */
  readonly count?: number;
  /** The same, where an option of the bench says it. */
  readonly countOf?: (options: BedOptions) => number;
  /** Takes so long that memory is watched in the measured runs: now and then, where that costs next to nothing. */
  readonly long?: true;
  /** Measured only when it is asked for by name. */
  readonly onRequest?: true;
  /** Once before the first run of any tool. `reference` makes what both tools read. */
  readonly prepare?: (bed: Bed, reference: Tool, tools: readonly Tool[]) => Promise<void>;
  /** Before every run. */
  readonly reset?: (bed: Bed, tool: Tool) => Promise<void>;
  /** What is measured. */
  readonly commands: (bed: Bed, tool: Tool) => Command[];
  /** The repository is in a bucket so far away: requests are counted, and the row is left out where there is no S3 server. */
  readonly roundTrip?: RoundTrip;
  /** Each command is measured alone: not what so many take together, but what one does, and what nineteen of twenty stay below. */
  readonly latency?: true;
  /** The work is done by processes that nobody waits for: only the time is told. */
  readonly timeOnly?: true;
  /** What `count` counts, where the table is to say how many a second. */
  readonly unit?: 'segments';
  /** Measured beside the tools, to tell what part of the time is Node's own. */
  readonly emptyNode?: boolean;
}

export const codecs = ['none', 'lz4', 'zst', 'gz'] as const;
export type Codec = (typeof codecs)[number];

/** Commands too short for one measurement are run so many times in a row. */
export const shortCount = 20;

export function compress(codec: Codec): string {
  return `--compress-type=${codec}`;
}

/** What is restored and backed up where the codec is not the question. */
export const usual = [compress('lz4'), '--process-max=2'] as const;

/** A full backup by the reference, which every row that reads one shares. @returns the repository */
export async function sharedBackup(bed: Bed, reference: Tool, codec: Codec): Promise<string> {
  const repo = `shared-${codec}`;
  await bed.once(repo, async () => {
    await bed.freshRepository(reference, repo, compress(codec));
    await bed.run([...bed.base(reference, repo), compress(codec), '--process-max=2', '--type=full', 'backup']);
  });
  return repo;
}
