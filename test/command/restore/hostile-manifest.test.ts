/**
 * Manifests that somebody wrote who wants a restore to write, or remove, outside of its target. Their checksums are right:
 * whoever can write into a repository can compute them.
 */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeBlockMap } from '../../../src/repo/block/map.ts';
import type { Manifest } from '../../../src/repo/manifest/manifest.ts';
import { BackupBed, type BackupBedOptions, bedLabel, fileOf, photograph, sha1 } from './backup-bed.ts';

let bed: BackupBed;
afterEach(() => bed?.dispose());

async function make(options: BackupBedOptions = {}): Promise<void> {
  bed = await BackupBed.create(options);
  writeFileSync(join(bed.outside, 'precious'), 'precious');
  bed.own();
}

/** Adds to the manifest what the file table, which checks nothing, takes. */
const file = (name: string) => (manifest: Manifest) => {
  const { name: _, ...like } = manifest.files.get(0);
  manifest.files.add({ ...like, name });
};

const path = (name: string) => (manifest: Manifest) =>
  void manifest.paths.push({ name, mode: 0o700, user: false, group: false });

const link = (name: string, destination: string) => (manifest: Manifest) =>
  void manifest.links.push({ name, destination, user: false, group: false });

const target = (entry: Manifest['targets'][number]) => (manifest: Manifest) => void manifest.targets.push(entry);

describe('a name that leads out of the target ends the restore before anything is changed', () => {
  const cases: readonly [what: string, forge: (manifest: Manifest) => void, named: string][] = [
    ['file with ..', file('pg_data/../../outside/precious'), 'pg_data/../../outside/precious'],
    ['file that is absolute', file('/etc/cron.d/evil'), '/etc/cron.d/evil'],
    ['file in no root', file('outside/evil'), 'outside/evil'],
    ['file with an empty part', file('pg_data//evil'), 'pg_data//evil'],
    ['file that is the data directory', file('pg_data'), 'pg_data'],
    ['file with a NUL', file('pg_data/a\0b'), 'pg_data/a'],
    ['file of a tablespace that is no target', file('pg_tblspc/16384/PG_15/5/1'), 'pg_tblspc/16384'],
    ['path with ..', path('pg_data/../../outside/evil'), 'pg_data/../../outside/evil'],
    ['path that is absolute', path('/tmp/evil'), '/tmp/evil'],
    ['path of a tablespace that is no target', path('pg_tblspc/16384/PG_15'), 'pg_tblspc/16384'],
    ['link with ..', link('pg_data/../../outside/evil', '/tmp'), 'pg_data/../../outside/evil'],
    ['target with ..', target({ name: 'pg_data/../x', type: 'link', path: '../outside/x' }), 'pg_data/../x'],
    [
      'file link with a path for a name',
      target({ name: 'pg_data/c', type: 'link', path: '/tmp', file: '../x' }),
      '../x',
    ],
    ['second data directory', target({ name: 'pg_data', type: 'path', path: '../outside/x' }), 'pg_data'],
    [
      'target beside the data directory that is no link',
      target({ name: 'pg_data/x', type: 'path', path: '../outside/x' }),
      'pg_data/x',
    ],
    [
      'tablespace under a name of PGDATA',
      target({ name: 'pg_data/base', type: 'link', path: '../outside/x', tablespaceId: 1 }),
      'pg_data/base',
    ],
    [
      'tablespace for all tablespaces',
      target({ name: 'pg_tblspc', type: 'link', path: '../outside/x', tablespaceId: 1 }),
      'pg_tblspc',
    ],
    [
      'tablespace below a tablespace',
      target({ name: 'pg_tblspc/1/2', type: 'link', path: '../outside/x', tablespaceId: 1 }),
      'pg_tblspc/1/2',
    ],
    [
      'tablespace with two ids',
      target({ name: 'pg_tblspc/1', type: 'link', path: '../outside/x', tablespaceId: 2 }),
      'pg_tblspc/1',
    ],
    ['tablespace without an id', target({ name: 'pg_tblspc/1', type: 'link', path: '../outside/x' }), 'pg_tblspc/1'],
  ];
  it.each(cases)('%s', async (_, forge, named) => {
    await make({ forge });
    // what lets delta remove files
    writeFileSync(join(bed.target, 'PG_VERSION'), '15\n');
    bed.own();
    const before = photograph(bed.folder);
    const result = await bed.restore('--link-all', '--delta');
    expect(result.output).toContain(named);
    expect(result.output).toContain('HINT:');
    expect(result.code).toBe(29);
    expect(photograph(bed.folder)).toEqual(before);
  });
});

