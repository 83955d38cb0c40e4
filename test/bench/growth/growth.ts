/** What backup, restore, info, expire and verify cost at 1, 4 and 16 times as many files, and as many bytes. */
import { TestCluster } from '../../support/cluster.ts';
import type { Tool } from '../bed.ts';
import { postgresVersion } from '../bench.ts';
import { type Command, measure, regularly } from '../measure.ts';
import { openWorkshop, type ToolOptions, type Workshop } from '../tools.ts';
import type { Point } from './exponent.ts';
import { addBytes, addSmallFiles } from './fill.ts';
import { Ground } from './ground.ts';
import type { Axis, Growth } from './report.ts';

export interface GrowthOptions extends ToolOptions {
  /** Files at the smallest size; each has a page. */
  readonly files: number;
  /** Bytes at the smallest size. */
  readonly bytes: number;
  /** Sizes as multiples of the smallest, ascending. */
  readonly steps: readonly number[];
  /** Runs at each size, of which the cheapest counts. */
  readonly runs: number;
  readonly folder: string;
  readonly oursOnly?: boolean;
  /** Asked before each command; throws to end it all. */
  readonly check?: () => void;
}

/** What is measured, in this order: each finds what those before it have left. */
interface Step {
  readonly name: string;
  /** Before it, not measured. */
  readonly before?: (ground: Ground, tool: Tool) => Promise<void> | void;
  readonly command: (ground: Ground, tool: Tool) => Command;
}

const full = ['backup', '--type=full', '--no-online', '--no-expire-auto'];

const steps: readonly Step[] = [
  { name: 'backup', command: (ground, tool) => ground.command(tool, ...full) },
  {
    name: 'backup, incr of one file',
    // where nothing has changed at all both tools refuse
    before: ground => ground.changeOne(),
    command: (ground, tool) => ground.command(tool, 'backup', '--type=incr', '--no-online', '--no-expire-auto'),
  },
  { name: 'verify', command: (ground, tool) => ground.command(tool, 'verify') },
  { name: 'info', command: (ground, tool) => ground.command(tool, 'info') },
  {
    name: 'info of one backup',
    command: (ground, tool) => ground.command(tool, 'info', `--set=${ground.labels(tool)[0]}`),
  },
  {
    name: 'restore',
    before: (ground, tool) => void ground.emptyTarget(tool),
    command: (ground, tool) => ground.command(tool, `--pg1-path=${ground.target(tool)}`, 'restore'),
  },
  {
    name: 'restore --delta of nothing new',
    command: (ground, tool) => ground.command(tool, `--pg1-path=${ground.target(tool)}`, '--delta', 'restore'),
  },
  {
    name: 'expire of one full backup',
    before: (ground, tool) => ground.run(ground.command(tool, ...full)),
    command: (ground, tool) => ground.command(tool, '--repo1-retention-full=1', 'expire'),
  },
];

/** Of several runs the cheapest time, and the most memory. */
function best(points: readonly [Point, ...Point[]]): Point {
  return points.reduce((a, b) => ({
    size: a.size,
    wall: Math.min(a.wall, b.wall),
    cpu: Math.min(a.cpu, b.cpu),
    largest: Math.max(a.largest, b.largest),
    peak: Math.max(a.peak, b.peak),
  }));
}

/** All steps of one tool on one ground. @returns what each cost, by its name */
async function walk(
  ground: Ground,
  tool: Tool,
  size: number,
  settings: readonly string[],
  { runner }: Workshop,
  check: (() => void) | undefined,
): Promise<Map<string, Point>> {
  await ground.freshRepository(tool, settings);
  const costs = new Map<string, Point>();
  for (const step of steps) {
    check?.();
    await step.before?.(ground, tool);
    const { wall, cpu, memory } = await measure(runner, [step.command(ground, tool)], regularly);
    costs.set(step.name, { size, wall, cpu, ...memory });
  }
  return costs;
}

interface AxisPlan {
  readonly name: string;
  readonly settings: readonly string[];
  readonly smallest: (options: GrowthOptions) => number;
  readonly fill: (dataDirectory: string, amount: number) => void;
  readonly sizeOf: (ground: Ground) => number;
  readonly tell: (size: number) => string;
}

const files = {
  smallest: (options: GrowthOptions) => options.files,
  fill: addSmallFiles,
  sizeOf: (ground: Ground) => ground.size().files,
  tell: (size: number) => `${size.toLocaleString('en')} files`,
};

const plans: readonly AxisPlan[] = [
  { name: 'files', settings: [], ...files },
  { name: 'files in bundles', settings: ['repo1-bundle=y'], ...files },
  {
    name: 'bytes',
    settings: [],
    smallest: options => options.bytes,
    fill: addBytes,
    sizeOf: ground => ground.size().bytes,
    tell: size => `${Math.round(size / 1e6).toLocaleString('en')} MB`,
  },
];

export const axisNames = plans.map(({ name }) => name);

async function measureAxis(plan: AxisPlan, options: GrowthOptions, workshop: Workshop, initial: string): Promise<Axis> {
  const tools = options.oursOnly ? workshop.tools.slice(0, 1) : workshop.tools;
  const sizes: string[] = [];
  const points = new Map<Tool, Map<string, Point[]>>(tools.map(tool => [tool, new Map()]));
  for (const step of options.steps) {
    const ground = await Ground.create(options.folder, initial, workshop.runner, data =>
      plan.fill(data, plan.smallest(options) * step),
    );
    try {
      const size = plan.sizeOf(ground);
      sizes.push(plan.tell(size));
      for (const tool of tools) {
        const runs: Map<string, Point>[] = [];
        for (let run = 0; run < options.runs; run++) {
          runs.push(await walk(ground, tool, size, plan.settings, workshop, options.check));
        }
        ground.removeAllOf(tool);
        for (const name of steps.map(each => each.name)) {
          const [first, ...rest] = runs.flatMap(costs => costs.get(name) ?? []);
          if (first === undefined) throw new Error(`${name} was not measured`);
          const series = points.get(tool);
          series?.set(name, [...(series.get(name) ?? []), best([first, ...rest])]);
        }
        console.error(`${plan.name} x ${step}, ${tool.name}: done`);
      }
    } finally {
      ground.dispose();
    }
  }
  const growths: Growth[] = steps.flatMap(({ name }) =>
    tools.map(tool => ({ command: name, tool: tool.name, points: points.get(tool)?.get(name) ?? [] })),
  );
  return { name: plan.name, sizes, growths };
}

export interface GrowthResult {
  readonly versions: Workshop['versions'];
  readonly axes: readonly Axis[];
}

/**
 * @param chosen names of axes; all when there are none
 * @param measured is told what there is after each axis
 */
export async function growth(
  chosen: readonly string[],
  options: GrowthOptions,
  measured: (result: GrowthResult) => void = () => undefined,
): Promise<GrowthResult> {
  const workshop = await openWorkshop(options);
  const axes: Axis[] = [];
  try {
    const version = await postgresVersion(workshop.runner.user);
    await using cluster = await TestCluster.create(version === undefined ? {} : { version });
    for (const plan of plans) {
      if (chosen.length > 0 && !chosen.includes(plan.name)) continue;
      axes.push(await measureAxis(plan, options, workshop, cluster.dataDirectory));
      measured({ versions: workshop.versions, axes });
    }
  } finally {
    workshop.close();
  }
  return { versions: workshop.versions, axes };
}
