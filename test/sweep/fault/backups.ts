/** States of a repository that several commands begin with, and what is true of its backups. */
import { readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { pages } from '../../support/tiny-cluster.ts';
import type { FaultBed } from './fault-bed.ts';

export const segments = ['000000010000000000000001', '000000010000000000000002'] as const;

/** A stanza, its archive and backups of these kinds. */
export async function makeBackups(bed: FaultBed, ...kinds: readonly ('full' | 'diff' | 'incr')[]): Promise<void> {
  await bed.run('stanza-create');
  for (const name of segments) await bed.push(name);
  for (const [index, kind] of kinds.entries()) {
    change(bed, index);
    await bed.run('backup', `--type=${kind}`);
  }
  change(bed, kinds.length);
}

/** Seconds since the epoch, of the first change. */
const firstChange = Math.floor(Date.now() / 1000) - 1000;

/**
 * As if a server had been at work since the last backup. Each change has a second of its own: an offline backup waits for none, and
 * a file of the same size and second counts as unchanged.
 */
export function change(bed: FaultBed, seed: number): void {
  const time = firstChange + seed;
  for (const [name, content] of [
    ['base/5/1259', pages(2, 10 + seed)],
    ['base/5/20000', pages(6, seed)],
    [`base/5/${30_000 + seed}`, pages(1, seed)],
  ] as const) {
    bed.cluster.write(name, content);
    utimesSync(join(bed.cluster.data, name), time, time);
  }
}

/** The newest of at least so many backups holds the cluster as it is. */
export async function newestIsWhole(bed: FaultBed, least: number): Promise<void> {
  expect((await bed.listed()).length).toBeGreaterThanOrEqual(least);
  expect(await bed.contentBy(bed.judge ?? bed.ours)).toEqual(bed.content());
  if (bed.judge !== undefined) infosAgree(bed);
}

/** Both copies of both info files say the same. */
export function infosAgree(bed: FaultBed): void {
  for (const name of ['archive/demo/archive.info', 'backup/demo/backup.info']) {
    const read = (copy: string): string => readFileSync(bed.at('repo', `${name}${copy}`), 'latin1');
    expect(read('.copy')).toBe(read(''));
  }
}