describe('a reference', () => {
  it('that is no label is refused', async () => {
    await make({
      forge: manifest => {
        const { name: _, ...like } = manifest.files.get(0);
        manifest.files.set(0, { ...like, reference: '../../../outside' });
      },
    });
    const result = await bed.restore();
    expect(result.code).toBe(29);
    expect(result.output).toContain("invalid reference '../../../outside'");
  });

  it('to a backup that is not there fails and names the file', async () => {
    await make({
      forge: manifest => {
        const { name: _, ...like } = manifest.files.get(0);
        manifest.files.set(0, { ...like, reference: '20250101-000000F' });
      },
    });
    const result = await bed.restore();
    expect(result.code).toBe(55);
    expect(result.output).toContain('20250101-000000F/pg_data/PG_VERSION');
    expect(bed.canStart).toBe(false);
  });
});

describe('a link of the manifest', () => {
  it('without a target is not made', async () => {
    await make({ forge: link('pg_data/evil', '/etc/passwd') });
    const result = await bed.restore('--link-all');
    expect(result.code).toBe(0);
    expect(existsSync(join(bed.target, 'evil'))).toBe(false);
  });

  it('is not made either when nobody asked for links, and its files stay in the target', async () => {
    await make({
      files: { 'pg_data/linked/evil': Buffer.from('evil') },
      forge: manifest => {
        target({ name: 'pg_data/linked', type: 'link', path: '../outside' })(manifest);
        link('pg_data/linked', '../outside')(manifest);
        path('pg_data/linked')(manifest);
      },
    });
    const before = photograph(bed.outside);
    const result = await bed.restore();
    expect(result.code).toBe(0);
    expect(lstatSync(join(bed.target, 'linked')).isDirectory()).toBe(true);
    expect(photograph(bed.outside)).toEqual(before);
  });

  it('to a folder that is in use is refused', async () => {
    await make({
      files: { 'pg_data/linked/evil': Buffer.from('evil') },
      forge: manifest => {
        target({ name: 'pg_data/linked', type: 'link', path: '../outside' })(manifest);
        link('pg_data/linked', '../outside')(manifest);
        path('pg_data/linked')(manifest);
      },
    });
    const before = photograph(bed.folder);
    const result = await bed.restore('--link-all');
    expect(result.code).toBe(40);
    expect(result.output).toContain(`'${bed.outside}' because it contains files`);
    expect(photograph(bed.folder)).toEqual(before);
  });

  it('into the data directory, or around it, is refused', async () => {
    for (const place of ['base', '..', '.']) {
      await make({ forge: target({ name: 'pg_data/linked', type: 'link', path: place }) });
      const result = await bed.restore('--link-all', '--delta');
      expect(result.code).toBe(70);
      expect(result.output).toContain("link 'linked' destination");
      bed.dispose();
    }
  });
});

describe('the name of a tablespace', () => {
  const tablespace = (name: string) =>
    target({ name: 'pg_tblspc/16384', type: 'link', path: '/nowhere', tablespaceId: 16384, tablespaceName: name });

  it.each(['../outside/x', '..', 'a/../../outside', '/outside', ''])(
    '%j does not lead out of the directory for all tablespaces',
    async name => {
      await make({ forge: tablespace(name) });
      const before = photograph(bed.folder);
      const result = await bed.restore(`--tablespace-map-all=${bed.folder}/all`);
      expect(result.code).toBe(76);
      expect(result.output).toContain('HINT: give it a place with option tablespace-map.');
      expect(photograph(bed.folder)).toEqual(before);
    },
  );

  it('may have a slash in it', async () => {
    await make({ forge: tablespace('a/b') });
    expect(await bed.restore(`--tablespace-map-all=${bed.folder}/all`)).toMatchObject({ code: 0 });
    expect(readlinkSync(join(bed.target, 'pg_tblspc/16384'))).toBe(`${bed.folder}/all/a/b`);
  });
});

