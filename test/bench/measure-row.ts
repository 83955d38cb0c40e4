/** Measures one row with all tools, in turns. */
import { join } from 'node:path';
import type { Bed, Tool } from './bed.ts';
import { type Memory, measure, measureEach, mostMemory, peakMemory, seldom } from './measure.ts';
import type { ObjectStore } from './object-store.ts';
import type { CallCost, LatencyRow, RowResult, Series } from './result.ts';
import type { Row } from './row.ts';
import type { RequestCounts } from './s3-way.ts';
import { targetRatio } from './target.ts';

/** Pairs of every row, however long they take. */
export const fewestPairs = 2;

export interface RowLimits {
  /** Runs of each tool. */
  readonly pairs: number;
  /** No more pairs after so long. */
  readonly rowSeconds: number;
}

interface Sample {
  readonly wall: number[];
  readonly cpu: number[];
  memory: Memory;
  requests?: RequestCounts;
}

/** What the row says of itself beside these tools. */
function about(row: Row, tools: readonly Tool[]): Pick<RowResult, 'name' | 'note' | 'target'> {
  const note = row.note?.(tools);
  const peer = tools.find(({ name }) => name === 'theirs')?.version;
  return {
    name: row.name,
    ...(note === undefined ? {} : { note }),
    target: targetRatio(row.target, peer),
  };
}

/** Measures one row: first the memory of each tool, which warms up the disk cache too; then the pairs. */
export async function measureRow(
  row: Row,
  bed: Bed,
  tools: readonly Tool[],
  limits: RowLimits,
  store: ObjectStore | undefined,
): Promise<RowResult> {
  const count = row.countOf?.(bed.options) ?? row.count ?? 1;
  const began = performance.now();
  const samples = new Map<Tool, Sample>();
  for (const tool of tools) {
    const sample: Sample = { wall: [], cpu: [], memory: { peak: 0, largest: 0 } };
    samples.set(tool, sample);
    if (row.timeOnly || (row.long && store === undefined)) continue;
    await row.reset?.(bed, tool);
    const [first = []] = bed.counted(() => row.commands(bed, tool));
    await store?.counts();
    sample.memory = await peakMemory(bed.runner, first);
    if (store !== undefined) sample.requests = await store.counts();
  }
  const emptyNode: number[] = [];
  let pairs = 0;
  while (pairs < limits.pairs) {
    const seconds = (performance.now() - began) / 1000;
    if (pairs >= fewestPairs && seconds + seconds / (pairs + 1) > limits.rowSeconds) break;
    for (const [tool, sample] of pairs % 2 === 0 ? samples : [...samples].reverse()) {
      await row.reset?.(bed, tool);
      const { wall, cpu, memory } = await measure(bed.runner, row.commands(bed, tool), row.long && seldom);
      sample.wall.push(wall / count);
      sample.cpu.push(cpu / count);
      sample.memory = mostMemory(sample.memory, memory);
    }
    if (row.emptyNode) {
      const program = join(bed.cluster.root, 'empty.cjs');
      await bed.once('empty.cjs', async () => void bed.cluster.writeFile('empty.cjs', ''));
      const { wall } = await measure(bed.runner, Array(count).fill(['node', program]));
      emptyNode.push(wall / count);
    }
    pairs++;
  }
  const series = (name: Tool['name']): Series | undefined => {
    const sample = [...samples].find(([tool]) => tool.name === name)?.[1];
    return sample === undefined
      ? undefined
      : {
          wall: sample.wall,
          cpu: sample.cpu,
          ...sample.memory,
          ...(sample.requests === undefined ? {} : { requests: sample.requests }),
        };
  };
  const [ours, theirs] = [series('ours'), series('theirs')];
  if (ours === undefined) throw new Error('our own tool was not measured');
  return {
    ...about(row, tools),
    ours,
    ...(theirs === undefined ? {} : { theirs }),
    ...(pairs === limits.pairs ? {} : { pairs }),
    ...(emptyNode.length === 0 ? {} : { emptyNode }),
    ...(row.timeOnly ? { timeOnly: true } : {}),
    ...(row.unit === undefined ? {} : { unit: row.unit }),
  };
}

/** Measures one row of which each call is timed alone, the tools in turns, an empty Node program and a shell beside them. */
export async function measureLatency(row: Row, bed: Bed, tools: readonly Tool[]): Promise<LatencyRow> {
  const commands: (readonly string[])[][] = [];
  for (const tool of tools) {
    await row.reset?.(bed, tool);
    commands.push(row.commands(bed, tool));
  }
  const empty = bed.cluster.writeFile('empty.cjs', '');
  const calls = commands[0]?.length ?? 0;
  const floors = [
    ['node', empty],
    ['sh', '-c', ':'],
  ].map(command => Array<string[]>(calls).fill(command));
  const times = await measureEach(bed.runner, [...commands, ...floors]);
  const [emptyNode = [], shell = []] = times.slice(tools.length);
  const [ours = [], theirs] = times.slice(0, tools.length);
  const costs: CallCost[] = [];
  for (const tool of tools) costs.push(await callCost(row, bed, tool));
  const [mine, others] = costs;
  return {
    ...about(row, tools),
    ours,
    emptyNode,
    shell,
    ...(theirs === undefined ? {} : { theirs }),
    ...(mine === undefined ? {} : { costs: { ours: mine, ...(others === undefined ? {} : { theirs: others }) } }),
  };
}

/** Memory is looked at in a run of its own, as often as possible: a call may take a millisecond or two. */
async function callCost(row: Row, bed: Bed, tool: Tool): Promise<CallCost> {
  await row.reset?.(bed, tool);
  const commands = row.commands(bed, tool);
  const { cpu } = await measure(bed.runner, commands);
  await row.reset?.(bed, tool);
  const { memory } = await measure(bed.runner, row.commands(bed, tool), () => 1);
  return { cpu: cpu / commands.length, ...memory };
}
