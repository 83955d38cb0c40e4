/** What both tools say of the repository. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { comparableInfo } from '../../support/comparable-info.ts';
import type { Name, SoakBed } from './bed.ts';
import type { Catalog, Listed } from './catalog.ts';

/** Both tools say the same of it, and find nothing wrong in it. */
export async function inspect(bed: SoakBed, catalog: Catalog): Promise<void> {
  bed.journal.note('inspect');
  const list = await catalog.list();
  await expectSameInfo(bed);
  for (const name of bed.tools.keys()) {
    if (!list.every(backup => catalog.knows(name, backup))) continue;
    const found = await bed.succeed(name, ['verify', '--output=text', '--verbose']);
    const said =
      found.match(/(backup: \S+, )?status: .*|(missing|invalid|other): [1-9].*|(duplicate|invalid) .*/g) ?? [];
    const bad = said.filter(line => !/status: (ok|valid|in-progress)\b/.test(line) && !isLeftOver(line, list));
    expect(bad, found).toEqual([]);
    expect(found.match(/status: valid/g)).toHaveLength(list.length);
  }
}

/** What an expire that was killed has left of a backup: nothing lists it, and the next expire removes it. */
function isLeftOver(line: string, list: readonly Listed[]): boolean {
  const [, label] = /^backup: (\S+), status: manifest missing,/.exec(line) ?? [];
  return label !== undefined && !list.some(backup => backup.label === label);
}

/** WAL arrives meanwhile, so ours is asked before and after the other. */
async function expectSameInfo(bed: SoakBed): Promise<void> {
  if (!bed.tools.has('real')) return;
  const ask = async (name: Name): Promise<unknown> =>
    comparableInfo(await bed.succeed(name, ['info', '--output=json']));
  for (;;) {
    const [before, real, after] = [await ask('ours'), await ask('real'), await ask('ours')];
    if (!isDeepStrictEqual(before, after)) continue;
    expect(before).toEqual(real);
    return;
  }
}
