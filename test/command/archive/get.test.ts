/** archive-get through the executable. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { ArchiveBed, type ArchiveBedOptions, sha1, systemId } from './archive-bed.ts';

const segment = '000000010000000000000004';
const folder = segment.slice(0, 16);
const destination = 'pg_wal/RECOVERYXLOG';
const beds: ArchiveBed[] = [];

async function makeBed(options: ArchiveBedOptions = {}): Promise<ArchiveBed> {
  const bed = await ArchiveBed.create(options);
  beds.push(bed);
  return bed;
}

afterEach(() => {
  for (const bed of beds.splice(0)) bed.dispose();
});

const got = (bed: ArchiveBed): string => join(bed.dataDirectory, destination);

test('finds what was pushed, or says that it is not there', async () => {
  const bed = await makeBed();
  const content = bed.segment(segment);
  const missing = await bed.get(segment, destination);
  expect(missing.output).toContain(`INFO: unable to find ${segment} in the archive\n`);
  expect(missing.output).toMatch(/archive-get command end: completed successfully/);
  expect(missing.code).toBe(1);
  expect(existsSync(got(bed))).toBe(false);
  expect((await bed.get('00000002.history', destination)).code).toBe(1);

  await bed.push(`pg_wal/${segment}`);
  const found = await bed.get(segment, destination);
  expect(found.output).toContain(`INFO: found ${segment} in the repo1: 15-1 archive\n`);
  expect(found.output).toMatch(/archive-get command end: completed successfully/);
  expect(found.code).toBe(0);
  expect(sha1(readFileSync(got(bed)))).toBe(sha1(content));
  expect(statSync(got(bed)).mode & 0o777).toBe(0o640);
  // an absolute destination, and a file that is there already
  expect((await bed.get(segment, got(bed), [], { cwd: '/' })).code).toBe(0);
});

describe('parameters', () => {
  test.each([
    [[], 43, 'WAL segment to get required'],
    [[segment], 43, 'path to copy WAL segment required'],
    [[segment, 'a', 'b'], 96, 'extra parameters found'],
    [[segment, 'nowhere/RECOVERYXLOG'], 55, 'for write in missing path'],
  ])('%j', async (parameters, expected, text) => {
    const bed = await makeBed();
    bed.segment(segment);
    await bed.push(`pg_wal/${segment}`);
    const { code, output } = await bed.ours('archive-get', ...parameters);
    expect(output).toContain(text);
    expect(code).toBe(expected);
    expect(existsSync(join(bed.dataDirectory, 'nowhere'))).toBe(false);
  });
});

describe('a damaged file', () => {
  /** Bytes of a stored file, changed. */
  const damages = {
    'cut short': (stored: Buffer) => stored.subarray(0, Math.floor(stored.length * 0.6)),
    'with one bit flipped': (stored: Buffer) => {
      const changed = Buffer.from(stored);
      const at = Math.floor(changed.length / 2);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      return changed;
    },
    empty: () => Buffer.alloc(0),
  };
  const cases = Object.keys(damages).flatMap(what =>
    (['none', 'gz', 'lz4', 'zst', 'bz2'] as const).flatMap(type => [
      { what: what as keyof typeof damages, type, cipherPass: undefined },
      { what: what as keyof typeof damages, type, cipherPass: 'sekret' },
    ]),
  );

  test.each(cases)(
    '$what, compressed with $type, passphrase $cipherPass: fails, destination untouched',
    async ({ what, type, cipherPass }) => {
      const bed = await makeBed(cipherPass === undefined ? {} : { cipherPass });
      bed.segment(segment);
      await bed.push(`pg_wal/${segment}`, [`--compress-type=${type}`]);
      const [stored = ''] = bed.archived();
      const path = bed.archivedPath(stored);
      writeFileSync(path, damages[what](readFileSync(path)));
      writeFileSync(got(bed), 'untouched');
      const { code, output } = await bed.get(segment, destination);
      expect(output).toContain(`unable to get ${segment}:\n`);
      expect(output).toContain(`repo1: 15-1/${stored} [`);
      // checksum, format, crypto
      expect([26, 29, 95]).toContain(code);
      if (cipherPass === undefined && type === 'none') expect(code).toBe(26);
      expect(readFileSync(got(bed), 'utf8')).toBe('untouched');
      expect(readdirSync(join(bed.dataDirectory, 'pg_wal')).filter(name => name.endsWith('.tmp'))).toEqual([]);
    },
  );

  test('names the file and both checksums when only the name tells', async () => {
    const bed = await makeBed();
    const content = bed.segment(segment);
    const wrong = 'c'.repeat(40);
    bed.write(`repo1/archive/demo/15-1/${folder}/${segment}-${wrong}.gz`, gzipSync(content));
    const { code, output } = await bed.get(segment, destination);
    expect(output).toContain(`${folder}/${segment}-${wrong}.gz`);
    expect(output).toContain(sha1(content));
    expect(code).toBe(26);
    expect(existsSync(got(bed))).toBe(false);
  });

  test('does not matter while another repository has the segment', async () => {
    const bed = await makeBed({ repos: 2 });
    const content = bed.segment(segment);
    await bed.push(`pg_wal/${segment}`);
    const [stored = ''] = bed.archived();
    writeFileSync(bed.archivedPath(stored, 1), readFileSync(bed.archivedPath(stored, 1)).subarray(0, 1000));
    const { code, output } = await bed.get(segment, destination);
    expect(output).toMatch(new RegExp(`WARN: repo1: 15-1/${folder}/\\S+ \\[FormatError\\]`));
    expect(output).toContain(`INFO: found ${segment} in the repo2: 15-1 archive`);
    expect(code).toBe(0);
    expect(sha1(readFileSync(got(bed)))).toBe(sha1(content));
    // --repo asks one repository only
    expect((await bed.get(segment, destination, ['--repo=1'])).code).toBe(29);
    expect((await bed.get(segment, destination, ['--repo=2'])).code).toBe(0);
  });

  test('that would grow without end is stopped', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    // 1 GiB and a bit of zeros, one member; the cluster's segments have 1 MiB
    const bomb = gzipSync(Buffer.alloc(1024 * 1024 * 1024 + 4096), { level: 1 });
    bed.write(`repo1/archive/demo/15-1/${folder}/${segment}-${'c'.repeat(40)}.gz`, bomb);
    const { code, output } = await bed.get(segment, destination);
    expect(output).toContain('data is larger than the 1048576 bytes');
    expect(code).toBe(29);
    expect(readdirSync(join(bed.dataDirectory, 'pg_wal')).filter(name => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('different content under one name is refused, wherever it lies', async () => {
  const bed = await makeBed({ repos: 2 });
  const [a, b, c] = ['a', 'b', 'c'].map(letter => `${folder}/${segment}-${letter.repeat(40)}`) as [
    string,
    string,
    string,
  ];
  bed.write(`repo1/archive/demo/15-1/${b}`, 'x');
  bed.write(`repo1/archive/demo/15-1/${a}.gz`, 'x');
  bed.write(`repo2/archive/demo/15-1/${c}`, 'x');
  const { code, output } = await bed.get(segment, destination);
  expect(output).toContain(`ERROR: [045]: duplicates found for WAL segment ${segment}:\n`);
  expect(output).toContain(`repo1: 15-1/${a}.gz, 15-1/${b}\n`);
  expect(output).toContain(`repo2: 15-1/${c}\n`);
  expect(output).toContain('HINT: are multiple primaries archiving to this stanza?');
  expect(code).toBe(45);
});

test('the same content under two endings is one segment', async () => {
  const bed = await makeBed();
  const content = bed.segment(segment);
  await bed.push(`pg_wal/${segment}`, ['--compress-type=zst']);
  bed.write(`repo1/archive/demo/15-1/${folder}/${segment}-${sha1(content)}.gz`, gzipSync(content));
  expect((await bed.get(segment, destination)).code).toBe(0);
  expect((await bed.push(`pg_wal/${segment}`)).code).toBe(0);
});

test('older archives of the same cluster are searched, the newest first', async () => {
  const bed = await makeBed();
  const history = [
    { id: 1, version: '15', systemId },
    { id: 2, version: '14', systemId: 9n },
    { id: 3, version: '15', systemId },
  ];
  const content = bed.segment(segment);
  await bed.push(`pg_wal/${segment}`);
  await bed.repo().saveArchiveInfo({ currentId: 3, history }, '2.59.1');
  bed.own();
  const old = await bed.get(segment, destination);
  expect(old.output).toContain(`found ${segment} in the repo1: 15-1 archive`);
  await bed.push(`pg_wal/${segment}`, ['--compress-type=none']);
  expect(existsSync(join(bed.repoPath(), `archive/demo/15-3/${folder}/${segment}-${sha1(content)}`))).toBe(true);
  const newer = await bed.get(segment, destination);
  expect(newer.output).toContain(`found ${segment} in the repo1: 15-3 archive`);
  expect(sha1(readFileSync(got(bed)))).toBe(sha1(content));
});

describe('repositories that cannot be used', () => {
  test('are warned of; none left is an error', async () => {
    const bed = await makeBed({ repos: 2 });
    bed.segment(segment);
    await bed.push(`pg_wal/${segment}`);
    rmSync(join(bed.repoPath(1), 'archive'), { recursive: true });
    const one = await bed.get(segment, destination);
    expect(one.output).toContain('WARN: repo1: [FileMissingError] unable to load info file');
    expect(one.code).toBe(0);
    await bed.repo(2).saveArchiveInfo({ currentId: 1, history: [{ id: 1, version: '15', systemId: 7n }] }, '2.59.1');
    bed.own();
    const none = await bed.get(segment, destination);
    expect(none.output).toContain(
      `WARN: repo2: [ArchiveMismatchError] unable to retrieve the archive id for database version '15' and system-id '${systemId}'`,
    );
    expect(none.output).toContain('ERROR: [103]: unable to find a valid repository');
    expect(none.code).toBe(103);
  });

  test('because of a wrong passphrase say so', async () => {
    const bed = await makeBed({ cipherPass: 'the right one' });
    bed.segment(segment);
    await bed.push(`pg_wal/${segment}`);
    bed.writeConfig([1], 'the wrong one');
    const { code, output } = await bed.get(segment, destination);
    expect(output).toMatch(/WARN: repo1: \[(Crypto|Format)Error\] unable to load info file/);
    expect(output).toContain('HINT: is or was the repo encrypted, and is the passphrase the right one?');
    expect(code).toBe(103);
    expect(existsSync(got(bed))).toBe(false);
  });

  test('because the key of the archive was changed say so', async () => {
    const bed = await makeBed({ cipherPass: 'sekret' });
    bed.segment(segment);
    await bed.push(`pg_wal/${segment}`, ['--compress-type=none']);
    const history = [{ id: 1, version: '15', systemId }];
    await bed.repo(1, 'sekret').saveArchiveInfo({ currentId: 1, history, cipherPass: 'another' }, '2.59.1');
    bed.own();
    const { code, output } = await bed.get(segment, destination);
    // one key in 256 gives padding that looks right, and then the checksum tells
    expect(output).toMatch(
      /\[CryptoError\] unable to flush\n *HINT: is this the passphrase \(cipher-pass\)|\[ChecksumError\]/,
    );
    expect([26, 95]).toContain(code);
    expect(existsSync(got(bed))).toBe(false);
  });
});

test('a restored cluster must have its backup_label', async () => {
  const bed = await makeBed();
  bed.segment(segment);
  await bed.push(`pg_wal/${segment}`);
  bed.writeControl({ checkpoint: 0xdeadn });
  const without = await bed.get(segment, destination);
  expect(without.output).toContain('ERROR: [029]: pg_control from backup is not valid without backup_label');
  expect(without.output).toContain('HINT: was the backup_label file removed?');
  expect(without.code).toBe(29);
  bed.write('data/backup_label', 'START WAL LOCATION: 0/4000028\n');
  expect((await bed.get(segment, destination)).code).toBe(0);
});

test('a get that is killed leaves no file that PostgreSQL would take; the next one succeeds', async () => {
  const bed = await makeBed();
  const size = 16 * 1024 * 1024;
  bed.writeControl({ walSegmentSize: size });
  const content = bed.segment(segment, 1, { segmentSize: size }, size);
  await bed.push(`pg_wal/${segment}`, ['--compress-type=bz2']);
  let pid = 0;
  const getting = bed.get(segment, destination, [], {
    onStart: started => {
      pid = started;
    },
  });
  for (let attempt = 0; attempt < 2000 && !existsSync(`${got(bed)}.pgbackrest.tmp`); attempt++) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  process.kill(pid, 'SIGKILL');
  expect(await getting).toMatchObject({ signal: 'SIGKILL' });
  expect(existsSync(`${got(bed)}.pgbackrest.tmp`)).toBe(true);
  expect(existsSync(got(bed))).toBe(false);
  expect((await bed.get(segment, destination)).code).toBe(0);
  expect(sha1(readFileSync(got(bed)))).toBe(sha1(content));
  expect(existsSync(`${got(bed)}.pgbackrest.tmp`)).toBe(false);
});

test('names that lead out of the archive find nothing', async () => {
  const bed = await makeBed();
  bed.segment(segment);
  await bed.push(`pg_wal/${segment}`);
  mkdirSync(join(bed.folder, 'repo1/archive/demo/15-1/00000009.history'));
  bed.own();
  for (const name of ['../../archive.info', '..', '00000009.history', '/etc/passwd']) {
    expect([name, (await bed.get(name, destination)).code]).toEqual([name, 1]);
  }
  expect(existsSync(got(bed))).toBe(false);
});
