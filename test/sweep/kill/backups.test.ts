/** SIGKILL at every durable step of a backup: what is listed is whole, both tools go on at once, nothing is left in the way. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { OptionValues } from '../../support/stanza.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { expectOk, KillBed, type Photo } from './kill-bed.ts';
import { type Content, RepoJudge } from './repo-judge.ts';
import { killAtEachStep } from './victim.ts';

interface Case {
  readonly name: string;
  readonly type: 'full' | 'diff' | 'incr';
  /** Backups before it. */
  readonly before: readonly ('full' | 'diff' | 'incr')[];
  readonly options: OptionValues;
  readonly repos?: readonly number[];
  /** Cases in the short form. */
  readonly short: number;
  /** It goes on with one that was killed before. */
  readonly resumes?: boolean;
}

const bundled = { 'repo1-bundle': 'y', 'compress-type': 'zst' };
const encrypted = { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'one' };
const second = (state: string): OptionValues => ({ 'repo2-path': `${state}/repo2`, 'repo2-retention-full': 9 });

const sweep = new Sweep('kill', 'backups');
const bed = new KillBed();
afterAll(() => {
  sweep.report();
  bed.dispose();
});

const cases: readonly Case[] = [
  // the older one goes at its end
  { name: 'full', type: 'full', before: ['full'], options: { 'repo1-retention-full': 1 }, short: 2 },
  {
    name: 'incr, hard links',
    type: 'incr',
    before: ['full', 'incr'],
    options: { 'repo1-hardlink': 'y', 'compress-type': 'gz' },
    short: 2,
  },
  {
    name: 'diff, bundles, encrypted',
    type: 'diff',
    before: ['full', 'diff'],
    options: { ...bundled, ...encrypted },
    short: 1,
  },
  { name: 'full, blocks', type: 'full', before: ['full'], options: { ...bundled, 'repo1-block': 'y' }, short: 1 },
  {
    name: 'incr, blocks, encrypted',
    type: 'incr',
    before: ['full', 'incr'],
    options: { ...bundled, ...encrypted, 'repo1-block': 'y' },
    short: 1,
  },
  {
    name: 'full, resumed',
    type: 'full',
    before: [],
    options: { 'manifest-save-threshold': '1KiB', 'compress-type': 'lz4' },
    short: 1,
    resumes: true,
  },
  {
    name: 'full, two repositories',
    type: 'full',
    before: ['full'],
    options: { 'backup-fan-out': 'y', ...second(bed.state), 'repo2-bundle': 'y' },
    repos: [1, 2],
    short: 2,
  },
  {
    name: 'incr, two repositories, one with blocks',
    type: 'incr',
    before: ['full'],
    options: { 'backup-fan-out': 'y', ...second(bed.state), 'repo2-bundle': 'y', 'repo2-block': 'y' },
    repos: [1, 2],
    short: 1,
  },
];

describe.each(cases)('$name', ({ name, type, before, options, repos = [1], short, resumes }) => {
  const contents = new Map<string, Content>();
  const args = [`--type=${type}`];
  let photo: Photo;

  beforeAll(async () => {
    bed.begin(options);
    await bed.run('stanza-create');
    for (const earlier of before) {
      bed.change();
      await bed.untilLabelIsFree(repos);
      await bed.run('backup', `--type=${earlier}`);
      for (const label of await bed.labels('--repo=1')) if (!contents.has(label)) contents.set(label, bed.content());
    }
    bed.change();
    if (resumes) {
      await killBeforeTheManifest();
      bed.change();
    }
    photo = bed.photograph();
  });
  afterAll(() => bed.forget(photo));

  /** All files are stored, and the manifest that names them is saved as the one of a backup that goes on. */
  async function killBeforeTheManifest(): Promise<void> {
    const empty = bed.photograph();
    for (let nth = 1; ; nth++) {
      const killing = bed.injector.prepare({ under: [bed.repo(1)], kinds: ['rename'], nth, fault: 'kill-before' });
      await bed.attempt('backup', args, killing.tool);
      const path = killing.hit()?.path;
      if (path === undefined) throw new Error('no rename makes backup.manifest');
      if (/backup\.manifest\.pgbackrest\.tmp$/.test(path)) break;
      bed.putBack(empty);
    }
    bed.forget(empty);
  }

  it('is killed', async () => {
    await killAtEachStep(sweep, {
      name: `backup, ${name}`,
      injector: bed.injector,
      under: [bed.state],
      short,
      reset: async () => {
        bed.putBack(photo);
        await bed.untilLabelIsFree(repos);
      },
      run: tool => bed.attempt('backup', args, tool),
      judge: async () => {
        const judge = new RepoJudge({ bed, repos, contents, both: bed.canRead(options) });
        await judge.expectWhole();
        await judge.noteListed();
        // neither tool makes a backup in which nothing is new
        bed.change();
        await judge.expectTheOtherGoesOn('backup', args);
        await bed.untilLabelIsFree(repos);
        expectOk('the next backup', await bed.attempt('backup', args));
        await judge.expectWhole();
        await judge.expectNewest();
        await judge.expectTidy();
      },
    });
  });
});
