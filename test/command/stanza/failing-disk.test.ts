/** What an upgrade that fails leaves of the info files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { forgeControl } from '../../postgres/forge.ts';
import { FailingDisk } from '../failing-disk.ts';
import { infoFiles } from './info-files.ts';

const folders = ['archive/demo', 'backup/demo'];

let bed: FailingDisk;
let id = 7000000000000000000n;
let before: string[];

const contents = (): string[] => infoFiles.map(path => readFileSync(join(bed.repo, path), 'utf8'));
const upgrade = ['stanza-upgrade', '--no-online'] as const;

beforeAll(async () => {
  bed = new FailingDisk();
  await bed.run('stanza-create');
});
afterAll(() => bed?.dispose());

beforeEach(() => {
  before = contents();
  id += 1n;
  bed.cluster.write('global/pg_control', forgeControl('15', { systemId: id }));
});

it.each(['create', 'write', 'sync', 'rename', 'close'] as const)('all are as they were: %s', async kind => {
  const under = folders.map(path => join(bed.repo, path));
  const found = new Set<string>();
  for (let nth = 1; ; nth++) {
    const { code, output, hit } = await bed.meet({ under, kinds: [kind], nth, fault: 'EIO' }, ...upgrade);
    if (hit === undefined) {
      expect(code, output).toBe(0);
      break;
    }
    found.add(hit.path);
    // what could not be closed after it was read was read from its copy
    if (code === 0) continue;
    expect(output).toContain(hit.path.replace(/\.pgbackrest\.tmp$/, ''));
    expect(output).not.toContain('may disagree');
    expect(contents(), `${kind} ${nth}`).toEqual(before);
  }
  expect(found.size).toBeGreaterThan(1);
  await bed.run(...upgrade);
  const [archive, archiveCopy, backup, backupCopy] = contents();
  expect([archiveCopy, backupCopy]).toEqual([archive, backup]);
  expect(archive).toContain(String(id));
  expect(backup).toContain(String(id));
});

it('a disk that stays full is told of, and the next upgrade ends it', async () => {
  const under = [join(bed.repo, 'backup')];
  const { code, output } = await bed.meet(
    { under, kinds: ['write'], nth: 1, fault: 'ENOSPC', onwards: true },
    ...upgrade,
  );
  expect(code).toBe(64);
  expect(output).toContain("unable to write '");
  expect(output).toContain(
    'WARN: repo1: the info files may disagree until stanza-upgrade has been run again: unable to write',
  );
  await bed.run(...upgrade);
  const [archive, archiveCopy, backup, backupCopy] = contents();
  expect([archiveCopy, backupCopy]).toEqual([archive, backup]);
  expect(backup).toContain(String(id));
});
