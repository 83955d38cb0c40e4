/** SIGKILL at every durable step of the stanza commands: the same command ends what was begun. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { systemId } from '../../command/archive/archive-bed.ts';
import { forgeControl } from '../../postgres/forge.ts';
import { isFullSweep, Sweep } from '../../support/sweep/sweep.ts';
import { expectOk, KillBed, type Photo } from './kill-bed.ts';
import { type Content, RepoJudge } from './repo-judge.ts';
import { killAtEachStep, patience } from './victim.ts';

const sweep = new Sweep('kill', 'stanzas');
const bed = new KillBed();
const both = bed.canRead({});
const two = { 'repo2-path': join(bed.state, 'repo2'), 'repo2-retention-full': 9 };
const encrypted = { 'repo2-cipher-type': 'aes-256-cbc', 'repo2-cipher-pass': 'two' };
const otherSystem = systemId + 1n;
const contents = new Map<string, Content>();
let photo: Photo | undefined;

const setSystem = (id: bigint): void => {
  bed.cluster.write('global/pg_control', forgeControl('15', { systemId: id }));
};
const reset = (): void => {
  if (photo === undefined) throw new Error('nothing to put back');
  bed.putBack(photo);
};

afterEach(() => {
  setSystem(systemId);
  if (photo !== undefined) bed.forget(photo);
  contents.clear();
});
afterAll(() => {
  sweep.report();
  bed.dispose();
});

/** Pushes, backs up and restores: the stanza is whole. */
async function expectUse(repos: readonly number[]): Promise<void> {
  await bed.push('000000010000000000000007');
  for (const key of repos) {
    await bed.untilLabelIsFree([key]);
    await bed.run('backup', '--type=full', `--repo=${key}`);
  }
  const judge = new RepoJudge({ bed, repos, contents, both });
  await judge.expectWhole();
  await judge.expectTidy();
}

it('stanza-create', { timeout: patience }, async () => {
  bed.begin({ ...two, ...encrypted });
  photo = bed.photograph();
  await killAtEachStep(sweep, {
    name: 'stanza-create',
    injector: bed.injector,
    under: [bed.state],
    short: 3,
    reset,
    run: tool => bed.attempt('stanza-create', [], tool),
    judge: async () => {
      for (const key of [1, 2]) expect(await bed.listed(key, bed.ours)).toEqual([]);
      expectOk('the next stanza-create', await bed.attempt('stanza-create'));
      if (both) expectOk('the real one', await bed.attempt('stanza-create', [], bed.judge));
      if (!isFullSweep() || sweep.random.chance(25)) await expectUse([1, 2]);
    },
  });
});

it('stanza-upgrade', { timeout: patience }, async () => {
  bed.begin({ ...two, ...encrypted });
  await bed.run('stanza-create');
  await bed.push('000000010000000000000003');
  for (const key of [1, 2]) {
    await bed.run('backup', '--type=full', `--repo=${key}`);
    for (const label of await bed.labels(`--repo=${key}`)) contents.set(label, bed.content());
  }
  setSystem(otherSystem);
  photo = bed.photograph();
  const upgrade = ['--no-online'];
  await killAtEachStep(sweep, {
    name: 'stanza-upgrade',
    injector: bed.injector,
    under: [bed.state],
    short: 1,
    reset,
    run: tool => bed.attempt('stanza-upgrade', upgrade, tool),
    judge: async () => {
      const judge = new RepoJudge({ bed, repos: [1, 2], contents, both });
      await judge.expectRestores();
      if (both) {
        const killed = bed.photograph();
        expectOk('the real stanza-upgrade', await bed.attempt('stanza-upgrade', upgrade, bed.judge));
        await judge.expectWhole();
        bed.putBack(killed);
        bed.forget(killed);
      }
      expectOk('the next stanza-upgrade', await bed.attempt('stanza-upgrade', upgrade));
      for (const key of [1, 2]) await bed.run('backup', '--type=full', `--repo=${key}`);
      await judge.expectWhole();
      await judge.expectTidy();
      for (const key of [1, 2]) expect(readdirSync(join(bed.repo(key), 'archive/demo'))).toContain('15-1');
    },
  });
});

it('stanza-delete', { timeout: patience }, async () => {
  bed.begin(two);
  await bed.run('stanza-create');
  await bed.push('000000010000000000000003');
  await bed.run('backup', '--type=full', '--repo=1');
  await bed.run('stop');
  photo = bed.photograph();
  const args = ['--repo=1'];
  const expectGone = (): void => {
    for (const kind of ['archive', 'backup']) expect(readdirSync(join(bed.repo(1), kind))).toEqual([]);
    // locks, and the file that stops the stanza
    expect(readdirSync(join(bed.state, 'lock'))).toEqual([]);
  };
  await killAtEachStep(sweep, {
    name: 'stanza-delete',
    injector: bed.injector,
    under: [bed.state],
    short: 2,
    reset,
    run: tool => bed.attempt('stanza-delete', args, tool),
    judge: async () => {
      if (both) {
        const killed = bed.photograph();
        expectOk('the real stanza-delete', await bed.attempt('stanza-delete', args, bed.judge));
        for (const kind of ['archive', 'backup']) expect(readdirSync(join(bed.repo(1), kind))).toEqual([]);
        bed.putBack(killed);
        bed.forget(killed);
      }
      expectOk('the next stanza-delete', await bed.attempt('stanza-delete', args));
      expectGone();
      expectOk('stanza-create', await bed.attempt('stanza-create'));
    },
  });
});
