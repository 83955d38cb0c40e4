/** A repository whose files are damaged, or are not what they are taken for: the restore says what is wrong, and PostgreSQL cannot start. */
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { CompressType } from '../../../src/repo/manifest/manifest.ts';
import { withChecksum } from '../../support/info-checksum.ts';
import { BackupBed, type BackupBedOptions, bedLabel, forgePages, photograph, sha1 } from './backup-bed.ts';

let bed: BackupBed;
afterEach(() => bed?.dispose());

async function make(options: BackupBedOptions = {}): Promise<void> {
  bed = await BackupBed.create(options);
}

const relation = 'pg_data/base/5/16384';
const content = forgePages(40);
const infoFile = 'backup/demo/backup.info';
const manifestFile = `backup/demo/${bedLabel}/backup.manifest`;

function change(path: string, edit: (bytes: Buffer) => Buffer): void {
  writeFileSync(path, edit(readFileSync(path)));
}

/** One bit: 6 becomes 7. */
const flipSystemId = (bytes: Buffer): Buffer => {
  const at = bytes.indexOf('db-system-id=6') + 'db-system-id='.length;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
  return bytes;
};

const damages: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  // a single bit may mean nothing: in a run of zeros a codec can refer to any of them
  'altered bytes': bytes => bytes.fill(0x5a, bytes.length >> 1, (bytes.length >> 1) + 16),
  'a missing end': bytes => bytes.subarray(0, bytes.length - 100),
  'nothing in it': () => Buffer.alloc(0),
  'another start': bytes => Buffer.concat([Buffer.from('#!/bin/sh\n'), bytes.subarray(10)]),
};

describe.each<[CompressType, string | undefined]>([
  ['none', undefined],
  ['gz', undefined],
  ['lz4', undefined],
  ['zst', undefined],
  ['bz2', undefined],
  ['none', 'secret'],
  ['zst', 'secret'],
])('a stored file, %s, passphrase %s', (compressType, cipherPass) => {
  it.each(Object.keys(damages))('with %s', async damage => {
    await make({ compressType, files: { [relation]: content }, ...(cipherPass === undefined ? {} : { cipherPass }) });
    change(bed.stored(relation), damages[damage] ?? (bytes => bytes));
    const before = photograph(bed.inRepo(''));
    const result = await bed.restore();
    // checksum, format, or the cipher's own
    expect([26, 29, 95]).toContain(result.code);
    expect(result.output).toContain(`error restoring '${bed.target}/base/5/16384'`);
    expect(result.output).toMatch(
      /HINT: (the file in the repository is damaged|is this the passphrase|is the repository enc)/,
    );
    expect(result.code === 26 || result.output.includes(`from '${bed.stored(relation)}'`)).toBe(true);
    expect(bed.canStart).toBe(false);
    expect(photograph(bed.inRepo(''))).toEqual(before);
  });

  it('that is whole again: the next restore with delta ends well', async () => {
    await make({ compressType, files: { [relation]: content }, ...(cipherPass === undefined ? {} : { cipherPass }) });
    const good = readFileSync(bed.stored(relation));
    writeFileSync(bed.stored(relation), good.subarray(0, 50));
    expect((await bed.restore()).code).not.toBe(0);
    writeFileSync(bed.stored(relation), good);
    expect(await bed.restore('--delta')).toMatchObject({ code: 0 });
    expect(bed.canStart).toBe(true);
    expect(sha1(readFileSync(join(bed.target, 'base/5/16384')))).toBe(sha1(content));
    expect(existsSync(join(bed.target, 'backup.manifest'))).toBe(false);
  });
});

it('an encrypted backup: a restore that does not end leaves no passphrase behind', async () => {
  await make({ files: { [relation]: content }, cipherPass: 'secret' });
  rmSync(bed.stored(relation));
  expect((await bed.restore()).code).toBe(55);
  const left = readFileSync(join(bed.target, 'backup.manifest'), 'utf8');
  expect(left).toContain('[target:file]');
  expect(left).not.toMatch(/cipher|pass of the files/);
});

