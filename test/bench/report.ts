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
  readonly timeOnly?: boolean;
  readonly unit?: string;
}

/** Seconds of single calls, in turns. */
export interface LatencyRow {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs?: readonly number[];
  /** An empty Node program, and a shell that does nothing. */
  readonly emptyNode: readonly number[];
  readonly shell: readonly number[];
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
  readonly latencies: readonly LatencyRow[];
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

/** The value that this part of all stay below or at. @throws when there are no values */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  if (value === undefined) throw new Error('no values to take a quantile of');
  return value;
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

function cells(row: RowResult): string[] {
  const { name, ours, theirs, pairs, emptyNode, timeOnly, unit } = row;
  const rate = ({ wall }: Series) => (unit === undefined ? '' : ` (${(1 / spread(wall).median).toFixed(1)} ${unit}/s)`);
  const beside =
    emptyNode === undefined
      ? ''
      : ` (${(spread(ours.wall).median / spread(emptyNode).median).toFixed(2)} of an empty Node program)`;
  const title = pairs === undefined ? name : `${name} (${pairs} pairs)`;
  const mine = `${seconds(spread(ours.wall).median)}${beside}${rate(ours)}`;
  if (timeOnly) {
    const others = theirs && `${seconds(spread(theirs.wall).median)}${rate(theirs)}`;
    return [title, mine, others ?? '', theirs ? ratio(ratios(ours.wall, theirs.wall)) : ''];
  }
  if (theirs === undefined) {
    return [title, mine, '', '', '', megabytes(ours.peak), '', megabytes(ours.largest), '', ...requestCells(ours)];
  }
  return [
    title,
    mine,
    `${seconds(spread(theirs.wall).median)}${rate(theirs)}`,
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

const latencyTitles = [
  'one call',
  'ours p50',
  'p95',
  'theirs p50',
  'p95',
  'empty Node p50',
  '`sh -c :` p50',
  'p50 ours/theirs',
];

/** The table of single calls; empty when there are none. */
export function latencyTable(rows: readonly LatencyRow[]): string {
  if (rows.length === 0) return '';
  const both = (values: readonly number[] | undefined) =>
    values === undefined ? ['', ''] : [0.5, 0.95].map(part => milliseconds(quantile(values, part)));
  const lines = [
    latencyTitles,
    latencyTitles.map((_, index) => (index === 0 ? '---' : '---:')),
    ...rows.map(({ name, ours, theirs, emptyNode, shell }) => [
      name,
      ...both(ours),
      ...both(theirs),
      milliseconds(quantile(emptyNode, 0.5)),
      milliseconds(quantile(shell, 0.5)),
      theirs === undefined ? '' : `**${(quantile(ours, 0.5) / quantile(theirs, 0.5)).toFixed(2)}**`,
    ]),
  ];
  return lines.map(line => `| ${line.join(' | ')} |`).join('\n');
}

const milliseconds = (value: number): string => `${(value * 1000).toFixed(1)} ms`;

/** All tables. */
export function tables(result: Pick<Result, 'rows' | 'failed' | 'latencies'>): string {
  const parts = [result.rows.length + result.failed.length > 0 ? markdown(result) : '', latencyTable(result.latencies)];
  return parts.filter(part => part !== '').join('\n\n');
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
