/** SIGKILL at every durable step of a restore: PostgreSQL cannot start from what is not whole, and the next restore ends it. */
import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { contentOf } from '../../integration/offline-bed.ts';
import type { OptionValues, Tool } from '../../support/stanza.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { expectOk, KillBed } from './kill-bed.ts';
import { isTried, killAtEachStep, patience } from './victim.ts';

interface Case {
  readonly name: string;
  readonly options: OptionValues;
  /** What is in the place before. */
  readonly place: 'nothing' | 'an older cluster';
  readonly args: readonly string[];
  readonly short: number;
}

const bundled = { 'repo1-bundle': 'y', 'compress-type': 'zst', 'process-max': 1 };
const cases: readonly Case[] = [
  { name: 'into nothing', options: { 'compress-type': 'lz4' }, place: 'nothing', args: [], short: 1 },
  { name: 'with delta', options: bundled, place: 'an older cluster', args: ['--delta'], short: 1 },
  {
    name: 'with delta, blocks',
    options: { ...bundled, 'repo1-block': 'y' },
    place: 'an older cluster',
    args: ['--delta'],
    short: 1,
  },
  { name: 'with force', options: { 'process-max': 1 }, place: 'an older cluster', args: ['--force'], short: 0 },
];

const sweep = new Sweep('kill', 'restores');
const bed = new KillBed();
const data = join(bed.state, 'data');
const space = join(bed.state, 'space');
afterAll(() => {
  sweep.report();
  bed.dispose();
});

const restore = (args: readonly string[], tool: Tool = bed.ours) =>
  bed.attempt('restore', [`--pg1-path=${data}`, `--tablespace-map-all=${space}`, ...args], tool);

/** As if a server had gone on from it: files that are longer, shorter, changed, gone and new. */
function age(): void {
  const now = Date.now() / 1000;
  const write = (name: string, content: Uint8Array): void => {
    writeFileSync(join(data, name), content);
    utimesSync(join(data, name), now - 60, now - 60);
  };
  write('base/5/1247', pages(5, 77));
  write('base/5/1259', pages(1, 2));
  write('base/5/16384', Buffer.concat([pages(1, 3).subarray(0, 4096), Buffer.alloc(4096)]));
  write('base/5/99999', pages(1, 99));
  mkdirSync(join(data, 'base/6'));
  write('base/6/1', pages(1, 98));
  rmSync(join(data, 'postgresql.conf'));
  bed.own();
}

describe.each(cases.filter(isTried))('$name', ({ name, options, place, args, short }) => {
  it('is killed', { timeout: patience }, async () => {
    bed.begin(options);
    await bed.run('stanza-create');
    bed.change();
    bed.cluster.write('base/5/16390', pages(40, 9));
    await bed.run('backup', '--type=full');
    const content = bed.content();
    bed.makeFolders(space);
    if (place !== 'nothing') {
      bed.makeFolders(data);
      expectOk('restore', await restore([]));
      age();
    }
    const photo = bed.photograph();
    const reset = (): void => bed.putBack(photo);
    const both = bed.canRead(options);
    await killAtEachStep(sweep, {
      name: `restore ${name}`,
      injector: bed.injector,
      under: [data, space, join(bed.state, 'lock')],
      short,
      reset,
      run: tool => restore(args, tool),
      judge: async () => {
        // with its pg_control the cluster starts: then it is whole
        if (existsSync(join(data, 'global/pg_control'))) await expectControl(content);
        const killed = bed.photograph();
        // without leave to remove anything it goes on or refuses
        const plain = await restore([]);
        if (plain.code === 0) expect(contentOf(data)).toEqual(content);
        else expect(plain.code, plain.output).toBe(40);
        bed.putBack(killed);
        const repeated = place === 'nothing' ? '--delta' : (args[0] ?? '');
        if (both) {
          const theirs = await restore([repeated], bed.judge);
          // what it does not take for a restore of its own it leaves alone
          if (theirs.code === 0) expect(contentOf(data)).toEqual(content);
          else expect(theirs.code, theirs.output).toBe(40);
          bed.putBack(killed);
        }
        bed.forget(killed);
        expectOk('the next restore', await restore([repeated]));
        expect(contentOf(data)).toEqual(content);
        expect(bed.leftovers()).toEqual([]);
      },
    });
    bed.forget(photo);

    /** Either nothing was touched yet, or all is there. */
    async function expectControl(whole: Readonly<Record<string, string>>): Promise<void> {
      const now = contentOf(data);
      const killed = bed.photograph();
      reset();
      const before = place === 'nothing' ? {} : contentOf(data);
      bed.putBack(killed);
      bed.forget(killed);
      expect([whole, before]).toContainEqual(now);
    }
  });
});
