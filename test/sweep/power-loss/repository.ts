/**
 * The power fails at any moment of a command that changes a repository. What was there is whole, what was reported is there, and
 * the command can be run again.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemId } from '../../command/archive/archive-bed.ts';
import { forgeControl } from '../../postgres/forge.ts';
import { crashStates, type Recording, withoutSyncs } from '../../support/power-loss/replay.ts';
import { Random } from '../../support/random.ts';
import { isFullSweep, type Sweep } from '../../support/sweep/sweep.ts';
import { PowerBed, type Step } from './bed.ts';
import { RepoJudge } from './judge.ts';
import { type RepoRules, repoRules } from './repo-rules.ts';

let bed: PowerBed;
let judge: RepoJudge;
let key: Pick<RepoRules, 'cipherPass'>;
/** Of the steps so far. */
const recordings = new Map<string, Recording>();

/** Too long for `npm test`. */
const longStep: typeof step = isFullSweep() ? step : () => undefined;

/** Watches one command, in the repository as the ones before it have left it. @param prepare makes what it works on */
function step(name: string, prepare: () => Step | Promise<Step>, kind?: RepoRules['kind']): void {
  it(name, async () => {
    const watched = await prepare();
    const recording = await bed.record(watched);
    recordings.set(name, recording);
    if (kind === undefined) await judge.learn();
    const rules = repoRules(recording, { repo: bed.repo, ...key, ...(kind === undefined ? {} : { kind }) });
    await bed.check(name, recording, rules, state => judge.judge(watched, state), watched.judged);
  });
}

/** The sweep sees what it is for: the same calls, as if some of the syncs had not been made. */
function blind(name: string, found: RegExp, dropped: (path: string) => boolean = () => true): void {
  it(`${name} without syncs of ${found.source} is found to lose something`, () => {
    const recording = withoutSyncs(recordings.get(name) as Recording, dropped);
    const rules = repoRules(recording, { repo: bed.repo, ...key });
    const broken = crashStates(recording, new Random(1), 2).flatMap(rules);
    expect(broken.join('\n')).toMatch(found);
  });
}

const backup = (type: string, ...args: string[]): Step => ({ command: 'backup', args: [`--type=${type}`, ...args] });
const changed = (round: number, next: Step) => (): Step => {
  judge.change(round);
  return next;
};

export function watchRepository(sweep: Sweep): void {
  beforeAll(() => {
    bed = new PowerBed(sweep);
  });
  afterAll(() => bed?.dispose());

  describe('in the clear', () => {
    beforeAll(() => {
      key = {};
      bed.configure({});
      judge = new RepoJudge(bed, bed.real());
    });
    step('stanza-create', () => ({ command: 'stanza-create' }));
    step('backup full', () => backup('full'));
    blind('backup full', /there is no good copy of backup.info/);
    blind('backup full', /lacks .*1259.lz4: file of/, path => path.endsWith('/1259.lz4'));
    blind('backup full', /lacks .*1259.lz4: nothing/, path => path.endsWith('/base/5'));
    blind('backup full', /success was told, and .*backup.info is/, path => path.endsWith('/backup/demo'));
    step('archive-push', () => ({ command: 'archive-push', args: [judge.segment('000000010000000000000001')] }));
    blind('archive-push', /0001-[0-9a-f]{40}.lz4 is half written/, path => path.endsWith('.tmp'));
    blind('archive-push', /success was told, and .*15-1 is nothing/, path => path.endsWith('/archive/demo'));
    longStep('archive-push into a directory that is there', () => ({
      command: 'archive-push',
      args: [judge.segment('000000010000000000000002')],
    }));
    step('backup diff', changed(1, backup('diff')));
    longStep('backup incr, bundles', changed(2, backup('incr', '--repo1-bundle')));
    longStep('annotate', () => ({ command: 'annotate', args: [`--set=${judge.labels[0]}`, '--annotation=by=hand'] }));
    step('backup full, hard links', changed(3, { ...backup('full', '--repo1-hardlink'), judged: [0, 25] }));
    step('expire', () => ({ command: 'expire', args: ['--repo1-retention-full=1'], judged: [2, 50] }));
    longStep('stanza-upgrade', () => {
      bed.offline.cluster.write('global/pg_control', forgeControl('15', { systemId: systemId + 1n }));
      return { command: 'stanza-upgrade', args: ['--no-online'] };
    });
    step(
      'stanza-delete',
      async () => {
        await bed.offline.run('stop');
        return { command: 'stanza-delete' };
      },
      'delete',
    );
  });

  describe('encrypted, in blocks', () => {
    beforeAll(() => {
      key = { cipherPass: 'key of the repository' };
      bed.configure({
        'repo1-cipher-type': 'aes-256-cbc',
        'repo1-cipher-pass': 'key of the repository',
        'repo1-bundle': 'y',
        'repo1-block': 'y',
      });
      judge = new RepoJudge(bed, bed.real('2.46'));
    });
    step('stanza-create', () => ({ command: 'stanza-create' }));
    step('backup full, blocks', changed(4, backup('full')));
    step('backup incr, blocks', changed(5, backup('incr')));
    longStep('repo-put', () => ({ command: 'repo-put', args: ['archive/demo/note'], input: 'a note' }));
  });
}
