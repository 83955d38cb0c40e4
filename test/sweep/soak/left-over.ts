/** What must not be there any more, or not in any amount, when all is over. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { inspectLock } from '../../../src/base/lock.ts';
import type { SoakBed } from './bed.ts';
import { processesOf } from './processes.ts';
import { sizeOf } from './retention.ts';
import { until } from './turn.ts';

/** Megabytes that a process of asynchronous archiving may have. */
const memoryLimit = 200;

/** @param memory megabytes by command @param segments how many were archived */
export async function expectNothingLeft(
  { stanza, journal, attempts }: SoakBed,
  memory: ReadonlyMap<string, number>,
  segments: number,
): Promise<void> {
  await until('all processes have ended', () => processesOf(stanza.folder).length === 0);
  for (const folder of ['lock', 'beside-lock'].map(name => join(stanza.folder, name)).filter(existsSync)) {
    for (const name of readdirSync(folder)) {
      expect(name, 'what forbids the stanza to work').not.toMatch(/\.stop$/);
      expect(inspectLock(join(folder, name)).state, `lock ${name}`).not.toBe('held');
    }
  }
  for (const folder of ['spool', 'beside-spool'].map(name => join(stanza.folder, name)).filter(existsSync)) {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    journal.add(`${folder}: ${files.length} files, ${sizeOf(folder)} bytes`);
    expect(files.length, files.join('\n')).toBeLessThan(200);
  }
  for (const folder of ['log', 'beside-log'].map(name => join(stanza.folder, name)).filter(existsSync)) {
    const size = sizeOf(folder);
    journal.add(`${folder}: ${size} bytes after ${attempts} commands and ${segments} segments`);
    expect(size, folder).toBeLessThan(20_000 + 4000 * (attempts + segments));
  }
  for (const [command, megabytes] of memory) {
    if (command.includes(':async')) expect(megabytes, command).toBeLessThan(memoryLimit);
  }
}