it('a stored file that is gone is named', async () => {
  await make({ files: { [relation]: content } });
  rmSync(bed.stored(relation));
  const result = await bed.restore();
  expect(result.code).toBe(55);
  expect(result.output).toContain(bed.stored(relation));
  expect(bed.canStart).toBe(false);
});

it('a file of the right length with another content fails on its checksum', async () => {
  await make({ files: { [relation]: content } });
  change(bed.stored(relation), bytes => bytes.reverse());
  const result = await bed.restore();
  expect(result.code).toBe(26);
  expect(result.output).toContain(`expected checksum '${sha1(content)}' and size ${content.length}`);
});

describe('a bomb', () => {
  it.each<CompressType>(['gz', 'lz4', 'zst', 'bz2'])(
    'in %s is stopped at the size of the manifest',
    async compressType => {
      await make({ compressType, files: { [relation]: content } });
      // a gigabyte would not fit into the memory that we allow, nor into the size that the manifest tells
      const bomb = await bed.encode(Buffer.alloc(256 * 1024 * 1024));
      expect(bomb.length).toBeLessThan(4 * 1024 * 1024);
      writeFileSync(bed.stored(relation), bomb);
      const path = bed.inRepo(manifestFile);
      const before = statSync(path).size;
      // the stored size in the manifest is a lie as well
      await bed.repo.storage.remove(`/${manifestFile}.copy`);
      const manifest = await bed.repo.loadManifest(bedLabel, undefined);
      const index = manifest.files.find(relation) ?? 0;
      manifest.files.set(index, { ...manifest.files.get(index), sizeRepo: bomb.length });
      await bed.repo.writeManifest(manifest, `/${manifestFile}`, undefined, '2.59.1');
      expect(statSync(path).size).toBeGreaterThan(before - 10);
      bed.own();
      const result = await bed.restore();
      expect(result.code).toBe(29);
      expect(result.output).toContain(`'${bed.target}/base/5/16384'`);
      const restored = join(bed.target, 'base/5/16384');
      expect(existsSync(restored) ? statSync(restored).size : 0).toBeLessThanOrEqual(content.length);
      expect(bed.canStart).toBe(false);
    },
  );
});

describe('backup.info', () => {
  it('with a flipped bit: its copy is used', async () => {
    await make();
    change(bed.inRepo(infoFile), flipSystemId);
    expect(await bed.restore()).toMatchObject({ code: 0 });
    expect(bed.canStart).toBe(true);
    const info = await bed.run(['info']);
    expect(info).toMatchObject({ code: 0 });
    expect(info.stdout).toContain(bedLabel);
  });

  it('that is gone: its copy is used', async () => {
    await make();
    rmSync(bed.inRepo(infoFile));
    expect(await bed.restore()).toMatchObject({ code: 0 });
  });

  it.each<[string, (bytes: Buffer) => Buffer, string]>([
    ['with a flipped bit in both', flipSystemId, 'ChecksumError'],
    ['cut off in both', bytes => bytes.subarray(0, bytes.lastIndexOf('[backrest]')), 'ChecksumError'],
    ['cut off within a line in both', bytes => bytes.subarray(0, bytes.length - 100), 'FormatError'],
    ['empty in both', () => Buffer.alloc(0), 'ChecksumError'],
    ['with bytes that are no text in both', () => Buffer.alloc(4096, 0xff), 'FormatError'],
  ])('%s: both are named, nothing is changed', async (_, damage, name) => {
    await make();
    for (const file of [infoFile, `${infoFile}.copy`]) change(bed.inRepo(file), damage);
    const before = photograph(bed.folder);
    const result = await bed.restore();
    // like the real tool: why is a warning, that there is nothing to restore the error
    expect(result.code).toBe(75);
    expect(result.output).toContain('a repository could not be read');
    expect(result.output).toContain(
      `repo1: [${name}] unable to load info file '${bed.inRepo(infoFile)}' or '${bed.inRepo(infoFile)}.copy'`,
    );
    expect(result.output).toContain('HINT:');
    expect(photograph(bed.folder)).toEqual(before);
  });

  it('of another format is refused', async () => {
    await make();
    const text = readFileSync(bed.inRepo(infoFile), 'utf8').replace('backrest-format=5', 'backrest-format=6');
    for (const file of [infoFile, `${infoFile}.copy`]) writeFileSync(bed.inRepo(file), withChecksum(text));
    const result = await bed.restore();
    expect(result.code).toBe(75);
    expect(result.output).toContain('[FormatError]');
    expect(result.output).toContain('expected format 5 but found 6');
  });
});

