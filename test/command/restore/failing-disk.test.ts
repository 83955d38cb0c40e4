/** Restores into a directory in which one file or folder cannot be looked at, read, moved or removed. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationKind } from '../../support/sweep/injector.ts';
import { FailingDisk } from '../failing-disk.ts';

let bed: FailingDisk;
const settings = "work_mem = '3MB'\n";
const changed = 'base/5/1259';
const later = 'of a later time';

beforeAll(async () => {
  bed = new FailingDisk();
  bed.cluster.write('postgresql.auto.conf', settings);
  await bed.run('stanza-create');
  await bed.run('backup', '--type=full');
});
afterAll(() => bed?.dispose());

/** A restored cluster with a change in it. */
async function restored(): Promise<{ readonly data: string; readonly args: string[] }> {
  const data = bed.newFolder();
  const args = [`--pg1-path=${data}`, `--tablespace-map-all=${bed.newFolder()}`];
  await bed.run('restore', ...args);
  writeFileSync(join(data, changed), later);
  return { data, args: [...args, '--delta', '--type=immediate'] };
}

/** Kind of the operation, which one from the end, the file, and what the restore ends with. */
const failures: readonly (readonly [OperationKind, number, string, number])[] = [
  // it would be taken for a cluster that does not run
  ['stat', 0, 'postmaster.pid', 41],
  ['stat', 0, 'global/pg_control', 41],
  ['remove', 0, 'global/pg_control', 60],
  ['list', 0, 'base/5', 53],
  ['stat', 1, changed, 41],
  // it would be replaced by one without the settings of the user
  ['stat', 0, 'postgresql.auto.conf', 41],
  ['read', 0, 'postgresql.auto.conf', 42],
  // the restore would end well, without it
  ['stat', 0, 'global/pg_control.pgbackrest.tmp', 41],
  ['rename', 0, 'global/pg_control.pgbackrest.tmp', 74],
];

describe('a restore that meets a failure', () => {
  it('a directory that is made and does not get its mode is an error that names it, and the next one is whole', async () => {
    const { data, args } = await restored();
    const path = join(data, 'base/5');
    rmSync(path, { recursive: true });
    const failing = { under: [path], kinds: ['attributes'], nth: 1, fault: 'EIO' } as const;
    const { code, output, hit } = await bed.meet(failing, 'restore', ...args);
    expect(hit?.path).toBe(path);
    expect(output).toContain(`ERROR: [047]: unable to create path '${path}': [5] I/o error`);
    expect(code).toBe(47);
    expect(existsSync(join(data, 'global/pg_control'))).toBe(false);
    await bed.run('restore', ...args);
    expect(readFileSync(join(data, changed))).toEqual(readFileSync(join(bed.cluster.data, changed)));
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('a file that cannot be removed with the directory that it is in is named, and not the directory alone', async () => {
    const { data, args } = await restored();
    const folder = join(data, 'base/9');
    bed.makeFolders(folder);
    writeFileSync(join(folder, 'x'), '');
    chmodSync(folder, 0o500);
    const { code, output } = await bed.attempt('restore', args);
    expect(output).toContain(`ERROR: [061]: unable to remove path '${folder}/x': [13] Permission denied`);
    expect(code).toBe(61);
    chmodSync(folder, 0o700);
    await bed.run('restore', ...args);
    expect(existsSync(folder)).toBe(false);
  });

  it.each(failures)(
    '%s, %i from the end, of %s: is an error that names it, and the next one is whole',
    async (kind, fromEnd, name, code) => {
      const first = await restored();
      const path = join(first.data, name);
      const total = await bed.count({ under: [path], kinds: [kind] }, 'restore', ...first.args);
      const { data, args } = await restored();
      const failing = { under: [join(data, name)], kinds: [kind], nth: total - fromEnd, fault: 'EIO' } as const;
      const result = await bed.meet(failing, 'restore', ...args);
      expect(result.hit).toMatchObject({ kind, path: join(data, name) });
      expect(result.output).toMatch(
        new RegExp(`ERROR: \\[0${code}\\]: unable to .*'${join(data, name)}'.*\\[5\\] I/o error`),
      );
      expect(result.code).toBe(code);
      // unless nothing was changed yet
      const unchanged = readFileSync(join(data, changed), 'utf8') === later;
      expect(existsSync(join(data, 'global/pg_control')) && !unchanged).toBe(false);

      await bed.run('restore', ...args);
      expect(readFileSync(join(data, changed))).toEqual(readFileSync(join(bed.cluster.data, changed)));
      expect(existsSync(join(data, 'global/pg_control'))).toBe(true);
      expect(readFileSync(join(data, 'postgresql.auto.conf'), 'utf8')).toContain(settings);
    },
  );
});
