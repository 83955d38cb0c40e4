/** A worker thread ends in the middle of its job, at once or by an error that nobody catches: the command fails, and no more. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { segmentName } from '../../integration/async-push-bed.ts';
import { contentOf, type Outcome } from '../../integration/offline-bed.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { expectOk, KillBed } from './kill-bed.ts';
import { needWal } from './need-wal.ts';
import { type Content, RepoJudge } from './repo-judge.ts';
import { type Death, killAtEachStep, patience } from './victim.ts';
import { WalBed } from './wal-bed.ts';

const sweep = new Sweep('kill', 'workers');
const deaths: readonly Death[] = ['end-thread', 'throw-in-thread'];
afterAll(() => sweep.report());

/**
 * The process itself ended, and said why.
 * @returns false when the error came after the last job was done: then it ended well
 */
function hasFailed({ code, output }: Outcome, death: Death): boolean {
  if (code === 0 && death === 'throw-in-thread') return false;
  expect(code, output).toBeGreaterThan(0);
  expect(output).toMatch(/ERROR: \[\d+\]: .*worker \d+ ended/);
  return true;
}

describe('of backup and restore', () => {
  const bed = new KillBed();
  afterAll(() => bed.dispose());
  const contents = new Map<string, Content>();

  beforeAll(async () => {
    bed.begin({ 'compress-type': 'lz4', 'backup-fan-out': 'y', 'repo2-path': bed.repo(2), 'repo2-bundle': 'y' });
    await bed.run('stanza-create');
    // more than is done without workers
    bed.cluster.write('base/5/30001', pages(150, 1));
    bed.cluster.write('base/5/30002', pages(150, 2));
    bed.change();
    await bed.run('backup', '--type=full');
    for (const label of await bed.labels('--repo=1')) contents.set(label, bed.content());
  });

  it('backup to two repositories', { timeout: patience }, async () => {
    bed.change();
    bed.cluster.write('base/5/30001', pages(160, 3));
    bed.cluster.write('base/5/30002', pages(160, 4));
    const photo = bed.photograph();
    const repos = [1, 2];
    const args = ['--type=full'];
    await killAtEachStep(sweep, {
      name: 'backup, its worker',
      injector: bed.injector,
      under: [bed.state],
      only: { thread: 'worker' },
      deaths,
      short: 1,
      reset: async () => {
        bed.putBack(photo);
        await bed.untilLabelIsFree(repos);
      },
      run: tool => bed.attempt('backup', args, tool),
      judge: async (result, death) => {
        const judge = new RepoJudge({ bed, repos, contents, both: bed.canRead({}) });
        const isThere = !hasFailed(result, death);
        for (const labels of await judge.expectWhole()) expect(labels).toHaveLength(isThere ? 2 : 1);
        judge.noteComplete();
        bed.change();
        await judge.expectTheOtherGoesOn('backup', args);
        await bed.untilLabelIsFree(repos);
        expectOk('the next backup', await bed.attempt('backup', args));
        await judge.expectWhole();
        await judge.expectNewest();
        await judge.expectTidy();
      },
    });
    bed.putBack(photo);
  });

  it('restore', { timeout: patience }, async () => {
    const data = join(bed.state, 'data');
    bed.makeFolders(data, join(bed.state, 'space'));
    const photo = bed.photograph();
    const [content] = contents.values();
    const args = ['--repo=2', `--pg1-path=${data}`, `--tablespace-map-all=${join(bed.state, 'space')}`];
    await killAtEachStep(sweep, {
      name: 'restore, its worker',
      injector: bed.injector,
      under: [bed.state],
      only: { thread: 'worker' },
      deaths,
      short: 1,
      reset: () => bed.putBack(photo),
      run: tool => bed.attempt('restore', args, tool),
      judge: async (result, death) => {
        const control = join(data, 'global/pg_control');
        if (hasFailed(result, death)) expect(existsSync(control)).toBe(false);
        else expect(contentOf(data)).toEqual(content);
        expectOk('the next restore', await bed.attempt('restore', [...args, '--delta']));
        expect(contentOf(data)).toEqual(content);
      },
    });
  });

  it('expire', { timeout: patience }, async () => {
    bed.begin();
    await bed.run('stanza-create');
    for (let times = 0; times < 2; times++) {
      await bed.untilLabelIsFree([1]);
      await bed.run('backup', '--type=full');
    }
    // so many that a worker helps to remove them
    const archive = join(bed.repo(1), 'archive/demo/15-1');
    const directory = (at: number): string => `00000001000000${(16 + at).toString(16).toUpperCase()}`;
    for (let at = 0; at < 60; at++) {
      mkdirSync(join(archive, directory(at)), { recursive: true });
      writeFileSync(join(archive, directory(at), `${directory(at)}00000001-${'0'.repeat(40)}.gz`), '');
    }
    const [old, late] = [`${directory(0)}00000001`, `${directory(59)}00000001`];
    await needWal(bed, [
      [old, old],
      [late, late],
    ]);
    const photo = bed.photograph();
    const expire = ['--repo1-retention-full=1'];
    await killAtEachStep(sweep, {
      name: 'expire, its worker',
      injector: bed.injector,
      under: [bed.state],
      only: { thread: 'worker' },
      deaths,
      short: 1,
      reset: () => bed.putBack(photo),
      run: tool => bed.attempt('expire', expire, tool),
      judge: async (result, death) => {
        expect(readdirSync(archive)).toContain(directory(59));
        if (!hasFailed(result, death)) expect(readdirSync(archive)).toEqual([directory(59)]);
        expectOk('the next expire', await bed.attempt('expire', expire));
        expect(readdirSync(archive)).toEqual([directory(59)]);
      },
    });
  });
});

