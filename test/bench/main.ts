/**
 * The bench: pgbackstop and the real pgBackRest side by side, in turns, on the same cluster.
 *
 * Times depend on the machine and its mood; the ratio of two runs next to each other hardly does.
 */
import { readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { postgresOf } from '../support/pg-binaries.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { hasS3Server, s3SkipReason } from '../support/s3/radosgw.ts';
import { runAsOrThrow, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, runnableProject } from '../support/unprivileged-project.ts';
import { Bed, type BedName, type Tool } from './bed.ts';
import { type Memory, measure, measureEach, mostMemory, peakMemory, type Runner } from './measure.ts';
import { ObjectStore } from './object-store.ts';
import {
  type FailedRow,
  heading,
  type LatencyRow,
  quantile,
  type Result,
  type RowResult,
  ratios,
  type Series,
  spread,
  tables,
} from './report.ts';
import type { Row } from './row.ts';
import { rows, selectRows } from './rows.ts';
import type { RequestCounts } from './s3-way.ts';

interface Options {
  readonly pairs: number;
  readonly rowSeconds: number;
  readonly size: number;
  readonly tables: number;
  readonly ours?: string;
  readonly theirs?: string;
  readonly files: number;
  readonly s3Files: number;
  readonly s3Segments: number;
  readonly pushSegments: number;
  readonly replaySegments: number;
  readonly calls: number;
  readonly segments: number;
  readonly backups: number;
  readonly json: string;
  readonly markdown?: string;
  readonly list?: boolean;
}

/** Pairs of every row, however long they take. */
const fewestPairs = 2;

/** PostgreSQL of the comparison: what Debian's pgBackRest knows. */
const wantedPostgres = '15';

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0 is wanted');
  return value;
}

const program = new Command('npm run bench --')
  .description('Measures pgbackstop beside the real pgBackRest and prints ratios (below 1: pgbackstop needs less).')
  .argument('[rows...]', 'rows to measure, * stands for anything (all but those on request)')
  .option('--pairs <n>', 'runs of each tool per row, in turns', positive, 5)
  .option(
    '--row-seconds <n>',
    `no more pairs after so long, when there are ${fewestPairs}; the table says so`,
    positive,
    50,
  )
  .option('--size <megabytes>', 'size of the large cluster', positive, 500)
  .option('--tables <n>', 'tables of the cluster with many small ones', positive, 2000)
  .option('--files <n>', 'files of the cluster of small files', positive, 100_000)
  .option('--s3-files <n>', 'files of the cluster of small files in S3', positive, 20_000)
  .option('--s3-segments <n>', 'WAL segments that are pushed to S3, and got from there', positive, 20)
  .option('--push-segments <n>', 'WAL segments that a background process pushes', positive, 60)
  .option('--replay-segments <n>', 'WAL segments that a recovery replays', positive, 40)
  .option('--calls <n>', 'calls of which the latency is measured', positive, 100)
  .option('--segments <n>', 'WAL segments of the synthetic repository', positive, 100_000)
  .option('--backups <n>', 'backups of the synthetic repository', positive, 200)
  .option('--ours <path>', 'another executable in place of this pgbackstop')
  .option('--theirs <path>', 'the real pgbackrest (the one on PATH)')
  .option('--markdown <path>', 'file for the table, complete after every row')
  .option('--json <path>', 'file for the results, complete after every row', join(projectRoot(), '.test', 'bench.json'))
  .option('--list', 'names the rows and ends')
  .addHelpText(
    'after',
    `
Rows s3/* need radosgw, or the env.sh of an S3 server in PGBACKSTOP_S3_LAB; both tools reach it over TLS by the same
proxy, which adds the round trip that the row is named for. Requests are those of one command, counted in a run that is
not timed.

Examples:
  npm run bench -- --pairs 7 "size/*-lz4-*" version
  npm run bench -- --size 1000 --s3-segments 100 --row-seconds 300 "s3/*"`,
  );

/** Nothing of the caller's settings reaches the tools; certificates to load would slow Node's start. */
function environment(): Record<string, string | undefined> {
  const cleared = Object.keys(process.env).map(name => [name, undefined] as const);
  const path = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
  return { ...Object.fromEntries(cleared), PATH: path, LC_ALL: 'C' };
}

async function toolOf(name: Tool['name'], command: readonly string[], runner: Runner): Promise<Tool> {
  const { stdout } = await runAsOrThrow(runner.user, [...command, 'version'], { env: runner.env });
  return { name, command, version: stdout.trim() };
}

