/** SIGKILL at every durable step of expire: no backup is listed that has lost anything, nor WAL that one needs. */
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { segmentName } from '../../integration/async-push-bed.ts';
import type { OptionValues } from '../../support/stanza.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { expectOk, KillBed } from './kill-bed.ts';
import { needWal } from './need-wal.ts';
import { type Content, RepoJudge } from './repo-judge.ts';
import { killAtEachStep, patience } from './victim.ts';

const sweep = new Sweep('kill', 'expires');
const bed = new KillBed();
const pass = 'the one';
/** First and last segment of each backup, oldest first. */
const needs = [
  [1, 2],
  [4, 4],
  [6, 7],
  [8, 8],
] as const;
afterAll(() => {
  sweep.report();
  bed.dispose();
});

const cases: readonly { name: string; args: readonly string[]; options: OptionValues; short: number }[] = [
  { name: 'by retention', args: ['--repo1-retention-full=1'], options: {}, short: 2 },
  { name: 'of the newest set', args: ['--set=NEWEST'], options: { 'repo1-bundle': 'y' }, short: 1 },
];

describe.each(cases)('$name', ({ name, args, options, short }) => {
  it('is killed', { timeout: patience }, async () => {
    const contents = new Map<string, Content>();
    const all = { ...options, 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': pass };
    bed.begin(all);
    await bed.run('stanza-create');
    for (const type of ['full', 'diff', 'full', 'incr']) {
      bed.change();
      await bed.untilLabelIsFree([1]);
      await bed.run('backup', `--type=${type}`);
      for (const label of await bed.labels()) if (!contents.has(label)) contents.set(label, bed.content());
    }
    const wal = Array.from({ length: 9 }, (_, at) => segmentName(at + 1));
    for (const segment of wal) await bed.push(segment);
    await needWal(
      bed,
      needs.map(([first, last]) => [segmentName(first), segmentName(last)]),
      pass,
    );
    // a year that nothing of the history is kept of
    const history = join(bed.repo(1), 'backup/demo/backup.history');
    mkdirSync(join(history, '2020'));
    cpSync(join(history, (await bed.labels())[0]?.slice(0, 4) ?? ''), join(history, '2020'), { recursive: true });
    bed.own();
    const photo = bed.photograph();
    const both = bed.canRead(all);
    const judge = new RepoJudge({ bed, repos: [1], contents, both });
    const newest = (await bed.labels()).at(-2) ?? '';
    const given = ['--repo1-retention-history=10', ...args.map(arg => arg.replace('NEWEST', newest))];
    // either set
    const kept = 2;
    await killAtEachStep(sweep, {
      name: `expire ${name}`,
      injector: bed.injector,
      under: [bed.state],
      short,
      reset: () => bed.putBack(photo),
      run: tool => bed.attempt('expire', given, tool),
      judge: async () => {
        const [listed = []] = await judge.expectWhole();
        expect(listed.length).toBeGreaterThanOrEqual(kept);
        expectWal(listed);
        // one that is gone already cannot be asked for once more: then retention ends the work
        await judge.expectTheOtherGoesOn('expire', given);
        expectOk('the next expire', await bed.attempt('expire', given));
        const [left = []] = await judge.expectWhole();
        expect(left).toHaveLength(kept);
        expectWal(left);
        await judge.expectTidy();
      },
    });
    bed.forget(photo);

    /** Each listed backup has the WAL from its first segment to its last, and the newest full all from there on. */
    function expectWal(labels: readonly string[]): void {
      const all = [...contents.keys()];
      const needed = new Set(
        labels.flatMap(label => {
          const [first, last] = needs[all.indexOf(label)] ?? [1, 0];
          return wal.slice(first - 1, last);
        }),
      );
      for (const segment of labels.includes(all[2] ?? '') ? wal.slice(5) : []) needed.add(segment);
      // what is there under a final name both tools have verified
      const archive = join(bed.repo(1), 'archive/demo/15-1/0000000100000000');
      const there = readdirSync(archive).map(name => name.slice(0, 24));
      expect(there).toEqual(expect.arrayContaining([...needed]));
    }
  });
});
