/** Secrets where they do not belong: told in the test's own process, and some by the program. */
import { beforeAll, describe, expect, it } from 'vitest';
import { isFullSweep, type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { Canaries, describeSightings } from './canary.ts';
import { commandLines, lines, variables } from './misplaced.ts';
import type { SecretBed } from './secret-bed.ts';
import { told } from './told.ts';

/** @param made gives the bed, which is there once tests run */
export function misplacedCases(sweep: Sweep, made: () => SecretBed): void {
  describe('secrets that are where they do not belong', () => {
    let bed: SecretBed;
    beforeAll(() => {
      bed = made();
    });
    const canaries = new Canaries(sweep.random);
    const base = ['--stanza=demo', '--pg1-path=/pg'];

    /** Everything that could be said, by every command. */
    function judge(what: string, argvs: readonly (readonly string[])[], environment: NodeJS.ProcessEnv): void {
      for (const argv of argvs) {
        sweep.tried('misplaced: told');
        const found = describeSightings(what, canaries.find(Buffer.from(told(argv, environment))));
        expect(found, `again: ${sweep.again}`).toEqual([]);
      }
    }

    const asked = (options: readonly string[]): string[][] => [
      ...['info', 'backup', 'restore', 'check', 'archive-push', 'verify'].map(name => [...options, ...base, name]),
      ...['restore', 'backup'].map(name => [...options, 'help', name]),
    ];

    /** Also by a process of its own: some in the short form. */
    const isRun = () => sweep.random.chance(shortOrFull(6, 100));

    it.each(commandLines)('on the command line: %s', async (what, make) => {
      const argv = make(canaries.make(what));
      judge(
        what,
        [
          ['--no-config', ...argv],
          ['--no-config', ...base, ...argv],
        ],
        {},
      );
      if (!isRun()) return;
      const secret = bed.canaries.make(what);
      sweep.tried('misplaced: run');
      await bed.start(what, ['--no-config', ...make(secret)]);
    });

    it.each(lines)('in a configuration file: %s', async (what, make) => {
      const text = (secret: string) => Buffer.from(`[global]\n${make(secret)}\n`, 'latin1');
      const config = bed.secretFile('odd.conf', text(canaries.make(what)));
      judge(what, asked([`--config=${config}`]), {});
      if (!isRun()) return;
      bed.secretFile('odd.conf', text(bed.canaries.make(what)));
      for (const [index, argv] of asked([`--config=${config}`, `--log-path=${bed.root}/log`]).entries()) {
        if (!isFullSweep() && index !== 2) continue;
        sweep.tried('misplaced: run');
        await bed.start(what, argv);
      }
    });

    it.each(variables)('in the environment: %s', async (what, make) => {
      judge(what, asked(['--no-config']), make(canaries.make(what)));
      if (!isRun()) return;
      sweep.tried('misplaced: run');
      await bed.start(what, ['--no-config', ...base, 'restore'], { env: make(bed.canaries.make(what)) });
    });
  });
}