/** Files and bytes below a folder. */
function sizeOf(folder: string): { files: number; bytes: number } {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
  const bytes = files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  return { files: files.length, bytes };
}

interface Sample {
  readonly wall: number[];
  readonly cpu: number[];
  memory: Memory;
  requests?: RequestCounts;
}

/** Measures one row: first the memory of each tool, which warms up the disk cache too; then the pairs. */
async function measureRow(
  row: Row,
  bed: Bed,
  tools: readonly Tool[],
  options: Options,
  store: ObjectStore | undefined,
): Promise<RowResult> {
  const count = row.countOf?.(options) ?? row.count ?? 1;
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
  while (pairs < options.pairs) {
    const seconds = (performance.now() - began) / 1000;
    if (pairs >= fewestPairs && seconds + seconds / (pairs + 1) > options.rowSeconds) break;
    for (const [tool, sample] of pairs % 2 === 0 ? samples : [...samples].reverse()) {
      await row.reset?.(bed, tool);
      const { wall, cpu, memory } = await measure(bed.runner, row.commands(bed, tool), row.long);
      sample.wall.push(wall / count);
      sample.cpu.push(cpu / count);
      sample.memory = mostMemory(sample.memory, memory);
    }
    if (row.emptyNode) {
      const program = join(bed.cluster.root, 'empty.cjs');
      await bed.once('empty.cjs', async () => void bed.cluster.writeFile('empty.cjs', ''));
      const { wall } = await measure(bed.runner, Array(count).fill([process.execPath, program]));
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
    name: row.name,
    ours,
    ...(theirs === undefined ? {} : { theirs }),
    ...(pairs === options.pairs ? {} : { pairs }),
    ...(emptyNode.length === 0 ? {} : { emptyNode }),
    ...(row.timeOnly ? { timeOnly: true } : {}),
    ...(row.unit === undefined ? {} : { unit: row.unit }),
  };
}

/** Measures one row of which each call is timed alone, the tools in turns, an empty Node program and a shell beside them. */
async function measureLatency(row: Row, bed: Bed, tools: readonly Tool[]): Promise<LatencyRow> {
  const commands: (readonly string[])[][] = [];
  for (const tool of tools) {
    await row.reset?.(bed, tool);
    commands.push(row.commands(bed, tool));
  }
  const empty = bed.cluster.writeFile('empty.cjs', '');
  const calls = commands[0]?.length ?? 0;
  const floors = [
    [process.execPath, empty],
    ['sh', '-c', ':'],
  ].map(command => Array<string[]>(calls).fill(command));
  const times = await measureEach(bed.runner, [...commands, ...floors]);
  const [emptyNode = [], shell = []] = times.slice(tools.length);
  const [ours = [], theirs] = times.slice(0, tools.length);
  return { name: row.name, ours, emptyNode, shell, ...(theirs === undefined ? {} : { theirs }) };
}

function briefLatency({ name, ours, theirs }: LatencyRow): string {
  const text = (values: readonly number[]) =>
    [0.5, 0.95].map(part => `${(quantile(values, part) * 1000).toFixed(1)} ms`).join(' p95 ');
  return `${name}: p50 ${text(ours)}${theirs === undefined ? '' : `, theirs p50 ${text(theirs)}`}`;
}

function brief({ name, ours, theirs }: RowResult): string {
  const mine = spread(ours.wall).median;
  if (theirs === undefined) return `${name}: ${mine.toFixed(3)} s`;
  const { median } = spread(ratios(ours.wall, theirs.wall));
  return `${name}: ${mine.toFixed(3)} s, theirs ${spread(theirs.wall).median.toFixed(3)} s, ratio ${median.toFixed(2)}`;
}

/** Both programs, ours first; without the real one ours alone. */
async function findTools(options: Options, ours: Tool['command'], runner: Runner): Promise<Tool[]> {
  const tools = [await toolOf('ours', options.ours === undefined ? ours : [options.ours], runner)];
  const theirs = options.theirs ?? findRealPgbackrest()?.path;
  if (theirs === undefined) console.error('the real pgbackrest is not on PATH: only pgbackstop is measured');
  else tools.push(await toolOf('theirs', [theirs], runner));
  return tools;
}

function machine(): Result['machine'] {
  return {
    processors: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  };
}

/** Makes beds when a row asks for them and removes them after the last that does. */
class Beds {
  readonly #beds = new Map<BedName, Bed>();
  readonly #create: (name: BedName) => Promise<Bed>;

  constructor(create: (name: BedName) => Promise<Bed>) {
    this.#create = create;
  }

  async get(name: BedName): Promise<Bed> {
    const bed = this.#beds.get(name) ?? (await this.#create(name));
    this.#beds.set(name, bed);
    return bed;
  }

  /** @param later rows that are still to come */
  async keepFor(later: readonly Row[]): Promise<void> {
    for (const [name, bed] of this.#beds) {
      if (later.some(row => row.bed === name)) continue;
      this.#beds.delete(name);
      await bed.dispose();
    }
  }
}

/** Nobody who looks at the file meanwhile sees half of it. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

function save(result: Result, { json, markdown: table }: Options): void {
  writeWhole(json, `${JSON.stringify(result, undefined, 2)}\n`);
  if (table !== undefined) writeWhole(table, `${heading(result)}\n\n${tables(result)}\n`);
}

async function main(): Promise<void> {
  program.parse();
  const options = program.opts<Options>();
  const selected = selectRows(program.args);
  if (options.list) {
    for (const { name, onRequest } of rows) console.log(onRequest ? `${name} (on request)` : name);
    return;
  }
  if (selected.length === 0) throw new Error(`no row is named ${program.args.join(' or ')} (see --list)`);
  const chosen = hasS3Server() ? selected : selected.filter(row => row.roundTrip === undefined);
  if (chosen.length < selected.length) console.error(s3SkipReason.replace('S3 tests', 'rows s3/*'));

  // An interrupt ends the command that is measured, and the bench after it: what was measured is in the files.
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted = true;
    });
  }

  const user = unprivilegedUser();
  const runner: Runner = { user, env: environment() };
  const project = runnableProject(user);
  const versions: Record<string, string> = { Node: process.versions.node, Linux: release() };
  const clusters: Record<string, { bytes: number; files: number }> = {};
  const beds = new Beds(async name => {
    console.error(`making the cluster '${name}'`);
    const bed = await Bed.create(name, postgres?.version, options, runner.env);
    versions.PostgreSQL = String(await bed.cluster.value('show server_version'));
    clusters[name] = sizeOf(join(bed.cluster.dataDirectory, 'base'));
    return bed;
  });
  const postgres = await postgresOf(wantedPostgres, user);
  let store: ObjectStore | undefined;
  try {
    const tools = await findTools(options, [project.command[1]], runner);
    for (const { name, version } of tools) versions[name] = version;
    const reference = tools.at(-1);
    if (reference === undefined) throw new Error('there is no tool');
    if (postgres === undefined) {
      console.error(`PostgreSQL ${wantedPostgres} is not installed: the newest that is found serves`);
    }
    const measured: RowResult[] = [];
    const latencies: LatencyRow[] = [];
    const failed: FailedRow[] = [];
    const result = (): Result => ({
      date: new Date().toISOString(),
      machine: machine(),
      versions,
      pairs: options.pairs,
      clusters,
      rows: measured,
      latencies,
      failed,
    });
    for (const [index, row] of chosen.entries()) {
      const began = performance.now();
      try {
        const bed = await beds.get(row.bed);
        if (row.roundTrip !== undefined) {
          store ??= await ObjectStore.start();
          bed.useObjectStore(store);
        }
        await row.prepare?.(bed, reference, tools);
        let told: string;
        if (row.latency) {
          const calls = await measureLatency(row, bed, tools);
          latencies.push(calls);
          told = briefLatency(calls);
        } else {
          const one = await measureRow(row, bed, tools, options, row.roundTrip === undefined ? undefined : store);
          measured.push(one);
          told = brief(one);
        }
        console.error(`${told} (${Math.round((performance.now() - began) / 1000)} s for the row)`);
      } catch (error) {
        if (interrupted) break; // what failed is the command that was interrupted
        // the others can be measured all the same; the end says that one was not
        const message = error instanceof Error ? error.message : String(error);
        failed.push({ name: row.name, error: message });
        console.error(`${row.name}: ${message}`);
        process.exitCode = 1;
      }
      save(result(), options);
      if (interrupted) break;
      await beds.keepFor(chosen.slice(index + 1));
    }
    const { json, markdown: table } = options;
    console.log(`${heading(result())}\n\n${tables(result())}`);
    console.error(`results: ${[table, json].filter(path => path !== undefined).join(', ')}`);
    if (interrupted) process.exitCode = 130;
  } finally {
    await beds.keepFor([]);
    await store?.close();
    project.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
