/**
 * Files of the data directory that vanish, shrink, grow or become unreadable while a backup looks at them and copies them. What
 * a server may do to its files is no failure; the rest is one that names the file.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { change, makeBackups } from './backups.ts';
import { FaultBed, type Layout } from './fault-bed.ts';
import type { FaultTable } from './plan.ts';
import { type Scenario, sweepScenario } from './scenario.ts';

const sweep = new Sweep('fault');
afterAll(() => sweep.report('cluster-files'));

/** Before a file is opened, between two reads of it, and so on. */
const disturbances: FaultTable = {
  open: ['vanish', 'shrink', 'grow', 'forbid'],
  read: ['vanish', 'shrink', 'grow'],
  stat: ['vanish', 'shrink', 'grow'],
  list: ['vanish', 'forbid'],
};

/** The backup holds the cluster as it was at the start or as it is now, file by file. */
async function holdsCluster(bed: FaultBed, before: Readonly<Record<string, string>>): Promise<void> {
  const restored = await bed.contentBy(bed.judge ?? bed.ours);
  const now = bed.content();
  for (const name of new Set([...Object.keys(before), ...Object.keys(now), ...Object.keys(restored)])) {
    const found = restored[name];
    if (found === undefined) {
      expect(now[name] === undefined && name !== 'global/pg_control', `${name} may be missing`).toBe(true);
    } else expect([before[name], now[name]], `content of ${name}`).toContain(found);
  }
}

const scenarios = [
  { name: 'full', kinds: [] },
  { name: 'incr', kinds: ['full'] },
  { name: 'diff', kinds: ['full', 'incr'] },
] as const;

const cases = scenarios.flatMap(({ name, kinds }) =>
  (['plain', 'bundles'] as const).map(layout => [name, layout, kinds] as const),
);

describe('a data directory that is not left alone', () => {
  test.each(fewOrAll(cases, 2))(
    'backup of kind %s (%s)',
    { timeout: 3_600_000 },
    async (name, layout: Layout, kinds) => {
      const bed = new FaultBed(layout);
      let before: Record<string, string> = {};
      const scenario: Scenario = {
        name: `backup, ${name}, ${layout}, a disturbed cluster`,
        command: 'backup',
        args: () => [`--type=${name}`, ...(name === 'diff' ? ['--delta'] : [])],
        places: ['data'],
        faults: disturbances,
        short: 1,
        async prepare(made) {
          await makeBackups(made, ...kinds);
        },
        async begins(made) {
          before = made.content();
        },
        async complete(made) {
          expect((await made.labels()).length).toBeGreaterThan(kinds.length);
          await holdsCluster(made, before);
        },
        async mend(made) {
          made.resetCluster();
          // a backup without changes is refused
          change(made, 50);
          before = made.content();
        },
        // what a tablespace links to is gone
        codes: ['file-missing', 'path-missing', 'format'],
        // all that had changed is gone
        nameless: 'no files have changed since the last backup',
      };
      try {
        await sweepScenario(sweep, bed, scenario);
      } finally {
        bed.dispose();
      }
    },
  );
});
