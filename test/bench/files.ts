/** The files that a run leaves. */
import { renameSync, writeFileSync } from 'node:fs';
import { chart } from './chart.ts';
import { type Column, compare } from './comparison.ts';
import type { Result } from './result.ts';
import { summarize, summarized } from './summary.ts';

export interface ResultFiles {
  readonly json?: string;
  readonly markdown?: string;
  readonly svg?: string;
}

/** Nobody who looks at the file meanwhile sees half of it. */
export function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

/** Writes the table and the chart of the columns where they are wanted; no chart while no row has a ratio. */
export function writeTold(columns: readonly Column[], { markdown, svg }: ResultFiles): void {
  const hasRatio = columns.some(({ result }) =>
    [...result.rows, ...result.latencies].some(row => summarize(row).time !== undefined),
  );
  if (markdown !== undefined) writeWhole(markdown, compare(columns));
  if (svg !== undefined && hasRatio) writeWhole(svg, chart(columns));
}

/** Writes all that is wanted of one result. */
export function writeResult(result: Result, files: ResultFiles): void {
  if (files.json !== undefined) writeWhole(files.json, `${JSON.stringify(summarized(result), undefined, 2)}\n`);
  writeTold([{ label: `Node ${result.versions.Node}`, result }], files);
}
