/**
 * Our backups and those of the real tool, exchanged, over every codec with each cipher, with as many pairs of values of
 * {codec} x {cipher} x {layout} x {kind} x {who begins} as so many rows can hold; and over every combination with
 * PGBACKSTOP_MATRIX=full.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allCombinations, allPairs } from '../support/all-pairs.ts';
import { TestStanza } from '../support/stanza.ts';
import { type ExchangeRow, exchange, exchanged, expectSound, optionsOf, whatVerifyFinds } from './exchange.ts';
import { canCompare, useBench } from './support.ts';

/** Each codec with each cipher, in a layout that both can read; and one row of each cipher in the layout that only we can. */
const handful = (): ExchangeRow[] => {
  const { codec, cipher } = exchanged;
  const required = allCombinations({ codec, cipher });
  const all = allPairs(exchanged, required, row => row.layout !== 'block');
  const blocks = cipher.flatMap(one => all.find(row => row.layout === 'block' && row.cipher === one) ?? []);
  return [...all.slice(0, required.length), ...blocks];
};

const rows = process.env.PGBACKSTOP_MATRIX === 'full' ? allCombinations(exchanged) : handful();

/** The tests of one cipher: a file of its own for each, so that two run at a time. */
export function describeMatrix(cipher: ExchangeRow['cipher']): void {
  describe.runIf(canCompare)('exchange with the real tool', () => {
    const bench = useBench();
    const mine = rows.filter(row => row.cipher === cipher).map((row, index) => ({ ...row, index }));

    test.for(mine)('$codec, $cipher, $layout: $first first, then $kind', async row => {
      const { cluster, archiver } = bench();
      const stanza = new TestStanza(cluster, `${row.cipher}-${row.index}`, optionsOf(row));
      try {
        await exchange(bench(), stanza, row, String(row.index));
      } finally {
        archiver.pause();
        await stanza.dispose();
        rmSync(stanza.folder, { recursive: true, force: true });
      }
    });

    test('the real tool would find damage', async () => {
      const { cluster, archiver, ours, real } = bench();
      const stanza = new TestStanza(cluster, 'damaged');
      archiver.use(stanza, ours);
      await stanza.run(ours, 'stanza-create');
      await stanza.run(ours, 'backup', '--type=full');
      await expectSound(stanza, real);
      damage(stanza, await stanza.latest(real));
      expect(await whatVerifyFinds(stanza, real)).not.toEqual([]);
    });
  });
}

/** Makes one byte of a file of a backup wrong. */
function damage(stanza: TestStanza, label: string): void {
  const folder = join(stanza.repo, 'backup', 'demo', label, 'pg_data', 'global');
  const path = join(folder, readdirSync(folder).find(name => name.startsWith('pg_filenode.map')) ?? '');
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  writeFileSync(path, bytes);
}