describe('a super block', () => {
  it('that is larger than any backup makes it is not decompressed: its size is that of the map, not of the file', async () => {
    await make({ compressType: 'zst' });
    const name = 'pg_data/base/5/9';
    const superSize = 512 * 1024 * 1024;
    const stored = await bed.encode(Buffer.alloc(superSize));
    const block = { reference: 0, bundleId: 0, offset: 0, size: stored.length, superSize, block: 0 };
    const map = encodeBlockMap([{ ...block, checksum: Buffer.alloc(6) }], 8192);
    const bytes = Buffer.concat([stored, map]);
    writeFileSync(bed.inRepo(`backup/demo/${bedLabel}/${name}.pgbi`), bytes);
    const manifest = await bed.repo.loadManifest(bedLabel, undefined);
    const entry = fileOf(name, 8192, sha1(Buffer.alloc(8192)), bytes, bed.user.name);
    manifest.files.add({ ...entry, blockSize: 8192, blockChecksumSize: 6, blockMapSize: map.length });
    manifest.files.sort();
    for (const copy of ['', '.copy']) {
      await bed.repo.writeManifest(manifest, `/backup/demo/${bedLabel}/backup.manifest${copy}`, undefined, '2.59.1');
    }
    bed.own();
    const result = await bed.restore();
    expect(result.output).toContain('a super block is too large');
    expect(result.code).toBe(29);
    expect(bed.canStart).toBe(false);
  });
});

describe('a file of a size that no file has', () => {
  it('that is to be zeros fails, and says which', async () => {
    const name = 'pg_data/base/16384/1';
    await make({
      files: { 'pg_data/base/16384/PG_VERSION': Buffer.from('15\n'), [name]: Buffer.alloc(8192) },
      forge: manifest => {
        path('pg_data/base/16384')(manifest);
        manifest.databases.push({ name: 'big', id: 16384, lastSystemId: 5 });
        const index = manifest.files.find(name) ?? manifest.files.length - 1;
        manifest.files.set(index, { ...manifest.files.get(index), size: 2 ** 52 });
      },
    });
    const result = await bed.restore('--db-exclude=big');
    // XFS has holes of that size
    if (result.code === 0) return;
    expect(result.code).toBe(64);
    expect(result.output).toContain(`unable to set the size of file '${bed.target}/base/16384/1'`);
  });
});

describe('a link planted in the target', () => {
  it('where a directory belongs is replaced, not followed', async () => {
    await make();
    expect((await bed.restore()).code).toBe(0);
    const base = join(bed.target, 'base');
    mkdirSync(join(bed.outside, 'empty'));
    const before = photograph(bed.outside);
    rmSync(base, { recursive: true });
    symlinkSync(join(bed.outside, 'empty'), base);
    bed.own();
    const result = await bed.restore('--delta');
    expect(result.code).toBe(0);
    expect(lstatSync(base).isDirectory()).toBe(true);
    expect(existsSync(join(base, '5/1247'))).toBe(true);
    expect(photograph(bed.outside)).toEqual(before);
  });

  it.each(['base/5/1247', 'PG_VERSION', 'global/pg_control', 'postgresql.auto.conf', 'backup.manifest'])(
    'where %s belongs is replaced, not followed',
    async name => {
      await make();
      expect((await bed.restore()).code).toBe(0);
      const before = photograph(bed.outside);
      const planted = join(bed.target, name);
      rmSync(planted, { force: true });
      symlinkSync(join(bed.outside, 'precious'), planted);
      bed.own();
      const result = await bed.restore('--delta');
      expect(result.code).toBe(0);
      expect(lstatSync(planted, { throwIfNoEntry: false })?.isSymbolicLink() ?? false).toBe(false);
      expect(photograph(bed.outside)).toEqual(before);
    },
  );

  it.each([
    'backup.manifest.pgbackrest.tmp',
    'postgresql.auto.conf.pgbackrest.tmp',
    'global/pg_control.pgbackrest.tmp',
  ])('under the temporary name %s is not followed', async name => {
    await make();
    expect((await bed.restore()).code).toBe(0);
    const before = photograph(bed.outside);
    symlinkSync(join(bed.outside, 'precious'), join(bed.target, name));
    bed.own();
    const result = await bed.restore('--delta');
    expect(result.code).toBe(0);
    expect(photograph(bed.outside)).toEqual(before);
  });

  it('and a file with a second name outside: the other name keeps its content', async () => {
    await make();
    expect((await bed.restore()).code).toBe(0);
    const planted = join(bed.target, 'base/5/1247');
    rmSync(planted);
    linkSync(join(bed.outside, 'precious'), planted);
    const result = await bed.restore('--delta');
    expect(result.code).toBe(0);
    expect(readFileSync(join(bed.outside, 'precious'), 'utf8')).toBe('precious');
  });
});
