/** The power fails at any moment of a restore: PostgreSQL refuses what is there, and another restore finishes it. */
import { readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crashStates, differences, type Recording, withoutSyncs } from '../../support/power-loss/replay.ts';
import { readTree } from '../../support/power-loss/tree.ts';
import { Random } from '../../support/random.ts';
import { isFullSweep, type Sweep } from '../../support/sweep/sweep.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { PowerBed } from './bed.ts';
import { restoreRules } from './restore-rules.ts';

let bed: PowerBed;
let data: string;
const recordings = new Map<string, Recording>();

/** @param prepare changes what the restore before it has left */
function restore(
  name: string,
  backup: number,
  options: readonly string[],
  prepare: () => void = () => undefined,
): void {
  it(name, async () => {
    const label = (await bed.offline.labels())[backup] ?? '';
    prepare();
    const args = [`--set=${label}`, `--pg1-path=${data}`, `--tablespace-map-all=${join(bed.root, 'space')}`];
    const recording = await bed.record({ command: 'restore', args: [...args, ...options] });
    recordings.set(name, recording);
    await bed.check(name, recording, restoreRules(recording, data), async state => {
      for (const option of ['--delta', '--force']) {
        bed.write(state.tree);
        await bed.succeed('restore', [...args, option]);
        expect(
          differences(
            readTree(bed.root, () => false),
            recording.after,
          ),
          option,
        ).toEqual([]);
      }
    });
  });
}

/** What a cluster does with its files after a backup. */
function goOn(): void {
  const put = (name: string, content: Buffer, time: number): void => {
    writeFileSync(join(data, name), content);
    utimesSync(join(data, name), time, time);
  };
  put('base/5/20001', Buffer.concat([pages(4, 7), pages(5, 8)]), 1_700_000_000);
  put('base/5/1247', pages(3, 99), 1_700_000_000);
  put('base/5/1259', pages(5, 2), 1_700_000_000);
  put('base/5/16384.1', pages(1, 6), 1_700_000_000);
  rmSync(join(data, 'base/5/16384'));
  bed.write(readTree(bed.root, () => false));
}

export function watchRestore(sweep: Sweep): void {
  beforeAll(async () => {
    bed = new PowerBed(sweep);
    bed.configure({});
    const { offline } = bed;
    offline.cluster.write('base/5/20001', pages(9, 7));
    offline.cluster.write('global/1262', pages(1, 9));
    // a restore may believe in the time of a file only when the file is older than the backup
    for (const name of readdirSync(offline.cluster.folder, { recursive: true, encoding: 'utf8' })) {
      const path = join(offline.cluster.folder, name);
      if (statSync(path).isFile()) utimesSync(path, 1_600_000_000, 1_600_000_000);
    }
    await offline.run('stanza-create');
    await offline.run('backup', '--type=full');
    await offline.run('backup', '--type=full', '--repo1-bundle', '--repo1-block');
    bed.watch(offline.newFolder());
    data = join(bed.root, 'data');
  });
  afterAll(() => bed?.dispose());

  restore('restore into nothing', 0, []);
  it('restore into nothing without syncs is found to lose something', () => {
    const recording = recordings.get('restore into nothing') as Recording;
    const found = (dropped?: (path: string) => boolean): string => {
      const blind = withoutSyncs(recording, dropped);
      return crashStates(blind, new Random(1), 2).flatMap(restoreRules(blind, data)).join('\n');
    };
    expect(found()).toMatch(/PostgreSQL would start from/);
    expect(found(path => path.endsWith('base/5/1259'))).toMatch(/success was told, and .*1259 is/);
    expect(found(path => path.endsWith('/data/base/5'))).toMatch(/PostgreSQL would start from/);
  });
  restore('restore with delta, blocks', 1, ['--delta'], goOn);
  if (!isFullSweep()) return;
  restore('restore with delta', 0, ['--delta'], goOn);
  restore('restore with force', 0, ['--force'], goOn);
  restore('restore with force, blocks', 1, ['--force'], goOn);
  restore('restore into nothing, blocks', 1, [], () => bed.write(new Map()));
}