describe('backup.manifest', () => {
  it('cut off: its copy is used', async () => {
    await make();
    truncateSync(bed.inRepo(manifestFile), 900);
    expect(await bed.restore()).toMatchObject({ code: 0 });
    expect(bed.canStart).toBe(true);
  });

  it.each([0, 1, 300, 900, -1])('cut off at %i in both: both are named, nothing is changed', async at => {
    await make();
    const bytes = readFileSync(bed.inRepo(manifestFile));
    for (const copy of ['', '.copy'])
      writeFileSync(bed.inRepo(manifestFile + copy), bytes.subarray(0, at - (at < 0 ? 60 : 0)));
    const before = photograph(bed.folder);
    const result = await bed.restore();
    expect([26, 29]).toContain(result.code);
    expect(result.output).toContain(`'${bed.inRepo(manifestFile)}' or '${bed.inRepo(manifestFile)}.copy'`);
    expect(result.output).toContain('HINT:');
    expect(photograph(bed.folder)).toEqual(before);
  });

  it('of another backup is refused', async () => {
    await make({
      forge: manifest => {
        manifest.header = { ...manifest.header, label: '20200101-000000F' as typeof bedLabel };
      },
    });
    const result = await bed.restore();
    expect(result.code).toBe(29);
    expect(result.output).toContain(
      `requested backup '${bedLabel}' and manifest label '20200101-000000F' do not match`,
    );
  });

  it.each<[string, string, string]>([
    ['a size below zero', '"size":3,', '"size":-3,'],
    ['a size beyond all numbers', '"size":3,', '"size":99999999999999999999,'],
    ['a size that is text', '"size":3,', '"size":"3",'],
    ['a checksum that is none', '"checksum":"', '"checksum":"x'],
    ['a page error that is none', '"size":3,', '"checksum-page-error":[-1],"size":3,'],
    ['a mode that is none', 'mode="0700"', 'mode="9999"'],
    ['a codec that is none', 'option-compress-type="none"', 'option-compress-type="rar"'],
    ['no codec', 'option-compress-type="none"\n', ''],
    ['no data directory', 'pg_data={"path"', 'pg_tblspc/1={"path"'],
    ['a label that is none', `backup-label="${bedLabel}"`, 'backup-label="../../x"'],
    ['a type that is none', 'backup-type="full"', 'backup-type="half"'],
  ])('with %s and a right checksum is refused', async (what, from, to) => {
    await make();
    const text = readFileSync(bed.inRepo(manifestFile), 'utf8');
    expect(text).toContain(from);
    for (const copy of ['', '.copy'])
      writeFileSync(bed.inRepo(manifestFile + copy), withChecksum(text.replace(from, to)));
    const before = photograph(bed.target);
    const result = await bed.restore();
    // manifests of old had no codec's name
    expect(result.code).toBe(what === 'no codec' ? 0 : 29);
    if (what !== 'no codec') expect(photograph(bed.target)).toEqual(before);
  });
});

