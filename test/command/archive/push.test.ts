/** archive-push through the executable. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { ArchiveBed, type ArchiveBedOptions, sha1, systemId } from './archive-bed.ts';

const segment = '000000010000000000000004';
const folder = segment.slice(0, 16);
const beds: ArchiveBed[] = [];

async function makeBed(options: ArchiveBedOptions = {}): Promise<ArchiveBed> {
  const bed = await ArchiveBed.create(options);
  beds.push(bed);
  return bed;
}

afterEach(() => {
  for (const bed of beds.splice(0)) bed.dispose();
});

describe('a segment', () => {
  test('is stored under its checksum, compressed, and the log says so', async () => {
    const bed = await makeBed();
    const content = bed.segment(segment);
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toMatch(/INFO: archive-push command begin [^:]+: \[pg_wal\/000000010000000000000004\] --config/);
    expect(output).toContain(`INFO: pushed WAL file '${segment}' to the archive\n`);
    expect(output).toMatch(/archive-push command end: completed successfully/);
    expect(code).toBe(0);
    const stored = `${folder}/${segment}-${sha1(content)}.gz`;
    expect(bed.archived()).toEqual([stored]);
    expect(sha1(gunzipSync(readFileSync(bed.archivedPath(stored))))).toBe(sha1(content));
    expect(statSync(bed.archivedPath(stored)).mode & 0o777).toBe(0o640);
    expect(statSync(bed.archivedPath(folder)).mode & 0o777).toBe(0o750);
  });

  test.each([
    ['none', ''],
    ['gz', '.gz'],
    ['lz4', '.lz4'],
    ['zst', '.zst'],
    ['bz2', '.bz2'],
  ])('with compress-type=%s comes back whole', async (type, extension) => {
    const bed = await makeBed({ cipherPass: 'sekret' });
    const content = bed.segment(segment);
    expect(await bed.push(`pg_wal/${segment}`, [`--compress-type=${type}`])).toMatchObject({ code: 0 });
    expect(bed.archived()).toEqual([`${folder}/${segment}-${sha1(content)}${extension}`]);
    const stored = readFileSync(bed.archivedPath(bed.archived()[0] ?? ''));
    expect(stored.subarray(0, 8).toString('latin1')).toBe('Salted__');
    expect(await bed.get(segment, 'pg_wal/RECOVERYXLOG')).toMatchObject({ code: 0 });
    expect(sha1(readFileSync(join(bed.dataDirectory, 'pg_wal/RECOVERYXLOG')))).toBe(sha1(content));
  });

  test('that is there already is a warning when the content is the same', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    await bed.push(`pg_wal/${segment}`);
    const before = bed.archived();
    const again = await bed.push(`pg_wal/${segment}`, ['--compress-type=zst']);
    expect(again.output).toContain(
      `WARN: WAL file '${segment}' already exists in the repo1 archive with the same checksum\n`,
    );
    expect(again.output).toContain('HINT: this is valid in some recovery scenarios but may also indicate a problem.');
    expect(again.code).toBe(0);
    expect(bed.archived()).toEqual(before);
    const quiet = await bed.push(`pg_wal/${segment}`, ['--no-archive-mode-check']);
    expect(quiet.output).not.toContain('WARN');
    expect(quiet.code).toBe(0);
  });

  test('that is there with another content is refused', async () => {
    const bed = await makeBed({ repos: 2 });
    bed.segment(segment, 'first');
    await bed.push(`pg_wal/${segment}`);
    const before = bed.archived();
    rmSync(join(bed.repoPath(2), 'archive/demo/15-1'), { recursive: true });
    bed.segment(segment, 'second');
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain(
      `ERROR: [045]: WAL file '${segment}' already exists in the repo1 archive with a different checksum`,
    );
    expect(code).toBe(45);
    expect(bed.archived()).toEqual(before);
    expect(bed.archived(2)).toEqual([]);
  });

  test('that is there twice with different content is an error of that repository', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    bed.write(`repo1/archive/demo/15-1/${folder}/${segment}-${'a'.repeat(40)}.gz`, 'x');
    bed.write(`repo1/archive/demo/15-1/${folder}/${segment}-${'b'.repeat(40)}`, 'x');
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain('ERROR: [104]: archive-push command encountered error(s):');
    expect(output).toContain(
      `repo1: [ArchiveDuplicateError] duplicates found in archive for WAL segment ${segment}: ${segment}-${'a'.repeat(40)}.gz, ${segment}-${'b'.repeat(40)}`,
    );
    expect(code).toBe(104);
  });
});

describe('a segment of another cluster', () => {
  test.each([
    ['system id', { systemId: systemId + 1n }, `version 15, system-id ${systemId + 1n}`],
    ['version', { magic: 0xd113 }, `version 16, system-id ${systemId}`],
  ])('is refused by its %s', async (_what, fields, text) => {
    const bed = await makeBed();
    bed.segment(segment, 1, fields);
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain(
      `ERROR: [044]: WAL file '${bed.dataDirectory}/pg_wal/${segment}' ${text} do not match stanza version 15, system-id ${systemId}`,
    );
    expect(code).toBe(44);
    expect(bed.archived()).toEqual([]);
    // the check can be switched off, as for a fork with headers of its own
    expect((await bed.push(`pg_wal/${segment}`, ['--no-archive-header-check'])).code).toBe(0);
  });

  test.each([
    ['an unknown magic', { magic: 0x1234 }, 1024 * 1024, 46, 'unexpected WAL magic'],
    ['a short header', { info: 0 }, 1024 * 1024, 29, 'long format'],
    ['20 bytes', {}, 20, 29, 'too short'],
    ['no byte', {}, 0, 29, 'too short'],
    ['half of its size', {}, 512 * 1024, 29, 'has 524288 byte(s) but its header says that segments have 1048576'],
  ])('or with %s is refused', async (_what, fields, size, expected, text) => {
    const bed = await makeBed();
    const whole = bed.segment(segment, 1, fields);
    bed.write(`data/pg_wal/${segment}`, whole.subarray(0, size));
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain(text);
    expect(code).toBe(expected);
    expect(bed.archived()).toEqual([]);
  });

  test('is refused when pg_control and the stanza differ', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    bed.writeControl({ systemId: 5n });
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain('ERROR: [103]: unable to find a valid repository:');
    expect(output).toContain(
      `repo1: [ArchiveMismatchError] PostgreSQL version 15, system-id 5 do not match repo1 stanza version 15, system-id ${systemId}`,
    );
    expect(output).toContain('HINT: are you archiving to the correct stanza?');
    expect(code).toBe(103);
    expect(bed.archived()).toEqual([]);
  });
});

test('other files keep their names and are stored plain', async () => {
  const bed = await makeBed();
  const partial = bed.segment(`${segment}.partial`);
  bed.write('data/pg_wal/00000002.history', '1\t0/4000000\tno recovery target specified\n');
  bed.write(`data/pg_wal/${segment}.00000028.backup`, 'START WAL LOCATION: 0/4000028\n');
  for (const name of ['00000002.history', `${segment}.00000028.backup`, `${segment}.partial`]) {
    expect(await bed.push(`pg_wal/${name}`)).toMatchObject({ code: 0 });
  }
  const archived = [
    '00000002.history',
    `${folder}/${segment}.00000028.backup`,
    `${folder}/${segment}.partial-${sha1(partial)}.gz`,
  ];
  expect(bed.archived().sort()).toEqual(archived.sort());
  expect(readFileSync(bed.archivedPath('00000002.history'), 'utf8')).toContain('no recovery target');
  // a new history file of the same timeline replaces the old one
  bed.write('data/pg_wal/00000002.history', 'changed\n');
  expect(await bed.push('pg_wal/00000002.history')).toMatchObject({ code: 0 });
  expect(readFileSync(bed.archivedPath('00000002.history'), 'utf8')).toBe('changed\n');
  // the complete segment is another file than the partial one
  bed.segment(segment, 'whole');
  expect(await bed.push(`pg_wal/${segment}`)).toMatchObject({ code: 0 });
  expect(bed.archived()).toHaveLength(4);
  for (const name of archived.map(path => path.replace(/^.*\//, '').replace(/-.*$/, ''))) {
    expect(await bed.get(name, 'pg_wal/RECOVERYHISTORY')).toMatchObject({ code: 0 });
    expect(sha1(readFileSync(join(bed.dataDirectory, 'pg_wal/RECOVERYHISTORY')))).toBe(
      sha1(readFileSync(join(bed.dataDirectory, 'pg_wal', name))),
    );
  }
});

describe('parameters', () => {
  test.each([
    ['none', [], 43, 'WAL segment to push required'],
    ['two', ['a', 'b'], 43, 'WAL segment to push required'],
    ['a missing file', [`pg_wal/${segment}`], 55, 'unable to open missing file'],
  ])('%s', async (_what, parameters, expected, text) => {
    const bed = await makeBed();
    const { code, output } = await bed.ours('archive-push', ...parameters);
    expect(output).toContain(text);
    expect(code).toBe(expected);
  });

  test('a relative path must be below pg1-path', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    const elsewhere = await bed.push(`pg_wal/${segment}`, [], { cwd: '/' });
    expect(elsewhere.output).toContain(
      `PostgreSQL working directory '/' is not the same as option pg1-path '${bed.dataDirectory}'`,
    );
    expect(elsewhere.code).toBe(32);
    bed.write('pgbackrest.conf', `[global]\nlock-path=${bed.folder}/lock\nrepo1-path=${bed.repoPath()}\n`);
    const unknown = await bed.push(`pg_wal/${segment}`);
    expect(unknown.output).toContain("option 'pg1-path' must be specified when relative wal paths are used");
    expect(unknown.code).toBe(37);
    // without pg1-path the header and the stanza are compared all the same
    expect((await bed.push(join(bed.dataDirectory, 'pg_wal', segment))).code).toBe(0);
    expect(bed.archived()).toHaveLength(1);
  });

  test('nothing is pushed while a stop file is there', async () => {
    const bed = await makeBed();
    bed.segment(segment);
    for (const [file, text] of [
      ['demo.stop', 'stop file exists for stanza demo'],
      ['all.stop', 'stop file exists for all stanzas'],
    ] as const) {
      const path = bed.write(`lock/${file}`, '');
      const { code, output } = await bed.push(`pg_wal/${segment}`);
      expect(output).toContain(`ERROR: [062]: ${text}`);
      expect(code).toBe(62);
      rmSync(path);
    }
    expect(bed.archived()).toEqual([]);
  });
});

test('archive-push-queue-max drops WAL with a warning', async () => {
  const bed = await makeBed();
  bed.segment(segment);
  for (const number of [4, 5, 6]) bed.write(`data/pg_wal/archive_status/00000001000000000000000${number}.ready`, '');
  const dropped = await bed.push(`pg_wal/${segment}`, ['--archive-push-queue-max=2MiB']);
  expect(dropped.output).toContain(`WARN: dropped WAL file '${segment}' because archive queue exceeded 2MB`);
  expect(dropped.code).toBe(0);
  expect(bed.archived()).toEqual([]);
  const pushed = await bed.push(`pg_wal/${segment}`, ['--archive-push-queue-max=3MiB']);
  expect(pushed.code).toBe(0);
  expect(bed.archived()).toHaveLength(1);
});

test('archive-push-queue-max measures by a segment, also when a history file waits before it', async () => {
  const bed = await makeBed();
  bed.segment(segment);
  bed.write('data/pg_wal/00000000.history', '1\t0/3000000\tno reason\n');
  for (const name of ['00000000.history', segment]) bed.write(`data/pg_wal/archive_status/${name}.ready`, '');
  const dropped = await bed.push(`pg_wal/${segment}`, ['--archive-push-queue-max=1MiB']);
  expect(dropped.output).toContain(`WARN: dropped WAL file '${segment}' because archive queue exceeded 1MB`);
});

describe('several repositories', () => {
  test('get the segment, and one that fails does not keep the others from it', async () => {
    const bed = await makeBed({ repos: 3 });
    const content = bed.segment(segment);
    const stored = `${folder}/${segment}-${sha1(content)}.gz`;
    // a file where the directory of the segment should be
    bed.write(`repo2/archive/demo/15-1/${folder}`, 'in the way');
    bed.own();
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain('ERROR: [104]: archive-push command encountered error(s):');
    expect(output).toMatch(/repo2: \[\w+Error\] /);
    expect(output).not.toMatch(/repo[13]: \[/);
    expect(code).toBe(104);
    expect([bed.archived(1), bed.archived(3)]).toEqual([[stored], [stored]]);
    rmSync(bed.archivedPath(folder, 2));
    const again = await bed.push(`pg_wal/${segment}`);
    expect(again.code).toBe(0);
    expect(again.output.match(/WARN: /g)).toHaveLength(2);
    expect(bed.archived(2)).toEqual([stored]);
  });

  test('an archive.info that is lost or of another cluster counts against its repository only', async () => {
    const bed = await makeBed({ repos: 3 });
    bed.segment(segment);
    rmSync(join(bed.repoPath(1), 'archive'), { recursive: true });
    await bed.repo(2).saveArchiveInfo({ currentId: 2, history: [{ id: 2, version: '14', systemId }] }, '2.59.1');
    bed.own();
    const { code, output } = await bed.push(`pg_wal/${segment}`);
    expect(output).toContain('repo1: [FileMissingError] unable to load info file');
    expect(output).toContain('HINT: has a stanza-create been performed?');
    expect(output).toContain('repo2: [ArchiveMismatchError] PostgreSQL version 15');
    expect(code).toBe(104);
    expect([bed.archived(1), bed.archived(2), bed.archived(3).length]).toEqual([[], [], 1]);
  });

  test('must agree with each other when there is no pg1-path', async () => {
    const bed = await makeBed({ repos: 2 });
    bed.segment(segment);
    await bed.repo(2).saveArchiveInfo({ currentId: 1, history: [{ id: 1, version: '15', systemId: 7n }] }, '2.59.1');
    bed.own();
    const options = [
      `--repo1-path=${bed.repoPath(1)}`,
      `--repo2-path=${bed.repoPath(2)}`,
      `--lock-path=${bed.folder}/lock`,
    ];
    bed.write('pgbackrest.conf', '');
    const { code, output } = await bed.push(join(bed.dataDirectory, 'pg_wal', segment), options);
    expect(output).toContain(
      `repo2: [ArchiveMismatchError] repo1 stanza version 15, system-id ${systemId} do not match repo2 stanza version 15, system-id 7`,
    );
    expect(code).toBe(104);
  });
});

test('a wrong passphrase is a crypto error with a hint, and the passphrase is not shown', async () => {
  const bed = await makeBed({ cipherPass: 'the right one' });
  bed.segment(segment);
  bed.writeConfig([1], 'the wrong one');
  const { code, output } = await bed.push(`pg_wal/${segment}`);
  expect(output).toContain('ERROR: [103]: unable to find a valid repository:');
  // one key in 256 gives padding that looks right, and then it is the content that makes no sense
  expect(output).toMatch(/repo1: \[(Crypto|Format)Error\] unable to load info file/);
  expect(output).toContain('HINT: is or was the repo encrypted, and is the passphrase the right one?');
  expect(output).not.toMatch(/the (right|wrong) one(?!\?)/);
  expect(code).toBe(103);
});

/** Mounts a file system of this size, which only root can. */
function mountSmall(path: string, size: string, uid: number): string | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},uid=${uid},mode=750`, 'pgbackstop-test', path], {
      stdio: 'pipe',
    });
    return undefined;
  } catch (error) {
    return `cannot mount a small file system: ${error instanceof Error ? error.message : String(error)}`;
  }
}

test('a full disk is an error that leaves nothing, and a retry succeeds once there is room', async context => {
  const bed = await makeBed({ repos: 2 });
  const place = join(bed.repoPath(1), 'archive/demo/15-1');
  mkdirSync(place);
  const refused = mountSmall(place, '512k', bed.user.uid);
  context.skip(refused !== undefined, refused);
  try {
    const content = bed.segment(segment);
    const full = await bed.push(`pg_wal/${segment}`, ['--compress-type=none']);
    expect(full.output).toMatch(/repo1: \[FileWriteError\] unable to write .*No space left on device/i);
    expect(full.output).toContain('HINT: is the file system full?');
    expect(full.code).toBe(104);
    expect(bed.archived(1)).toEqual([]);
    expect(bed.archived(2)).toHaveLength(1);
    execFileSync('mount', ['-o', 'remount,size=8m', place]);
    expect(await bed.push(`pg_wal/${segment}`, ['--compress-type=none'])).toMatchObject({ code: 0 });
    expect(bed.archived(1)).toEqual([`${folder}/${segment}-${sha1(content)}`]);
    expect(sha1(readFileSync(bed.archivedPath(bed.archived(1)[0] ?? '')))).toBe(sha1(content));
  } finally {
    execFileSync('umount', [place]);
  }
});

/** Waits until the folder holds a file with this ending. */
async function waitForFile(path: string, ending: string): Promise<string> {
  for (let attempt = 0; attempt < 2000; attempt++) {
    const found = existsSync(path) ? readdirSync(path).find(name => name.endsWith(ending)) : undefined;
    if (found !== undefined) return found;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  throw new Error(`no file *${ending} came up in ${path}`);
}

test('a push that is killed leaves no segment; the next one succeeds; what was left goes when it is old', async () => {
  const bed = await makeBed();
  const size = 64 * 1024 * 1024;
  const content = bed.segment(segment, 1, { segmentSize: size }, size);
  const options = ['--compress-type=gz', '--compress-level=9'];
  let pid = 0;
  const pushing = bed.push(`pg_wal/${segment}`, options, {
    onStart: started => {
      pid = started;
    },
  });
  const leftover = await waitForFile(bed.archivedPath(folder), '.pgbackrest.tmp');
  process.kill(pid, 'SIGKILL');
  expect(await pushing).toMatchObject({ signal: 'SIGKILL' });
  expect(bed.archived()).toEqual([`${folder}/${leftover}`]);
  expect((await bed.get(segment, 'pg_wal/RECOVERYXLOG')).code).toBe(1);

  expect((await bed.push(`pg_wal/${segment}`, ['--compress-type=lz4'])).code).toBe(0);
  const stored = `${folder}/${segment}-${sha1(content)}.lz4`;
  // young, it may be of a push that still runs
  expect(bed.archived()).toEqual([stored, `${folder}/${leftover}`].sort());
  const old = Date.now() / 1000 - 2 * 60 * 60;
  utimesSync(bed.archivedPath(`${folder}/${leftover}`), old, old);
  bed.segment('000000010000000000000005');
  expect((await bed.push('pg_wal/000000010000000000000005')).code).toBe(0);
  expect(bed.archived()).toHaveLength(2);
  expect(bed.archived()[0]).toBe(stored);
});

test('what a killed push has left of a timeline history file goes when it is old', async () => {
  const bed = await makeBed();
  const history = '00000002.history';
  bed.write(`data/pg_wal/${history}`, '1\t0/3000000\tno reason\n');
  const leftover = `repo1/archive/demo/15-1/${history}.0a1b2c3d.pgbackrest.tmp`;
  bed.write(leftover, '1\t0/3');
  bed.own();
  expect((await bed.push(`pg_wal/${history}`)).code).toBe(0);
  expect(bed.archived()).toHaveLength(2);
  const old = Date.now() / 1000 - 2 * 60 * 60;
  utimesSync(join(bed.folder, leftover), old, old);
  expect((await bed.push(`pg_wal/${history}`)).code).toBe(0);
  expect(bed.archived()).toEqual([history]);
});

test('two pushes of one segment at a time leave one whole file', async () => {
  const bed = await makeBed({ cipherPass: 'sekret' });
  const content = bed.segment(segment);
  const results = await Promise.all([bed.push(`pg_wal/${segment}`), bed.push(`pg_wal/${segment}`)]);
  expect(results.map(({ code }) => code)).toEqual([0, 0]);
  expect(bed.archived()).toEqual([`${folder}/${segment}-${sha1(content)}.gz`]);
  expect((await bed.get(segment, 'pg_wal/RECOVERYXLOG')).code).toBe(0);
  expect(sha1(readFileSync(join(bed.dataDirectory, 'pg_wal/RECOVERYXLOG')))).toBe(sha1(content));
});

test('a damaged archive.info is made up for by its copy', async () => {
  const bed = await makeBed();
  bed.segment(segment);
  writeFileSync(join(bed.repoPath(), 'archive/demo/archive.info'), 'no info');
  expect((await bed.push(`pg_wal/${segment}`)).code).toBe(0);
});
