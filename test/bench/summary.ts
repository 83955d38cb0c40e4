/** What a row's numbers come to, and whether that is what it is to reach. */
import type { LatencyRow, Result, RowResult, Summary } from './result.ts';
import { quantile, ratios, spread } from './statistics.ts';
import { memoryTarget } from './target.ts';

const isLatency = (row: RowResult | LatencyRow): row is LatencyRow => Array.isArray(row.ours);

export function summarize(row: RowResult | LatencyRow): Summary {
  return isLatency(row) ? ofCalls(row) : ofPairs(row);
}

function ofPairs({ ours, theirs, timeOnly, target = 1 }: RowResult): Summary {
  const size = ours.largest > memoryTarget ? { tooLarge: ours.largest } : {};
  const mine = spread(ours.wall).median;
  if (theirs === undefined) return { ours: mine, target, ...size };
  const time = spread(ratios(ours.wall, theirs.wall));
  return {
    ours: mine,
    theirs: spread(theirs.wall).median,
    time,
    ...(timeOnly ? {} : { cpu: spread(ratios(ours.cpu, theirs.cpu)) }),
    target,
    met: isMet(time.median, target),
    ...size,
  };
}

function ofCalls({ ours, theirs, costs, target = 1 }: LatencyRow): Summary {
  const mine = quantile(ours, 0.5);
  const size = costs !== undefined && costs.ours.largest > memoryTarget ? { tooLarge: costs.ours.largest } : {};
  if (theirs === undefined) return { ours: mine, target, ...size };
  const others = quantile(theirs, 0.5);
  const each = ratios(ours, theirs);
  const time = { median: mine / others, lowest: quantile(each, 0.05), highest: quantile(each, 0.95) };
  const cpu = costs?.theirs === undefined ? {} : { cpu: spread([costs.ours.cpu / costs.theirs.cpu]) };
  return { ours: mine, theirs: others, time, ...cpu, target, met: isMet(time.median, target), ...size };
}

/** As it is printed: two digits. */
const isMet = (ratio: number, target: number): boolean => Math.round(ratio * 100) <= Math.round(target * 100);

/** The result with every row's summary. */
export function summarized(result: Result): Result {
  const add = <Row extends RowResult | LatencyRow>(row: Row): Row => ({ ...row, summary: summarize(row) });
  return { ...result, rows: result.rows.map(add), latencies: result.latencies.map(add) };
}

/** A line for each row that is not what it is to be, worst first; and for those that were not measured. */
export function missed({ rows, latencies, failed }: Pick<Result, 'rows' | 'latencies' | 'failed'>): string[] {
  const all = [...rows, ...latencies].map(row => ({ name: row.name, ...summarize(row) }));
  const slow = all
    .flatMap(({ name, time, target, met }) => (time && met === false ? [{ name, ratio: time.median, target }] : []))
    .sort((a, b) => b.ratio / b.target - a.ratio / a.target)
    .map(
      ({ name, ratio, target }) => `${name}: time ${ratio.toFixed(2)} of theirs, ${target.toFixed(2)} is the target`,
    );
  const large = all
    .flatMap(({ name, tooLarge }) => (tooLarge === undefined ? [] : [{ name, tooLarge }]))
    .sort((a, b) => b.tooLarge - a.tooLarge)
    .map(
      ({ name, tooLarge }) =>
        `${name}: largest process ${Math.round(tooLarge / 1e6)} MB, ${memoryTarget / 1e6} MB is the target`,
    );
  return [...slow, ...large, ...failed.map(({ name }) => `${name}: not measured`)];
}
