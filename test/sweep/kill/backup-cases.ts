/** Kills backups, and looks at what is left: what is listed is whole, both tools go on at once, nothing is in the way. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { OptionValues } from '../../support/stanza.ts';
import { isFullSweep, Sweep } from '../../support/sweep/sweep.ts';
import { expectOk, KillBed, type Photo } from './kill-bed.ts';
import { type Content, RepoJudge } from './repo-judge.ts';
import { isTried, killAtEachStep, patience } from './victim.ts';

export interface BackupCase {
  readonly name: string;
  readonly type: 'full' | 'diff' | 'incr';
  /** Backups before it. */
  readonly before: readonly ('full' | 'diff' | 'incr')[];
  /** The second repository's folder is asked for by its place. */
  readonly options: (bed: KillBed) => OptionValues;
  /** Numbers of the repositories, the first one when absent. */
  readonly repos?: readonly number[];
  /** Cases in the short form. */
  readonly short: number;
  /** It goes on with one that was killed before. */
  readonly resumes?: boolean;
}

/** @param part name of the tally */
export function killBackups(part: string, cases: readonly BackupCase[]): void {
  const sweep = new Sweep('kill', part);
  const bed = new KillBed();
  afterAll(() => {
    sweep.report();
    bed.dispose();
  });
  describe.each(cases.filter(isTried))('$name', backup => killBackup(sweep, bed, backup));
}

function killBackup(
  sweep: Sweep,
  bed: KillBed,
  { name, type, before, repos = [1], short, resumes, ...of }: BackupCase,
): void {
  const options = of.options(bed);
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

  it('is killed', { timeout: patience }, async () => {
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
        judge.noteComplete();
        // neither tool makes a backup in which nothing is new
        bed.change();
        if (!isFullSweep() || sweep.random.chance(30)) await judge.expectTheOtherGoesOn('backup', args);
        await bed.untilLabelIsFree(repos);
        expectOk('the next backup', await bed.attempt('backup', args));
        await judge.expectWhole();
        await judge.expectNewest();
        await judge.expectTidy();
      },
    });
  });
}
