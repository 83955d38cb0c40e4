/** Results as tables in Markdown. */
import type { FailedRow, LatencyRow, Result, RowResult, Series } from './result.ts';
import { quantile, type Spread, spread } from './statistics.ts';
import { missed, summarize } from './summary.ts';

export function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(value < 0.1 ? 1 : 0)} ms` : `${value.toFixed(2)} s`;
}

export function ratio({ median, lowest, highest }: Spread): string {
  return `**${median.toFixed(2)}** (${lowest.toFixed(2)}–${highest.toFixed(2)})`;
}

/** Nothing was seen of a process that ended at once: not zero. */
export function megabytes(bytes: number): string {
  if (bytes === 0) return '–';
  return `${Math.round(bytes / 1e6)} MB`;
}

/** Rows of cells as a table, the first is its head. */
export function markdownTable(lines: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = lines;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [head, rule, ...rest].map(line => `| ${head.map((_, index) => line[index] ?? '').join(' | ')} |`).join('\n');
}

const requestTitles = ['requests ours', 'requests theirs', 'requests ours/theirs'];

const titles = [
  'row',
  'ours',
  'theirs',
  'time ours/theirs',
  'target',
  'CPU ours/theirs',
  'memory ours',
  'memory theirs',
  'largest process ours',
  'largest process theirs',
];

/** The name, and in brackets what the reader must know. */
export function rowTitle({ name, note, pairs }: Pick<RowResult, 'name' | 'note' | 'pairs'>): string {
  const notes = [note, pairs === undefined ? undefined : `${pairs} pairs`].filter(text => text !== undefined);
  return notes.length === 0 ? name : `${name} (${notes.join('; ')})`;
}

/** How good the time is to be, and whether it is. */
export function verdict(row: RowResult | LatencyRow): string {
  const { target, met } = summarize(row);
  return met === undefined ? '' : `${target.toFixed(2)} ${met ? 'met' : '**missed**'}`;
}

function cells(row: RowResult): string[] {
  const { ours, theirs, emptyNode, timeOnly, unit } = row;
  const { time, cpu } = summarize(row);
  const rate = ({ wall }: Series) => (unit === undefined ? '' : ` (${(1 / spread(wall).median).toFixed(1)} ${unit}/s)`);
  const text = (series: Series | undefined) =>
    series === undefined ? '' : `${seconds(spread(series.wall).median)}${rate(series)}`;
  const memory = (series: Series | undefined, part: 'peak' | 'largest') =>
    series === undefined || timeOnly ? '' : megabytes(series[part]);
  const beside =
    emptyNode === undefined
      ? ''
      : ` (${(spread(ours.wall).median / spread(emptyNode).median).toFixed(2)} of an empty Node program)`;
  return [
    rowTitle(row),
    `${text(ours)}${beside}`,
    text(theirs),
    time === undefined ? '' : ratio(time),
    verdict(row),
    cpu === undefined ? '' : ratio(cpu),
    memory(ours, 'peak'),
    memory(theirs, 'peak'),
    memory(ours, 'largest'),
    memory(theirs, 'largest'),
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

export function failure({ name, error }: FailedRow): string[] {
  return [name, `failed: ${error.split('\n', 1)[0]?.replaceAll('|', '/')}`];
}

/** The table: medians, and of the ratios the lowest and highest too. */
export function markdown({ rows, failed }: Pick<Result, 'rows' | 'failed'>): string {
  // only rows of S3 have requests
  const all = rows.some(({ ours }) => ours.requests !== undefined) ? [...titles, ...requestTitles] : titles;
  return markdownTable([all, ...rows.map(cells), ...failed.map(failure)]);
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
  'target',
  'CPU ours/theirs',
  'largest process ours',
  'largest process theirs',
];

/** The table of single calls; empty when there are none. In brackets what nine of ten pairs of calls lie between. */
export function latencyTable(rows: readonly LatencyRow[]): string {
  if (rows.length === 0) return '';
  const both = (values: readonly number[] | undefined) =>
    values === undefined ? ['', ''] : [0.5, 0.95].map(part => milliseconds(quantile(values, part)));
  const lines = rows.map(row => {
    const { ours, theirs, emptyNode, shell, costs } = row;
    const { time, cpu } = summarize(row);
    const largest = [costs?.ours, costs?.theirs].map(cost => (cost === undefined ? '' : megabytes(cost.largest)));
    const floors = [emptyNode, shell].map(values => milliseconds(quantile(values, 0.5)));
    return [
      rowTitle(row),
      ...both(ours),
      ...both(theirs),
      ...floors,
      time ? ratio(time) : '',
      verdict(row),
      cpu ? `**${cpu.median.toFixed(2)}**` : '',
      ...largest,
    ];
  });
  return markdownTable([latencyTitles, ...lines]);
}

const milliseconds = (value: number): string => `${(value * 1000).toFixed(1)} ms`;

/** All tables. */
export function tables(result: Pick<Result, 'rows' | 'failed' | 'latencies'>): string {
  const parts = [result.rows.length + result.failed.length > 0 ? markdown(result) : '', latencyTable(result.latencies)];
  return parts.filter(part => part !== '').join('\n\n');
}

/** What is not as it is to be, as a list. */
export function missedList(result: Pick<Result, 'rows' | 'latencies' | 'failed'>): string {
  const lines = missed(result);
  return lines.length === 0
    ? 'Every row is what it is to be.'
    : ['Missed:', '', ...lines.map(line => `- ${line}`)].join('\n');
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

/** All that a reader of one result wants. */
export function document(result: Result): string {
  return `${heading(result)}\n\n${tables(result)}\n\n${missedList(result)}\n`;
}
