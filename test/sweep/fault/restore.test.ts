/** Restores into a file system, and out of a repository, in which one operation fails: PostgreSQL never starts from half of one. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { contentOf } from '../../integration/offline-bed.ts';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { makeBackups } from './backups.ts';
import { FaultBed, type Layout } from './fault-bed.ts';
import { type Scenario, sweepScenario } from './scenario.ts';

const sweep = new Sweep('fault');
afterAll(() => sweep.report('restore'));

const settings = "work_mem = '3MB'\n";
const control = 'global/pg_control';

const into = (bed: FaultBed): string[] => [
  `--pg1-path=${bed.at('target', 'data')}`,
  `--tablespace-map-all=${bed.at('target', 'space')}`,
];
const withDelta = (bed: FaultBed): string[] => [...into(bed), '--delta'];

const targetOf = (bed: FaultBed): Record<string, string> => contentOf(bed.at('target', 'data'));

/** A backup whose data directory then went on: what a restore must bring back is no longer what the cluster holds. */
async function prepare(bed: FaultBed): Promise<void> {
  bed.cluster.write('postgresql.auto.conf', settings);
  await makeBackups(bed, 'full', 'incr');
  bed.makeFolders(bed.at('target', 'data'), bed.at('target', 'space'));
}

/** An older restore lies there, in which a server was at work. */
async function prepareOld(bed: FaultBed): Promise<void> {
  await prepare(bed);
  await bed.run('restore', ...into(bed), `--set=${bed.backupFolders().sort()[0]}`);
  const data = bed.at('target', 'data');
  writeFileSync(join(data, 'base/5/1247'), Buffer.alloc(4 * 8192, 1));
  writeFileSync(join(data, 'base/5/20000'), Buffer.alloc(6 * 8192, 2));
  writeFileSync(join(data, 'base/5/99999'), 'of a later time');
  writeFileSync(join(data, 'pg_hba.conf'), '');
}

/** What is removed is looked at on the way. */
const looking = ['file-remove'] as const;

type Judges = Pick<Scenario, 'complete' | 'failed'>;

/** Every restore of a bed must bring back the same. */
function judges(): Judges {
  const known = new WeakMap<FaultBed, { readonly before: string; readonly wanted: Record<string, string> }>();
  const knownOf = async (bed: FaultBed) => {
    const found = known.get(bed) ?? {
      before: JSON.stringify(contentOf(bed.kept('target', 'data'))),
      wanted: await bed.contentBy(bed.judge ?? bed.ours),
    };
    known.set(bed, found);
    return found;
  };
  return {
    async complete(bed) {
      expect(targetOf(bed)).toEqual((await knownOf(bed)).wanted);
      const data = bed.at('target', 'data');
      expect(readFileSync(join(data, 'postgresql.auto.conf'), 'utf8')).toContain(settings);
      const left = readdirSync(data, { recursive: true }).map(String);
      expect(left.filter(name => /\.pgbackrest\.tmp$|^backup\.manifest/.test(name))).toEqual([]);
    },
    async failed(bed) {
      if (!existsSync(bed.at('target', 'data', control))) return;
      // nothing was changed yet, or nothing was left to do
      const [{ before, wanted }, now] = [await knownOf(bed), targetOf(bed)];
      if (JSON.stringify(now) !== before) expect(now).toEqual(wanted);
    },
  };
}

const scenarios: readonly (Scenario & { readonly layouts: readonly Layout[] })[] = [
  {
    name: 'restore',
    layouts: ['plain', 'bundles'],
    command: 'restore',
    args: into,
    argsAgain: withDelta,
    places: ['target', 'repo', 'lock', 'spool'],
    codes: looking,
    short: 1,
    async prepare(bed) {
      await prepare(bed);
      for (const name of ['archive', 'archive/demo', 'archive/demo/in', 'archive/demo/out'])
        bed.makeFolders(bed.at('spool', name));
      writeFileSync(bed.at('spool', 'archive/demo/in/000000010000000000000009'), 'of another recovery');
    },
    ...judges(),
  },
  {
    name: 'restore with delta',
    layouts: ['plain', 'bundles'],
    command: 'restore',
    args: withDelta,
    places: ['target', 'repo'],
    codes: looking,
    short: 2,
    prepare: prepareOld,
    ...judges(),
  },
  {
    name: 'restore with force',
    layouts: ['plain'],
    command: 'restore',
    args: bed => [...into(bed), '--force'],
    argsAgain: withDelta,
    places: ['target'],
    // what may not be looked at is taken for no data directory, which nothing is removed from
    codes: [...looking, 'path-not-empty'],
    short: 2,
    prepare: prepareOld,
    ...judges(),
  },
  {
    name: 'restore to be recovered',
    layouts: ['plain'],
    command: 'restore',
    args: bed => [...withDelta(bed), '--type=immediate', '--target-action=promote'],
    places: ['target'],
    codes: looking,
    short: 2,
    prepare: prepareOld,
    ...recovered(judges()),
  },
];

/** With the settings of a recovery. */
function recovered({ complete, failed }: Judges): Judges {
  return {
    ...(failed && { failed }),
    async complete(bed, outcome) {
      await complete(bed, outcome);
      expect(existsSync(bed.at('target', 'data', 'recovery.signal'))).toBe(true);
      const conf = readFileSync(bed.at('target', 'data', 'postgresql.auto.conf'), 'utf8');
      expect(conf).toMatch(/^restore_command = /m);
      expect(conf).toMatch(/^recovery_target = 'immediate'$/m);
    },
  };
}

const cases = scenarios.flatMap(scenario => scenario.layouts.map(layout => [scenario.name, layout, scenario] as const));

describe('faults under a restore', () => {
  test.each(fewOrAll(cases, 3))('%s (%s)', { timeout: 3_600_000 }, async (name, layout, scenario) => {
    const bed = new FaultBed(layout);
    try {
      await sweepScenario(sweep, bed, { ...scenario, name: layout === 'plain' ? name : `${name}, ${layout}` });
    } finally {
      bed.dispose();
    }
  });
});
