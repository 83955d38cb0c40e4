/**
 * The bench: pgbackstop and the real pgBackRest side by side, in turns, on the same cluster.
 *
 * Times depend on the machine and its mood; the ratio of two runs next to each other hardly does.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { postgresOf } from '../support/pg-binaries.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { runAsOrThrow, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, runnableProject } from '../support/unprivileged-project.ts';
import { Bed, type BedName, type Tool } from './bed.ts';
import { measure, peakMemory, type Runner } from './measure.ts';
import { heading, markdown, type Result, type RowResult, ratios, type Series, spread } from './report.ts';
import { type Row, rows, selectRows } from './rows.ts';

interface Options {
  readonly pairs: number;
  readonly size: number;
  readonly tables: number;
  readonly ours?: string;
  readonly theirs?: string;
  readonly json: string;
  readonly list?: boolean;
}

/** PostgreSQL of the comparison: what Debian's pgBackRest knows. */
const wantedPostgres = '15';

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0 is wanted');
  return value;
}

const program = new Command('npm run bench --')
  .description('Measures pgbackstop beside the real pgBackRest and prints ratios (below 1: pgbackstop needs less).')
  .argument('[rows...]', 'rows to measure, * stands for anything (all)')
  .option('--pairs <n>', 'runs of each tool per row, in turns', positive, 5)
  .option('--size <megabytes>', 'size of the large cluster', positive, 1000)
  .option('--tables <n>', 'tables of the cluster with many small ones', positive, 5000)
  .option('--ours <path>', 'another executable in place of this pgbackstop')
  .option('--theirs <path>', 'the real pgbackrest (the one on PATH)')
  .option('--json <path>', 'file for the results', join(projectRoot(), '.test', 'bench.json'))
  .option('--list', 'names the rows and ends')
  .addHelpText('after', '\nExample: npm run bench -- --pairs 7 "size/*-lz4-*" version');

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
function countFiles(folder: string): { files: number; bytes: number } {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).length;
  return { files, bytes: 0 };
}

interface Sample {
  wall: number[];
  cpu: number[];
  peak: number;
}

/** Measures one row: first the memory of each tool, which warms up the disk cache too; then the pairs. */
async function measureRow(row: Row, bed: Bed, tools: readonly Tool[], pairs: number): Promise<RowResult> {
  const count = row.count ?? 1;
  const samples = new Map<Tool, Sample>();
  for (const tool of tools) {
    await row.reset?.(bed, tool);
    const [first = []] = row.commands(bed, tool);
    samples.set(tool, { wall: [], cpu: [], peak: await peakMemory(bed.runner, first) });
  }
  const emptyNode: number[] = [];
  const empty = bed.cluster.root;
  for (let pair = 0; pair < pairs; pair++) {
    for (const tool of pair % 2 === 0 ? tools : [...tools].reverse()) {
      await row.reset?.(bed, tool);
      const { wall, cpu } = await measure(bed.runner, row.commands(bed, tool));
      const sample = samples.get(tool);
      sample?.wall.push(wall / count);
      sample?.cpu.push(cpu / count);
    }
    if (row.emptyNode) {
      const program = join(empty, 'empty.cjs');
      await bed.once('empty.cjs', async () => void bed.cluster.writeFile('empty.cjs', ''));
      const { wall } = await measure(bed.runner, Array(count).fill([process.execPath, program]));
      emptyNode.push(wall / count);
    }
  }
  const series = (name: Tool['name']): Series | undefined => [...samples].find(([tool]) => tool.name === name)?.[1];
  const [ours, theirs] = [series('ours'), series('theirs')];
  if (ours === undefined) throw new Error('our own tool was not measured');
  return {
    name: row.name,
    ours,
    ...(theirs === undefined ? {} : { theirs }),
    ...(emptyNode.length === 0 ? {} : { emptyNode }),
  };
}

function brief({ name, ours, theirs }: RowResult): string {
  const mine = spread(ours.wall).median;
  if (theirs === undefined) return `${name}: ${mine.toFixed(3)} s`;
  const { median } = spread(ratios(ours.wall, theirs.wall));
  return `${name}: ${mine.toFixed(3)} s, theirs ${spread(theirs.wall).median.toFixed(3)} s, ratio ${median.toFixed(2)}`;
}

async function main(): Promise<void> {
  program.parse();
  const options = program.opts<Options>();
  const chosen = selectRows(program.args);
  if (options.list) {
    for (const { name } of rows) console.log(name);
    return;
  }
  if (chosen.length === 0) throw new Error(`no row is named ${program.args.join(' or ')} (see --list)`);

  const user = unprivilegedUser();
  const runner: Runner = { user, env: environment() };
  const project = runnableProject(user);
  const tools: Tool[] = [];
  const beds = new Map<BedName, Bed>();
  try {
    tools.push(await toolOf('ours', options.ours === undefined ? [project.command[1]] : [options.ours], runner));
    const theirs = options.theirs ?? findRealPgbackrest()?.path;
    if (theirs === undefined) console.error('the real pgbackrest is not on PATH: only pgbackstop is measured');
    else tools.push(await toolOf('theirs', [theirs], runner));
    const [reference] = tools.slice(-1);
    if (reference === undefined) throw new Error('there is no tool');

    const postgres = await postgresOf(wantedPostgres, user);
    if (postgres === undefined) {
      console.error(`PostgreSQL ${wantedPostgres} is not installed: the newest that is found serves`);
    }
    const results: RowResult[] = [];
    const clusters: Record<string, { bytes: number; files: number }> = {};
    let version = '';
    for (const row of chosen) {
      let bed = beds.get(row.bed);
      if (bed === undefined) {
        console.error(`making the cluster '${row.bed}'`);
        bed = await Bed.create(row.bed, postgres?.version, options, runner.env);
        beds.set(row.bed, bed);
        version = String(await bed.cluster.value('show server_version'));
        const bytes = Number(await bed.cluster.value('select sum(pg_database_size(oid)) from pg_database'));
        clusters[row.bed] = { ...countFiles(join(bed.cluster.dataDirectory, 'base')), bytes };
      }
      await row.prepare?.(bed, reference);
      const result = await measureRow(row, bed, tools, options.pairs);
      console.error(brief(result));
      results.push(result);
    }
    const result: Result = {
      date: new Date().toISOString(),
      machine: {
        processors: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
        memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
      },
      versions: {
        ours: tools[0]?.version ?? '',
        theirs: tools[1]?.version ?? 'absent',
        PostgreSQL: version,
        Node: process.versions.node,
        Linux: release(),
      },
      pairs: options.pairs,
      clusters,
      rows: results,
    };
    writeFileSync(options.json, `${JSON.stringify(result, undefined, 2)}\n`);
    console.log(`${heading(result)}\n\n${markdown(result)}`);
    console.error(`results: ${basename(options.json) === options.json ? `./${options.json}` : options.json}`);
  } finally {
    for (const bed of beds.values()) await bed.dispose();
    project.remove();
  }
}

// An interrupt ends the command that is measured; its failure ends the bench, and the clusters are removed.
process.on('SIGINT', () => undefined);

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
