/** What a stanza lives through, with secrets in all of its places: its work, and all that can be in the way of it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Injector } from '../../support/sweep/injector.ts';
import { isFullSweep, type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { describeSightings } from './canary.ts';
import { ChangedInfo } from './changed-info.ts';
import { beginning, change, end, help, learnPassphrases, middle, type Step } from './life.ts';
import { defects, echoMishaps, forgetRestored, lookers, type Mishap, plainMishaps, silentService } from './mishaps.ts';
import { type SecretBed, type Way, ways } from './secret-bed.ts';

/** @param made gives the bed, which is there once tests run */
export function stanzaCases(sweep: Sweep, made: () => SecretBed): void {
  describe('a stanza with two encrypted repositories', { timeout: shortOrFull(300_000, 3_600_000) }, () => {
    let bed: SecretBed;
    beforeAll(() => {
      bed = made();
    });

    async function take(steps: readonly Step[], way?: Way): Promise<void> {
      for (const { command, args, code = 0, run } of steps) {
        const words = args?.(bed) ?? [];
        const chosen = way ?? sweep.random.pick(ways);
        await sweep.case(`${command} ${words.join(' ')}, secrets by ${chosen}`, async () => {
          sweep.tried(`works: ${command}`);
          const outcome = await bed.run(command, words, { way: chosen, ...run });
          expect(outcome.code, outcome.output).toBe(code);
        });
      }
    }

    it('lives its life', async () => {
      await take(beginning);
      await learnPassphrases(bed);
      change(bed, 'something new');
      await take(middle);
      await take(
        shortOrFull(
          help.filter((_, index) => index % 7 === 0),
          help,
        ),
      );
      for (const way of shortOrFull<readonly Way[]>([], ways)) {
        for (let round = 0; round < 3; round++) {
          change(bed, `round ${round} ${way}`);
          await take(middle, way);
        }
      }
      bed.lookAtAll();
    });

    /** All in the long form, so many in the short one. */
    function some<Value>(all: readonly Value[], short: number): readonly Value[] {
      return sweep.numbers(all.length, short).flatMap(number => all[number - 1] ?? []);
    }

    /** What can go wrong meets each command in the long form, and one of them in the short one. */
    async function meet({ what, run, undo }: Mishap): Promise<void> {
      try {
        const chosen = isFullSweep() ? lookers : [sweep.random.pick(lookers)];
        for (const [command, args] of chosen) {
          const way = sweep.random.pick(ways);
          await sweep.case(`${what}: ${command}, secrets by ${way}`, async () => {
            forgetRestored(bed);
            sweep.tried('fails: a command');
            const outcome = await bed.run(command, args(bed), { way, input: 'a note\n', ...run });
            expect(defects, outcome.output).not.toContain(outcome.code);
          });
        }
      } finally {
        undo?.();
      }
    }

    it('cannot do its work', async () => {
      for (const make of some(plainMishaps, 9)) await meet(make(bed));
      bed.lookAtAll();
    });

    it('is answered with what it has sent', async () => {
      for (const make of some(echoMishaps, 3)) await meet(await make(bed));
      bed.lookAtAll();
    });

    it('finds changed passphrases in the repository', async () => {
      const [label = ''] = bed.labels();
      const pass = bed.secrets['repo1-cipher-pass'] ?? '';
      const changed = await ChangedInfo.open(sweep.random, join(bed.root, 'repo1'), label, pass);
      try {
        for (let round = 0; round < shortOrFull(300, 10_000); round++) {
          const { what, said } = await changed.next();
          sweep.tried('fails: a changed info file or manifest');
          await sweep.case(what, () =>
            expect(describeSightings(what, bed.canaries.find(Buffer.from(said)))).toEqual([]),
          );
        }
      } finally {
        changed.dispose();
      }
    });

    it('is killed in the middle', async () => {
      const cases = [
        {
          command: 'restore',
          under: 'restored/other',
          args: lookers.find(([name]) => name === 'restore')?.[1](bed) ?? [],
        },
        { command: 'backup', under: 'repo1', args: ['--no-online', '--type=full', '--repo=1'] },
      ];
      const injector = new Injector(bed.user, bed.folder('injector'), bed.tool as [string, string]);
      for (const { command, under, args } of cases) {
        const places = [join(bed.root, under)];
        const prepare = () => (command === 'restore' ? forgetRestored(bed) : change(bed, `${Math.random()}`));
        prepare();
        const kinds = ['create'] as const;
        const count = await injector.count({ under: places, kinds }, tool => bed.run(command, args, { tool }));
        for (const nth of sweep.numbers(count, 2)) {
          await sweep.case(`${command}, killed at file ${nth}`, async () => {
            prepare();
            sweep.tried(`killed: ${command}`);
            const run = injector.prepare({ under: places, kinds, nth, fault: 'kill-after' });
            await bed.run(command, args, { tool: run.tool });
            bed.lookAtAll();
          });
        }
      }
    });

    it('gets signals, and is asked for a report', async () => {
      for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
        const { what, run, asked, undo } = await silentService(bed);
        try {
          await sweep.case(`${what}, ${signal}`, async () => {
            sweep.tried('signals');
            const reports = bed.folder('work/reports');
            const before = readdirSync(reports).length;
            // Node takes the last signal that it is given for reports
            const report = `--report-on-signal --report-signal=SIGUSR2 --report-directory=${reports}`;
            const outcome = await bed.run('info', [], {
              ...run,
              way: 'environment',
              alone: true,
              env: { NODE_OPTIONS: report },
              onStart: pid => {
                const timer = setInterval(() => {
                  if (asked() === 0) return;
                  clearInterval(timer);
                  process.kill(pid, signal);
                  setTimeout(() => process.kill(pid, 'SIGTERM'), 500);
                }, 20);
              },
            });
            expect(outcome.output).not.toContain('Debugger');
            expect(readdirSync(reports).length - before).toBe(signal === 'SIGUSR2' ? 1 : 0);
          });
        } finally {
          undo?.();
        }
      }
      bed.lookAtAll();
    });

    it('comes to its end', async () => {
      await take(end);
      bed.lookAtAll();
    });
  });
}