describe('a passphrase', () => {
  it('that is wrong is named as the reason, and nothing is changed', async () => {
    await make({ cipherPass: 'the right one' });
    bed.writeConfig('a wrong one');
    const before = photograph(bed.folder);
    for (const command of ['restore', 'stanza-create']) {
      const result = await bed.run(command === 'restore' ? ['restore'] : ['stanza-create', '--no-online']);
      expect(result.output).not.toContain('a wrong one');
      if (command === 'restore') {
        expect(result.code).toBe(75);
        expect(result.output).toContain('repo1: [CryptoError]');
        expect(result.output).toContain('HINT: is or was the repo encrypted');
      }
      expect(result.code).not.toBe(0);
      expect(photograph(bed.folder)).toEqual(before);
    }
    const info = await bed.run(['info', '--output=json']);
    expect(info.stdout).not.toContain(bedLabel);
  });

  it('that is missing, or too much, is said', async () => {
    await make({ cipherPass: 'the right one' });
    bed.writeConfig('');
    const config = join(bed.folder, 'pgbackrest.conf');
    writeFileSync(config, readFileSync(config, 'utf8').replace(/^repo1-cipher.*\n/gm, ''));
    const missing = await bed.restore();
    expect(missing.code).toBe(75);
    expect(missing.output).toContain('HINT: is or was the repo encrypted');
    bed.dispose();
    await make();
    bed.writeConfig('too much');
    const tooMuch = await bed.restore();
    expect(tooMuch.code).toBe(75);
    expect(tooMuch.output).toContain('repo1: [CryptoError]');
    expect(tooMuch.output).toContain('HINT: is or was the repo encrypted');
    expect(photograph(bed.target)).toEqual([]);
  });
});

describe('the target', () => {
  it('of a running cluster is left alone, also with delta and force', async () => {
    await make();
    for (const name of ['PG_VERSION', 'postmaster.pid', 'mine']) writeFileSync(join(bed.target, name), '15\n');
    bed.own();
    const before = photograph(bed.target);
    for (const option of [[], ['--delta'], ['--force'], ['--delta', '--force']]) {
      const result = await bed.restore(...option);
      expect(result.code).toBe(38);
      expect(result.output).toContain('unable to restore while PostgreSQL is running');
      expect(result.output).toContain(`HINT: presence of 'postmaster.pid' in '${bed.target}'`);
      expect(photograph(bed.target)).toEqual(before);
    }
  });

  it('with files in it is left alone; with delta too when it looks like no cluster', async () => {
    await make();
    writeFileSync(join(bed.target, 'thesis.txt'), 'years of work');
    bed.own();
    const before = photograph(bed.target);
    for (const option of [[], ['--delta'], ['--force']]) {
      const result = await bed.restore(...option);
      expect(result.code).toBe(40);
      expect(result.output).toContain(`unable to restore to path '${bed.target}' because it contains files`);
      expect(result.output).toContain('HINT: try using --delta');
      expect(photograph(bed.target)).toEqual(before);
    }
  });

  it('that is not ours is left alone', async () => {
    await make();
    if (!bed.user.foreign) return;
    const { chownSync } = await import('node:fs');
    chownSync(bed.target, 0, 0);
    const result = await bed.restore();
    expect(result.code).toBe(53);
    expect(result.output).toContain(bed.target);
  });

  it('that is a file is left alone', async () => {
    await make();
    rmSync(bed.target, { recursive: true });
    copyFileSync(join(bed.folder, 'pgbackrest.conf'), bed.target);
    bed.own();
    const before = photograph(bed.folder);
    const result = await bed.restore();
    expect(result.code).toBe(53);
    expect(result.output).toContain(`'${bed.target}' because it is not a directory`);
    expect(photograph(bed.folder)).toEqual(before);
  });

  it('is kept when the backup asked for is not there', async () => {
    await make();
    const result = await bed.restore('--set=20200101-000000F');
    expect(result.code).toBe(75);
    expect(result.output).toContain('backup set 20200101-000000F is not valid');
    expect(result.output).toContain('HINT:');
    expect(photograph(bed.target)).toEqual([]);
  });
});
