/** WAL through file systems in which one operation fails: what was said to be archived is, what is fetched is whole. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { inspectLock } from '../../../src/base/lock.ts';
import { forgeSegment, systemId } from '../../command/archive/archive-bed.ts';
import { until } from '../../integration/async-push-bed.ts';
import { forgeControl } from '../../postgres/forge.ts';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { FaultBed } from './fault-bed.ts';
import { type Scenario, sweepScenario } from './scenario.ts';

const sweep = new Sweep('fault');
afterAll(() => sweep.report('archive'));

const names = [4, 5, 6, 7].map(number => number.toString(16).toUpperCase().padStart(24, '0000000100000000000000'));
const [first = '', second = ''] = names;
const history = '00000002.history';

/** A stanza of a cluster that has some WAL. */
async function prepare(bed: FaultBed): Promise<void> {
  bed.cluster.write('global/pg_control', forgeControl('15', { systemId, walSegmentSize: 1024 * 1024 }));
  bed.makeFolders(bed.at('data', 'pg_wal/archive_status'));
  for (const name of names) bed.cluster.write(`pg_wal/${name}`, forgeSegment(name));
  bed.cluster.write(`pg_wal/${history}`, '1\t0/5000000\tno recovery target specified\n');
  await bed.run('stanza-create');
  // what comes before
  await bed.push('000000010000000000000003');
}

async function prepareArchived(bed: FaultBed): Promise<void> {
  await prepare(bed);
  for (const name of [...names, history]) await bed.run('archive-push', bed.at('data', 'pg_wal', name));
}

async function prepareReady(bed: FaultBed): Promise<void> {
  await prepare(bed);
  for (const name of names) bed.cluster.write(`pg_wal/archive_status/${name}.ready`, '');
}

/** Names in the archive that are not temporary. */
function archived(bed: FaultBed, name: string): string[] {
  const folder = bed.at('repo', 'archive/demo/15-1', name.endsWith('.history') ? '' : name.slice(0, 16));
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter(found => found.startsWith(name) && !found.endsWith('.pgbackrest.tmp'));
}

/** A file is in the archive once, and whole. */
async function isArchived(bed: FaultBed, name: string): Promise<void> {
  expect(archived(bed, name)).toHaveLength(1);
  const destination = join(dirname(bed.at('target')), 'fetched');
  bed.makeFolders(destination);
  const { code, output } = await bed.attempt('archive-get', [name, join(destination, 'WAL')], bed.judge ?? bed.ours);
  expect(code, output).toBe(0);
  expect(readFileSync(join(destination, 'WAL')).equals(readFileSync(bed.at('data', 'pg_wal', name)))).toBe(true);
}

/** The destination is what PostgreSQL asked for. */
function isFetched(name: string): Scenario['complete'] {
  return async bed => {
    const wanted = readFileSync(bed.at('data', 'pg_wal', name));
    expect(readFileSync(bed.at('target', 'RECOVERYXLOG')).equals(wanted)).toBe(true);
    expect(readdirSync(bed.at('target'))).toEqual(['RECOVERYXLOG']);
  };
}

/** Nothing under the name that PostgreSQL reads, or the whole. */
function notHalf(name: string): (bed: FaultBed) => Promise<void> {
  return async bed => {
    if (existsSync(bed.at('target', 'RECOVERYXLOG')))
      expect(readFileSync(bed.at('target', 'RECOVERYXLOG'))).toEqual(readFileSync(bed.at('data', 'pg_wal', name)));
  };
}

const push = (name: string) => ({
  command: 'archive-push',
  prepare,
  args: (bed: FaultBed) => [bed.at('data', 'pg_wal', name)],
  complete: (bed: FaultBed) => isArchived(bed, name),
  // what has its final name is whole, whatever was said
  failed: async (bed: FaultBed) => {
    if (archived(bed, name).length > 0) await isArchived(bed, name);
  },
  verifies: false,
  // a status file is written or not, however far that came
  codes: ['command', 'repo-invalid', 'file-write'] as const,
});

const get = (name: string) => ({
  command: 'archive-get',
  prepare: prepareArchived,
  args: (bed: FaultBed) => [name, bed.at('target', 'RECOVERYXLOG')],
  complete: isFetched(name),
  failed: notHalf(name),
  verifies: false,
  codes: ['repo-invalid'] as const,
});

/** The background process has ended. */
async function ended(bed: FaultBed): Promise<void> {
  await until(() => inspectLock(bed.at('lock', 'demo-archive-1.lock')).state !== 'held', 60_000);
}

const asynchronous = ['--archive-async', '--archive-timeout=30'];

const scenarios: readonly Scenario[] = [
  { ...push(first), name: 'archive-push', places: ['repo', 'data'], short: 3 },
  { ...push(history), name: 'archive-push of a history file', places: ['repo', 'data'], short: 1 },
  {
    ...push(first),
    name: 'archive-push of what is there',
    places: ['repo', 'data'],
    short: 1,
    prepare: prepareArchived,
  },
  { ...get(second), name: 'archive-get', places: ['repo', 'target'], short: 3 },
  { ...get(history), name: 'archive-get of a history file', places: ['repo', 'target'], short: 1 },
  ...(['foreground', 'background'] as const).flatMap((process): Scenario[] => [
    {
      ...push(first),
      name: `archive-push, asynchronous, ${process}`,
      process,
      places: ['repo', 'data', 'spool', 'lock'].filter(
        place => process === 'background' || place !== 'repo',
      ) as Scenario['places'],
      short: 1,
      prepare: prepareReady,
      args: bed => [...asynchronous, bed.at('data', 'pg_wal', first)],
      ended,
    },
    {
      ...get(second),
      name: `archive-get, asynchronous, ${process}`,
      process,
      places: process === 'background' ? ['repo', 'spool', 'lock'] : ['spool', 'lock', 'target'],
      short: 1,
      args: bed => [...asynchronous, '--archive-get-queue-max=3MiB', second, bed.at('target', 'RECOVERYXLOG')],
      ended,
    },
  ]),
];

describe('faults under WAL', () => {
  test.each(fewOrAll(scenarios, 5).map(scenario => [scenario.name, scenario] as const))(
    '%s',
    { timeout: 3_600_000 },
    async (_name, scenario) => {
      const bed = new FaultBed('plain');
      try {
        await sweepScenario(sweep, bed, scenario);
      } finally {
        bed.dispose();
      }
    },
  );
});
