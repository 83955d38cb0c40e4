/** Every command on a repository in a file system in which one operation fails. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { forgeControl } from '../../postgres/forge.ts';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { change, infosAgree, makeBackups, newestIsWhole } from './backups.ts';
import { FaultBed, type Layout } from './fault-bed.ts';
import { type Scenario, sweepScenario } from './scenario.ts';

const sweep = new Sweep('fault');
afterAll(() => sweep.report('commands'));

const text = 'a file that somebody keeps beside the backups\n'.repeat(2000);

/** Its output is what it was without a fault, or says that something is wrong. */
function sameOutput(): Scenario['complete'] {
  const clean = new WeakMap<FaultBed, string>();
  return async (bed, { stdout }) => {
    const wanted = clean.get(bed) ?? stdout;
    clean.set(bed, wanted);
    if (!/status: error|"code":99/.test(stdout)) expect(stdout).toBe(wanted);
  };
}

/** Commands that go on with the other repositories say so at their end; the log has the errors. */
const severalErrors = ['command'] as const;

const whole = (least: number): Scenario['complete'] => {
  return bed => newestIsWhole(bed, least);
};

const scenarios: readonly (Omit<Scenario, 'prepare'> & Partial<Scenario>)[] = [
  {
    name: 'stanza-create',
    command: 'stanza-create',
    places: ['repo', 'data', 'lock'],
    short: 1,
    prepare: async () => undefined,
    complete: async bed => infosAgree(bed),
    verifies: false,
  },
  {
    name: 'backup, full',
    command: 'backup',
    args: () => ['--type=full'],
    places: ['repo', 'data', 'lock'],
    short: 1,
    prepare: bed => makeBackups(bed),
    complete: whole(1),
    codes: severalErrors,
  },
  {
    name: 'backup, full, and what it expires',
    command: 'backup',
    args: () => ['--type=full', '--repo1-retention-full=1'],
    places: ['repo'],
    short: 2,
    prepare: bed => makeBackups(bed, 'full', 'incr'),
    complete: whole(1),
    codes: severalErrors,
  },
  {
    name: 'backup, incr',
    command: 'backup',
    args: () => ['--type=incr'],
    places: ['repo', 'data'],
    short: 1,
    prepare: bed => makeBackups(bed, 'full'),
    complete: whole(2),
    codes: severalErrors,
    // one without changes is refused
    mend: async bed => change(bed, 50),
  },
  {
    name: 'backup, diff, by checksums',
    command: 'backup',
    args: () => ['--type=diff', '--delta'],
    places: ['repo', 'data'],
    short: 1,
    prepare: bed => makeBackups(bed, 'full', 'incr'),
    complete: whole(3),
    codes: severalErrors,
  },
  {
    name: 'backup that goes on with an aborted one',
    command: 'backup',
    args: () => ['--type=full'],
    places: ['repo', 'data'],
    short: 1,
    async prepare(bed) {
      await makeBackups(bed);
      bed.save();
      const args = ['--type=full', '--manifest-save-threshold=1KiB'];
      const under = [bed.at('repo')];
      const renames = (await bed.met('backup', args, { under, kinds: ['rename'], log: true })).run.operations();
      const nth = renames.findIndex(({ path }) => path.endsWith('/backup.manifest.pgbackrest.tmp')) + 1;
      bed.reset();
      const killed = await bed.met('backup', args, { under, kinds: ['rename'], nth, fault: 'kill-before' });
      expect(killed.outcome.signal, killed.outcome.output).toBe('SIGKILL');
    },
    complete: whole(1),
    codes: severalErrors,
  },
  {
    name: 'expire',
    command: 'expire',
    args: () => ['--repo1-retention-full=1'],
    places: ['repo', 'lock'],
    short: 2,
    prepare: bed => makeBackups(bed, 'full', 'incr', 'full'),
    codes: severalErrors,
    async complete(bed) {
      expect(await bed.listed()).toHaveLength(1);
      expect(bed.backupFolders()).toHaveLength(1);
      await bed.contentBy(bed.judge ?? bed.ours);
    },
  },
  {
    name: 'verify',
    command: 'verify',
    args: () => ['--output=text', '--verbose', '--log-level-console=off', '--log-level-stderr=error'],
    places: ['repo'],
    short: 2,
    complete: sameOutput(),
  },
  { name: 'info', command: 'info', places: ['repo', 'lock'], short: 2, complete: sameOutput() },
  {
    name: 'info of a set',
    command: 'info',
    args: bed => [`--set=${bed.backupFolders()[0]}`],
    places: ['repo'],
    short: 1,
    complete: sameOutput(),
  },
  {
    name: 'info as JSON',
    command: 'info',
    args: () => ['--output=json'],
    places: ['repo'],
    short: 1,
    complete: sameOutput(),
  },
  {
    name: 'repo-ls',
    command: 'repo-ls',
    args: () => ['--recurse', '--sort=asc'],
    places: ['repo'],
    short: 1,
    complete: sameOutput(),
  },
  {
    name: 'repo-get',
    command: 'repo-get',
    args: () => ['backup/demo/backup.info'],
    places: ['repo'],
    short: 1,
    complete: sameOutput(),
  },
  {
    name: 'manifest',
    command: 'manifest',
    args: bed => [
      `--set=${bed.backupFolders()[0]}`,
      '--output=json',
      '--log-level-console=off',
      '--log-level-stderr=error',
    ],
    places: ['repo'],
    short: 1,
    complete: sameOutput(),
  },
  {
    name: 'repo-put',
    command: 'repo-put',
    args: () => ['notes/one'],
    input: text,
    places: ['repo'],
    short: 1,
    async complete(bed) {
      expect(readFileSync(bed.at('repo', 'notes/one'), 'utf8')).toBe(text);
    },
  },
  {
    name: 'repo-rm',
    command: 'repo-rm',
    args: () => ['--recurse', 'backup/demo/backup.history'],
    places: ['repo'],
    short: 1,
    async complete(bed) {
      expect(existsSync(bed.at('repo', 'backup/demo/backup.history'))).toBe(false);
    },
    codes: ['path-remove'],
  },
  {
    name: 'annotate',
    command: 'annotate',
    args: bed => [`--set=${bed.backupFolders()[0]}`, '--annotation=why=to see'],
    places: ['repo', 'lock'],
    short: 1,
    async complete(bed) {
      expect(await bed.run('info', '--output=json')).toContain('"why":"to see"');
      if (bed.layout === 'plain') infosAgree(bed);
    },
    codes: severalErrors,
  },
  {
    name: 'stanza-upgrade',
    command: 'stanza-upgrade',
    args: () => ['--no-online'],
    places: ['repo', 'data', 'lock'],
    short: 1,
    async prepare(bed) {
      await makeBackups(bed, 'full');
      bed.cluster.write('global/pg_control', forgeControl('15', { systemId: 7000000000000000001n }));
    },
    async complete(bed) {
      const [stanza] = JSON.parse(await bed.run('info', '--output=json')) as { db: unknown[] }[];
      expect(stanza?.db).toHaveLength(2);
      infosAgree(bed);
    },
    unsound: 'the info files may disagree until stanza-upgrade has been run again',
  },
  {
    name: 'stanza-delete',
    command: 'stanza-delete',
    places: ['repo', 'lock'],
    short: 1,
    async prepare(bed) {
      await makeBackups(bed, 'full', 'incr');
      await bed.run('stop');
    },
    async complete(bed) {
      for (const name of ['backup', 'archive']) expect(existsSync(bed.at('repo', name, 'demo'))).toBe(false);
    },
    codes: ['path-remove'],
    verifies: false,
  },
  {
    name: 'stop',
    command: 'stop',
    places: ['lock'],
    short: 1,
    async complete(bed) {
      expect(existsSync(bed.at('lock', 'demo.stop'))).toBe(true);
    },
    // the file is there or not, however far that came
    codes: ['file-open'],
    verifies: false,
  },
  {
    name: 'start',
    command: 'start',
    places: ['lock'],
    short: 1,
    async prepare(bed) {
      await makeBackups(bed, 'full');
      await bed.run('stop');
    },
    async complete(bed) {
      expect(existsSync(bed.at('lock', 'demo.stop'))).toBe(false);
    },
    verifies: false,
  },
];

const inBundles: readonly string[] = ['backup, full', 'backup, incr', 'verify'];

const cases = scenarios.flatMap(scenario =>
  (inBundles.includes(scenario.name) ? (['plain', 'bundles'] as const) : (['plain'] as const)).map(layout => ({
    layout,
    scenario,
  })),
);

describe('faults in files', () => {
  test.each(fewOrAll(cases, 8).map(each => [each.scenario.name, each.layout, each] as const))(
    '%s (%s)',
    { timeout: 3_600_000 },
    async (name: string, layout: Layout, { scenario }) => {
      const bed = new FaultBed(layout);
      try {
        await sweepScenario(sweep, bed, {
          prepare: made => makeBackups(made, 'full', 'incr'),
          ...scenario,
          name: layout === 'plain' ? name : `${name}, ${layout}`,
        });
      } finally {
        bed.dispose();
      }
    },
  );
});
