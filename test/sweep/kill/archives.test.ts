/** SIGKILL at every durable step of archive-push and archive-get that run while PostgreSQL waits. */
import { existsSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { segmentName } from '../../integration/async-push-bed.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { killAtEachStep, patience } from './victim.ts';
import { WalBed } from './wal-bed.ts';

const sweep = new Sweep('kill', 'archives');
let bed: WalBed;
beforeAll(async () => {
  bed = await WalBed.create();
});
afterAll(async () => {
  sweep.report();
  await bed.dispose();
});

const push = (number: number, tool = bed.ours) =>
  bed.run(tool, '--compress-type=lz4', 'archive-push', `pg_wal/${segmentName(number)}`);
const get = (name: string, tool = bed.ours) => bed.run(tool, 'archive-get', name, bed.destination);

it('archive-push to two repositories', { timeout: patience }, async () => {
  bed.ready(3, 4, 5);
  expect((await push(3)).code).toBe(0);
  bed.photograph();
  await killAtEachStep(sweep, {
    name: 'archive-push',
    injector: bed.injector,
    under: [bed.folder],
    short: 3,
    reset: () => bed.reset(),
    run: tool => push(4, tool),
    judge: async () => {
      await bed.expectNoneShort();
      // PostgreSQL gives it again
      expect(await push(4)).toMatchObject({ code: 0 });
      await bed.expectArchived(segmentName(4));
      bed.ageLeftovers();
      expect(await push(5)).toMatchObject({ code: 0 });
      expect(bed.leftovers()).toEqual([]);
      await bed.expectNoneShort();
    },
  });
});

it('a history file to two repositories', { timeout: patience }, async () => {
  const name = '00000002.history';
  bed.reset();
  bed.waits.bed.write(`data/pg_wal/${name}`, '1\t0/3000000\tno reason\n');
  bed.photograph();
  const pushHistory = (tool = bed.ours) => bed.run(tool, 'archive-push', `pg_wal/${name}`);
  await killAtEachStep(sweep, {
    name: 'archive-push of a history file',
    injector: bed.injector,
    under: [bed.folder],
    short: 1,
    reset: () => bed.reset(),
    run: pushHistory,
    judge: async () => {
      expect(await pushHistory()).toMatchObject({ code: 0 });
      expect(await get(name)).toMatchObject({ code: 0 });
      bed.ageLeftovers();
      expect(await pushHistory()).toMatchObject({ code: 0 });
      rmSync(bed.destination);
      expect(bed.leftovers()).toEqual([]);
    },
  });
});

it('archive-get', { timeout: patience }, async () => {
  bed.reset();
  expect((await push(4)).code).toBe(0);
  bed.photograph();
  await killAtEachStep(sweep, {
    name: 'archive-get',
    injector: bed.injector,
    under: [bed.folder],
    short: 2,
    reset: () => bed.reset(),
    run: tool => get(segmentName(4), tool),
    judge: async () => {
      if (existsSync(bed.destination)) bed.expectContent(bed.destination, segmentName(4));
      expect(await get(segmentName(5))).toMatchObject({ code: 1 });
      expect(await get(segmentName(4))).toMatchObject({ code: 0 });
      bed.expectContent(bed.destination, segmentName(4));
      expect(bed.leftovers()).toEqual([]);
    },
  });
});
