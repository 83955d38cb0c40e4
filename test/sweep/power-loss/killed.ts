/**
 * A command is killed, runs again to its success, and then the power fails: what the killed one left may have been in memory only.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  crashStates,
  diskAt,
  joined,
  type Recording,
  type Rules,
  unexplained,
} from '../../support/power-loss/replay.ts';
import { isFullSweep, type Sweep } from '../../support/sweep/sweep.ts';
import { giveTo } from '../../support/unprivileged.ts';
import { PowerBed, type Step, tell } from './bed.ts';
import { RepoJudge } from './judge.ts';
import { repoRules } from './repo-rules.ts';
import { restoreRules } from './restore-rules.ts';

let sweep: Sweep;
let bed: PowerBed;
let judge: RepoJudge;

/** Moments before success at which something was not durable yet. */
function moments(recording: Recording): number[] {
  const found: number[] = [];
  const end = recording.calls.findIndex(call => call.call === 'say' && call.text.includes('completed successfully'));
  const disk = diskAt(recording, 0);
  for (const [index, call] of recording.calls.slice(0, end).entries())
    if (disk.apply(call) && disk.files.length + disk.directories.length > 0) found.push(index + 1);
  return found;
}

/** @param again how the second run differs @param short how many moments in `npm test` */
function killed(
  name: string,
  { prepare, again, short }: { prepare: () => Step; again?: (step: Step) => Step; short: number },
  rulesOf: (recording: Recording) => Rules,
): void {
  it(`${name} that was killed before`, async () => {
    const step = prepare();
    const whole = await bed.record(step);
    const all = moments(whole);
    const chosen = isFullSweep() ? all : Array.from({ length: short }, () => sweep.random.pick(all));
    const broken: string[] = [];
    try {
      for (const moment of chosen)
        broken.push(...(await sweep.case(`${name}, killed after ${moment} calls`, () => oneMoment(moment))));
    } finally {
      bed.write(whole.after);
    }
    expect(broken.slice(0, 20), `${broken.length} broken promises, again: ${sweep.again}`).toEqual([]);

    async function oneMoment(moment: number): Promise<string[]> {
      bed.write(diskAt(whole, moment).live());
      const recording = joined(whole, moment, await bed.record((again ?? (same => same))(step)));
      const wrong = unexplained(recording);
      if (wrong.length > 0) throw new Error(`the model is wrong:\n${wrong.join('\n')}`);
      const rules = rulesOf(recording);
      const states = crashStates(recording, sweep.random, 4).filter(({ done }) => done);
      sweep.tried(`${name} killed before, states by rules`, states.length);
      return states.flatMap(state => rules(state).map(what => `killed after ${moment} calls, ${tell(state)}: ${what}`));
    }
  });
}

export function watchAfterKill(shared: Sweep): void {
  beforeAll(() => {
    sweep = shared;
    bed = new PowerBed(sweep);
    bed.configure({});
    judge = new RepoJudge(bed, undefined);
  });
  afterAll(() => bed?.dispose());
  const rules = (recording: Recording): Rules => repoRules(recording, { repo: bed.repo });
  killed('stanza-create', { prepare: () => ({ command: 'stanza-create' }), short: 1 }, rules);
  killed(
    'archive-push',
    { prepare: () => ({ command: 'archive-push', args: [judge.segment('000000010000000000000001')] }), short: 1 },
    rules,
  );
  killed('backup full', { prepare: () => ({ command: 'backup', args: ['--type=full'] }), short: 1 }, rules);
  killed(
    'backup diff',
    {
      prepare: () => {
        judge.change(1);
        return { command: 'backup', args: ['--type=diff'] };
      },
      short: 1,
    },
    rules,
  );
  killed(
    'restore',
    {
      prepare: () => {
        bed.watch(bed.offline.newFolder());
        const data = join(bed.root, 'data');
        mkdirSync(data, { mode: 0o700 });
        giveTo(bed.user, data);
        return { command: 'restore', args: [`--pg1-path=${data}`, `--tablespace-map-all=${join(bed.root, 'space')}`] };
      },
      again: step => ({ ...step, args: [...(step.args ?? []), '--delta'] }),
      short: 1,
    },
    recording => restoreRules(recording, join(bed.root, 'data')),
  );
}
