/** Backups of a cluster whose files cannot be read as they should. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FailingDisk } from '../failing-disk.ts';

let bed: FailingDisk;
beforeAll(async () => {
  bed = new FailingDisk();
  await bed.run('stanza-create');
});
afterAll(() => bed?.dispose());

it('a wrong page that is read again in two pieces is still a wrong page', async () => {
  const under = [join(bed.cluster.data, 'base/5/1247')];
  const { code, output } = await bed.meet(
    { under, kinds: ['read'], nth: 1, fault: 'short', onwards: true },
    'backup',
    '--type=full',
  );
  expect(code).toBe(0);
  expect(output).toContain(`invalid page checksums found in file ${under[0]} at pages 0-2`);
});

it('a file that cannot be closed after a page of it was read again is an error that names it', async () => {
  const [path = ''] = [join(bed.cluster.data, 'base/5/1247')];
  const failing = { under: [path], kinds: ['close'], nth: 1, fault: 'EIO' } as const;
  const { code, output } = await bed.meet(failing, 'backup', '--type=full');
  expect(output).toContain(`unable to close file '${path}': [5] I/o error`);
  expect(code).toBe(79);
});

it('a pg_control that vanishes after the backup has begun is an error, also without a server', async () => {
  const under = [join(bed.cluster.data, 'global')];
  const lists = { under, kinds: ['list'], nth: 1, fault: 'vanish' } as const;
  const { code, output, hit } = await bed.meet(lists, 'backup', '--type=full');
  expect(hit?.path).toBe(under[0]);
  expect(output).toContain('ERROR: [055]: pg_control must be present in all backups');
  expect(output).toContain(`has '${under[0]}/pg_control' been removed?`);
  expect(code).toBe(55);
});
