/** Results of several runs side by side, such as those of two versions of Node. */
import {
  document,
  failure,
  heading,
  markdownTable,
  megabytes,
  missedList,
  ratio,
  rowTitle,
  seconds,
} from './report.ts';
import type { LatencyRow, Result, RowResult, Series } from './result.ts';
import { summarize } from './summary.ts';

/** One column of the comparison: a run, or several runs of the same programs taken together. */
export interface Column {
  readonly label: string;
  readonly result: Result;
}

type AnyRow = RowResult | LatencyRow;

/**
 * Runs of the same programs become one column; of a row that several have the last counts.
 * @param order names of rows as they are to be listed; others come after these
 */
export function columnsOf(results: readonly Result[], order: readonly string[]): Column[] {
  const columns = new Map<string, Result>();
  for (const result of results) {
    const { Node, ours, theirs } = result.versions;
    const key = [Node, ours, theirs].join('\n');
    const before = columns.get(key);
    columns.set(key, before === undefined ? result : together(before, result));
  }
  const all = [...columns.values()].map(result => ({
    ...result,
    rows: inOrder(result.rows, order),
    latencies: inOrder(result.latencies, order),
  }));
  const nodes = all.map(({ versions }) => `Node ${versions.Node}`);
  const distinct = new Set(nodes).size === nodes.length;
  return all.map((result, index) => ({
    label: distinct
      ? (nodes[index] ?? '')
      : `${nodes[index]}, ${result.versions.ours} beside ${result.versions.theirs ?? 'nothing'}`,
    result,
  }));
}

function together(before: Result, later: Result): Result {
  const measured = new Set([...later.rows, ...later.latencies].map(({ name }) => name));
  const failed = new Set(later.failed.map(({ name }) => name));
  const rest = <Row extends { readonly name: string }>(rows: readonly Row[]) =>
    rows.filter(({ name }) => !measured.has(name));
  return {
    ...later,
    versions: { ...before.versions, ...later.versions },
    clusters: { ...before.clusters, ...later.clusters },
    rows: [...rest(before.rows), ...later.rows],
    latencies: [...rest(before.latencies), ...later.latencies],
    // what failed later is no reason to forget that it was measured before
    failed: [
      ...rest(before.failed).filter(({ name }) => !failed.has(name)),
      ...later.failed.filter(({ name }) => ![...before.rows, ...before.latencies].some(row => row.name === name)),
    ],
  };
}

function inOrder<Row extends { readonly name: string }>(rows: readonly Row[], order: readonly string[]): Row[] {
  const place = ({ name }: Row) => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...rows].sort((a, b) => place(a) - place(b));
}

/** Names of all rows of the columns, each once, in the order of the first column that has them. */
export function namesOf(columns: readonly Column[], rowsOf: (result: Result) => readonly AnyRow[]): string[] {
  return [...new Set(columns.flatMap(({ result }) => rowsOf(result).map(({ name }) => name)))];
}

function table(columns: readonly Column[], rowsOf: (result: Result) => readonly AnyRow[]): string {
  const lines = namesOf(columns, rowsOf).map(name => {
    const found = columns.map(({ result }) => rowsOf(result).find(row => row.name === name));
    const first = found.find(row => row !== undefined);
    const target = first === undefined ? 1 : summarize(first).target;
    return [first === undefined ? name : rowTitle(first), target.toFixed(2), ...found.flatMap(cells)];
  });
  if (lines.length === 0) return '';
  const head = columns.flatMap(({ label }) => [
    `${label}: ours, theirs`,
    'time ours/theirs',
    'CPU ours/theirs',
    'memory ours, theirs',
    'largest process ours, theirs',
  ]);
  return markdownTable([['row', 'target', ...head], ...lines]);
}

type Memory = Pick<Series, 'peak' | 'largest'>;

function memoryOf(row: AnyRow): readonly (Memory | undefined)[] {
  if ('shell' in row) return [row.costs?.ours, row.costs?.theirs];
  return row.timeOnly ? [] : [row.ours, row.theirs];
}

function cells(row: AnyRow | undefined): string[] {
  if (row === undefined) return ['', '', '', '', ''];
  const { ours, theirs, time, cpu, met } = summarize(row);
  const both = (mine: string, others: string | undefined) => (others === undefined ? mine : `${mine}, ${others}`);
  const missedToo = met === false ? ' missed' : '';
  return [
    both(seconds(ours), theirs === undefined ? undefined : seconds(theirs)),
    time === undefined ? '' : `${ratio(time)}${missedToo}`,
    cpu === undefined ? '' : cpu.lowest < cpu.highest ? ratio(cpu) : `**${cpu.median.toFixed(2)}**`,
    ...(['peak', 'largest'] as const).map(part => {
      const [mine, others] = memoryOf(row);
      return mine === undefined ? '' : both(megabytes(mine[part]), others && megabytes(others[part]));
    }),
  ];
}

/** All that a reader of several results wants; of one result the full table. */
export function compare(columns: readonly Column[]): string {
  const [only] = columns;
  if (columns.length === 1 && only !== undefined) return document(only.result);
  const failed = columns.flatMap(({ label, result }) =>
    result.failed.map(row => [`${label}: ${failure(row).join(': ')}`]),
  );
  const parts = [
    columns.map(({ label, result }) => `- ${label}: ${heading(result)}`).join('\n'),
    table(columns, ({ rows }) => rows),
    table(columns, ({ latencies }) => latencies),
    failed.join('\n'),
    ...columns.map(({ label, result }) => `${label}. ${missedList(result)}`),
  ];
  return `${parts.filter(part => part !== '').join('\n\n')}\n`;
}