describe('of asynchronous archiving', () => {
  const pushing = ['--process-max=2', '--compress-type=lz4'];
  const getting = ['--archive-async', '--process-max=2', '--archive-get-queue-max=3MiB'];
  let bed: WalBed;
  beforeAll(async () => {
    bed = await WalBed.create();
  });
  afterAll(() => bed.dispose());
  const reset = async (): Promise<void> => {
    await bed.waits.backgroundEnds();
    bed.reset();
  };

  it('archive-push', { timeout: patience }, async () => {
    bed.ready(4, 5, 6, 7);
    bed.photograph();
    await killAtEachStep(sweep, {
      name: 'archive-push, a worker of its background',
      injector: bed.injector,
      under: [bed.folder],
      only: { process: 'background', thread: 'worker' },
      survives: true,
      deaths,
      short: 1,
      reset,
      run: async tool => {
        const outcome = await bed.run(tool, '--archive-async', ...pushing, 'archive-push', `pg_wal/${segmentName(4)}`);
        await bed.waits.backgroundEnds();
        return outcome;
      },
      judge: async ({ code }) => {
        if (code === 0) await bed.expectArchived(segmentName(4));
        await bed.waits.backgroundEnds();
        await bed.expectNoneShort();
        expect(await bed.waits.archive(pushing)).toBeUndefined();
        await bed.waits.backgroundEnds();
        for (const number of [4, 5, 6, 7]) await bed.expectArchived(segmentName(number));
      },
    });
  });

  it('archive-get', { timeout: patience }, async () => {
    await reset();
    expect(await bed.waits.archive(pushing)).toBeUndefined();
    await bed.waits.backgroundEnds();
    rmSync(join(bed.folder, 'spool'), { recursive: true });
    bed.photograph();
    const get = (number: number, tool = bed.ours) =>
      bed.run(tool, ...getting, 'archive-get', segmentName(number), bed.destination);
    await killAtEachStep(sweep, {
      name: 'archive-get, a worker of its background',
      injector: bed.injector,
      under: [bed.folder],
      only: { process: 'background', thread: 'worker' },
      survives: true,
      deaths,
      short: 1,
      reset,
      run: async tool => {
        const outcome = await get(4, tool);
        await bed.waits.backgroundEnds();
        return outcome;
      },
      judge: async ({ code }) => {
        if (code === 0) bed.expectContent(bed.destination, segmentName(4));
        for (const number of [4, 5, 6, 7]) {
          rmSync(bed.destination, { force: true });
          expect(await get(number)).toMatchObject({ code: 0 });
          bed.expectContent(bed.destination, segmentName(number));
        }
        rmSync(bed.destination);
        expect(await get(8)).toMatchObject({ code: 1 });
      },
    });
  });
});
