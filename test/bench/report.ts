/** Numbers to a table and to a file that later runs can be compared with. */

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

export interface RowResult {
  readonly name: string;
  readonly ours: Series;
  readonly theirs?: Series;
  /** Where it is not the pairs of the others. */
  readonly pairs?: number;
  /** Wall seconds of an empty Node program. */
  readonly emptyNode?: readonly number[];
}

/** A row that could not be measured. */
export interface FailedRow {
  readonly name: string;
  readonly error: string;
}

export interface Result {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly pairs: number;
  readonly clusters: Readonly<Record<string, { readonly bytes: number; readonly files: number }>>;
  readonly rows: readonly RowResult[];
  readonly failed: readonly FailedRow[];
}

export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Median and extremes. @throws when there are no values */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [lowest, highest] = [sorted.at(0), sorted.at(-1)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  const upper = sorted[Math.ceil((sorted.length - 1) / 2)];
  if (lowest === undefined || highest === undefined || lower === undefined || upper === undefined) {
    throw new Error('no values to take the median of');
  }
  return { median: (lower + upper) / 2, lowest, highest };
}

/** Ratio of each pair: what disturbs the machine for a while disturbs both of a pair. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, index) => value / (theirs[index] ?? Number.NaN));
}

function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(value < 0.1 ? 1 : 0)} ms` : `${value.toFixed(2)} s`;
}

function ratio(values: readonly number[]): string {
  const { median, lowest, highest } = spread(values);
  return `**${median.toFixed(2)}** (${lowest.toFixed(2)}–${highest.toFixed(2)})`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

const requestTitles = ['requests ours', 'requests theirs', 'requests ours/theirs'];

const titles = [
  'row',
  'ours',
  'theirs',
  'time ours/theirs',
  'CPU ours/theirs',
  'memory ours',
  'memory theirs',
  'largest process ours',
  'largest process theirs',
];

function cells({ name, ours, theirs, pairs, emptyNode }: RowResult): string[] {
  const beside =
    emptyNode === undefined
      ? ''
      : ` (${(spread(ours.wall).median / spread(emptyNode).median).toFixed(2)} of an empty Node program)`;
  const title = pairs === undefined ? name : `${name} (${pairs} pairs)`;
  const mine = `${seconds(spread(ours.wall).median)}${beside}`;
  if (theirs === undefined) {
    return [title, mine, '', '', '', megabytes(ours.peak), '', megabytes(ours.largest), '', ...requestCells(ours)];
  }
  return [
    title,
    mine,
    seconds(spread(theirs.wall).median),
    ratio(ratios(ours.wall, theirs.wall)),
    ratio(ratios(ours.cpu, theirs.cpu)),
    megabytes(ours.peak),
    megabytes(theirs.peak),
    megabytes(ours.largest),
    megabytes(theirs.largest),
    ...requestCells(ours, theirs),
  ];
}

function requestCells(ours: Series, theirs?: Series): string[] {
  const [mine, others] = [ours, theirs].map(series => total(series?.requests));
  return [mine, others, mine && others && `**${(Number(mine) / Number(others)).toFixed(2)}**`].map(cell => cell ?? '');
}

function total(requests: Series['requests']): string | undefined {
  return requests && String(Object.values(requests).reduce((sum, count) => sum + count, 0));
}

const failedCells = ({ name, error }: FailedRow): string[] => [
  name,
  `failed: ${error.split('\n', 1)[0]?.replaceAll('|', '/')}`,
  ...titles.slice(2).map(() => ''),
];

/** The table in Markdown: medians, and of the ratios the lowest and highest too. */
export function markdown({ rows, failed }: Pick<Result, 'rows' | 'failed'>): string {
  // only rows of S3 have requests
  const all = rows.some(({ ours }) => ours.requests !== undefined) ? [...titles, ...requestTitles] : titles;
  const lines = [
    all,
    all.map((_, index) => (index === 0 ? '---' : '---:')),
    ...rows.map(cells),
    ...failed.map(failedCells),
  ].map(line => all.map((_, index) => line[index] ?? ''));
  return lines.map(line => `| ${line.join(' | ')} |`).join('\n');
}

/** Where the numbers come from, one line. */
export function heading({ date, machine, versions, pairs, clusters }: Result): string {
  const parts = [
    date.slice(0, 10),
    ...Object.entries(machine).map(([name, value]) => `${name}: ${value}`),
    ...Object.entries(versions).map(([name, value]) => `${name} ${value}`),
    ...Object.entries(clusters).map(([name, { bytes, files }]) => `${name}: ${megabytes(bytes)} in ${files} files`),
    `medians of ${pairs} pairs`,
  ];
  return parts.join('; ');
}
