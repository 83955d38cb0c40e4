/**
 * The soak: one stanza for a long time, see `soak.ts`. Forty seconds of it in all haste belong to every run of the tests, always
 * with the same seed; longer ones go slowly, so that they run beside other work (a third of one core, about): five minutes
 * in CI, beside all else (`PGBACKSTOP_SOAK_SECONDS=300 npm test -- test/sweep/soak`, 0 leaves it out), an hour by `npm run test:sweep -- soak`.
 */
import { expect, test } from 'vitest';
import { Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { Soak } from './soak.ts';

const seconds = Number(process.env.PGBACKSTOP_SOAK_SECONDS ?? shortOrFull(40, 3600));
const isHurried = seconds < 100;
const pace = isHurried
  ? { seconds, rate: 300, ledger: 150, server: 500, restarts: 1, rest: 0, restores: 0 }
  : { seconds, rate: 20, ledger: 500, server: 3000, restarts: 1, rest: 2, restores: 60_000 };

test.skipIf(seconds === 0)(
  'a long life: every restore has the rows of its moment, and nothing is left that should not be',
  async () => {
    const sweep = new Sweep('soak');
    const soak = await Soak.begin(sweep, pace);
    try {
      await sweep.case('soak', () => soak.run());
      console.log(`soak: ${soak.summary}`);
      for (const what of ['kill', 'restore', 'mark', 'change', 'promote', 'expire', ...(isHurried ? [] : ['inspect'])])
        expect(soak.journal.count(what), what).toBeGreaterThan(0);
      sweep.report();
    } catch (error) {
      // what goes wrong at the end must not hide it
      console.error(error);
      const { PGBACKSTOP_SOAK_KEEP: folder } = process.env;
      if (folder !== undefined) soak.keep(folder);
      throw new Error(`${sweep.again}\n${soak.journal.text}`, { cause: error });
    } finally {
      await soak.dispose();
    }
  },
  seconds * 2000 + 1_800_000,
);
