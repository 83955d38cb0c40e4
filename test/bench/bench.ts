/**
 * The bench itself: pgbackstop and the real pgBackRest side by side, in turns, on the same cluster.
 *
 * Times depend on the machine and its mood; the ratio of two runs next to each other hardly does.
 */
import { readdirSync, statSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { postgresOf } from '../support/pg-binaries.ts';
import { Beds } from './beds.ts';
import { type Options, resultFile } from './command-line.ts';
import { writeResult } from './files.ts';
import { watchInterrupt } from './interrupt.ts';
import { measureLatency, measureRow } from './measure-row.ts';
import { ObjectStore } from './object-store.ts';
import { document } from './report.ts';
import type { FailedRow, LatencyRow, Result, RowResult } from './result.ts';
import type { Row } from './row.ts';
import { summarize } from './summary.ts';
import { openWorkshop } from './tools.ts';

/** PostgreSQL of the comparison: what Debian's pgBackRest knows. */
const wantedPostgres = '15';

/** Files and bytes below a folder. */
function sizeOf(folder: string): { files: number; bytes: number } {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
  const bytes = files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  return { files: files.length, bytes };
}

export function machine(): Result['machine'] {
  return {
    processors: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  };
}

/** One line while the others are measured. */
function brief(row: RowResult | LatencyRow): string {
  const { ours, theirs, time, target, met } = summarize(row);
  if (theirs === undefined || time === undefined) return `${row.name}: ${ours.toFixed(3)} s`;
  const told = `${row.name}: ${ours.toFixed(3)} s, theirs ${theirs.toFixed(3)} s, ratio ${time.median.toFixed(2)}`;
  return met ? told : `${told}, missed ${target.toFixed(2)}`;
}

/** Finds PostgreSQL for the beds. @returns its version, undefined: the newest there is */
export async function postgresVersion(user: Parameters<typeof postgresOf>[1]): Promise<string | undefined> {
  const found = await postgresOf(wantedPostgres, user);
  if (found === undefined) {
    console.error(`PostgreSQL ${wantedPostgres} is not installed: the newest that is found serves`);
  }
  return found?.version;
}

/** Measures the rows one after the other; the files are complete after each. An interrupt ends it after the row. */
export async function bench(chosen: readonly Row[], options: Options): Promise<void> {
  const interrupt = watchInterrupt();
  const files = { json: resultFile('bench.json'), ...options };
  const workshop = await openWorkshop(options);
  const { runner, tools } = workshop;
  const versions: Record<string, string> = { ...workshop.versions };
  const clusters: Record<string, { bytes: number; files: number }> = {};
  const beds = Beds.of(await postgresVersion(runner.user), options, runner, async bed => {
    versions.PostgreSQL = String(await bed.cluster.value('show server_version'));
    clusters[bed.name] = sizeOf(join(bed.cluster.dataDirectory, 'base'));
  });
  const reference = tools.at(-1) ?? tools[0];
  const rows: RowResult[] = [];
  const latencies: LatencyRow[] = [];
  const failed: FailedRow[] = [];
  const result = (): Result => ({
    date: new Date().toISOString(),
    machine: machine(),
    versions,
    pairs: options.pairs,
    clusters,
    rows,
    latencies,
    failed,
  });
  let store: ObjectStore | undefined;
  try {
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
          told = brief(calls);
        } else {
          const one = await measureRow(row, bed, tools, options, row.roundTrip === undefined ? undefined : store);
          rows.push(one);
          told = brief(one);
        }
        console.error(`${told} (${Math.round((performance.now() - began) / 1000)} s for the row)`);
      } catch (error) {
        if (interrupt.seen) break; // what failed is the command that was interrupted
        // the others can be measured all the same; the end says that one was not
        const message = error instanceof Error ? error.message : String(error);
        failed.push({ name: row.name, error: message });
        console.error(`${row.name}: ${message}`);
        process.exitCode = 1;
      }
      writeResult(result(), files);
      if (interrupt.seen) break;
      await beds.keepFor(chosen.slice(index + 1));
    }
    console.log(document(result()));
    console.error(`results: ${[files.markdown, files.json, files.svg].filter(path => path !== undefined).join(', ')}`);
    if (interrupt.seen) process.exitCode = 130;
  } finally {
    await beds.keepFor([]);
    await store?.close();
    workshop.close();
  }
}
