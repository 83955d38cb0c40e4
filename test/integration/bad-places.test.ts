/**
 * Places that a restore must not write to: what an option maps a tablespace or a link to is in use, in the data directory,
 * or no place at all. Nothing is changed, and the codes are those of the real tool, which is asked where it is there.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { photograph } from '../command/restore/backup-bed.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { GoldenRepo } from '../support/golden-repo.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import type { Tool } from '../support/stanza.ts';
import { giveTo, type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const judge = findRealPgbackrest();
let root: string;
let project: RunnableProject;
let repo: GoldenRepo;
let place: string;
let data: string;
let count = 0;

beforeAll(() => {
  root = makeTemporaryFolder(user, 'places-');
  project = runnableProject(user);
  repo = new GoldenRepo(join(root, 'golden'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
  project.remove();
});

const own = 'PG_15_202209061';

/** Each restore has a folder of its own: `data` to restore into, `full` with something in it, a `file`. */
function preparePlace(): void {
  place = join(root, `place-${++count}`);
  data = join(place, 'data');
  for (const name of ['', 'data', 'full', 'full/folder', 'older', 'older/PG_14_202107181', 'taken', `taken/${own}`]) {
    mkdirSync(join(place, name), { mode: 0o700 });
  }
  for (const name of ['file', 'full/mine', `taken/${own}/mine`, 'older/PG_14_202107181/mine']) {
    writeFileSync(join(place, name), 'years of work');
  }
  if (user.foreign) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, place]);
}
beforeEach(preparePlace);

/** @param options `@` stands for the folder of this restore */
const restore = (tool: Tool, options: readonly string[]): Promise<RunResult> =>
  repo.run(tool, [
    'restore',
    '--stanza=demo',
    '--type=none',
    '--log-level-console=warn',
    `--lock-path=${root}/lock`,
    `--spool-path=${root}/spool`,
    `--pg1-path=${data}`,
    ...options.map(option => option.replace('@', place)),
  ]);

const space = '--tablespace-map=ts1=@/space';
const inData = (name: string): RegExp => new RegExp(`link '${name}' destination '.*' is in PGDATA`);

describe('is refused before anything is changed', () => {
  it.each<[what: string, options: readonly string[], code: number, said: string | RegExp]>([
    [
      'a tablespace onto one that is in use',
      ['--tablespace-map=ts1=@/taken'],
      40,
      `/taken/${own}' because it contains files`,
    ],
    ['a tablespace onto a file', ['--tablespace-map=ts1=@/file'], 41, '[20] Not a directory'],
    ['a tablespace below a file', ['--tablespace-map=ts1=@/file/space'], 41, '[20] Not a directory'],
    ['a tablespace onto the data directory', ['--tablespace-map=ts1=@/data'], 70, inData('pg_tblspc/16384')],
    ['a tablespace in the data directory', ['--tablespace-map=ts1=@/data/pg_wal/x'], 70, inData('pg_tblspc/16384')],
    ['a tablespace onto a relative path', ['--tablespace-map=16384=space'], 70, inData('pg_tblspc/16384')],
    ['all tablespaces in the data directory', ['--tablespace-map-all=@/data/spaces'], 70, inData('pg_tblspc/16384')],
    ['a tablespace that there is not', ['--tablespace-map=ts2=@/space'], 76, "invalid tablespace 'ts2'"],
    ['a tablespace as a link', ['--link-map=pg_tblspc/16384=@/space'], 78, "'pg_tblspc/16384'"],
    [
      'a linked folder onto one with files',
      [space, '--link-map=pg_wal=@/full'],
      40,
      "/full' because it contains files",
    ],
    ['a linked folder onto a file', [space, '--link-map=pg_wal=@/file'], 53, /unable to restore to .*\/file'/],
    ['a linked folder in the data directory', [space, '--link-map=pg_wal=@/data/base'], 70, inData('pg_wal')],
    [
      'a linked folder in a tablespace',
      [space, '--link-map=pg_wal=@/space/wal'],
      70,
      "is a subdirectory of link 'pg_tblspc/16384'",
    ],
    [
      'a tablespace in a linked folder',
      ['--tablespace-map=ts1=@/wal/space', '--link-map=pg_wal=@/wal'],
      70,
      "is a subdirectory of link 'pg_wal'",
    ],
    [
      'two linked folders to one',
      [space, '--link-map=pg_wal=@/x', '--link-map=pg_xact=@/x'],
      70,
      'is the same directory as link',
    ],
    [
      'two linked files to one',
      [space, '--link-map=pg_hba.conf=@/x', '--link-map=postgresql.conf=@/x'],
      70,
      'is the same file as link',
    ],
    [
      'a linked file in a linked folder',
      [space, '--link-map=pg_wal=@/x', '--link-map=pg_hba.conf=@/x/f'],
      70,
      'is the same directory as link',
    ],
    ['a linked file in the data directory', [space, '--link-map=pg_hba.conf=@/data/x'], 70, inData('pg_hba.conf')],
    ['a linked file without a folder', [space, '--link-map=pg_hba.conf=x'], 78, 'is not long enough'],
    ['a link to what the backup does not have', [space, '--link-map=nothing=@/x'], 78, "link 'nothing'"],
  ])('%s', async (_, options, code, said) => {
    const before = photograph(place);
    const result = await restore(project.command, options);
    expect(result.stdout + result.stderr).toMatch(/^P00 +ERROR: \[0\d\d\]: /m);
    if (typeof said === 'string') expect(result.stdout).toContain(said);
    else expect(result.stdout).toMatch(said);
    expect(result.code).toBe(code);
    expect(photograph(place)).toEqual(before);
    if (judge === undefined) return;
    preparePlace();
    expect((await restore([judge.path], options)).code).toBe(code);
  });

  it.each<[what: string, option: string, code: number, said: RegExp]>([
    // the real tool finds out when it comes to write, 15 seconds later
    ['a linked file onto a folder', '--link-map=postgresql.conf=@/full', 93, /full' because it already exists/],
    // the real tool overwrites it
    ['a linked file onto a file', '--link-map=postgresql.conf=@/file', 93, /file' because it already exists/],
    // with delta all that is beside the data directory would go
    [
      'a linked folder around the data directory',
      '--link-map=pg_wal=@',
      70,
      /link 'pg_wal' destination '.*' holds PGDATA/,
    ],
  ])('%s', async (_, option, code, said) => {
    const before = photograph(place);
    const result = await restore(project.command, ['--tablespace-map=ts1=@-space', option]);
    expect(result.stdout).toMatch(said);
    expect(result.code).toBe(code);
    expect(photograph(place)).toEqual(before);
  });
});

it('with delta a folder in the place of a linked file is an error, and stays', async () => {
  // what lets delta remove files
  writeFileSync(join(data, 'PG_VERSION'), '15\n');
  giveTo(user, join(data, 'PG_VERSION'));
  const before = photograph(join(place, 'full'));
  const result = await restore(project.command, [space, '--delta', '--link-map=postgresql.conf=@/full']);
  expect(result.stdout).toMatch(/unable to open file '.*\/full' for write: \[21\]/);
  expect(result.code).toBe(41);
  expect(photograph(join(place, 'full'))).toEqual(before);
  expect(existsSync(join(data, 'global/pg_control'))).toBe(false);
});

describe("what others have in a tablespace's folder stays", () => {
  it.each([
    ['files', 'full', ['folder/', 'mine']],
    ['the directory of another version', 'older', ['PG_14_202107181/', 'PG_14_202107181/mine']],
  ])('%s', async (_, name, kept) => {
    const others = (): string[] =>
      photograph(join(place, name)).filter(line => kept.some(one => line.replace(/ .*/, '').endsWith(`/${one}`)));
    const before = others();
    expect(before).toHaveLength(kept.length);
    for (const delta of [[], ['--delta'], ['--delta']]) {
      const result = await restore(project.command, [`--tablespace-map=ts1=@/${name}`, ...delta]);
      expect(result.code, result.stdout).toBe(0);
      expect(others()).toEqual(before);
      expect(readlinkSync(join(data, 'pg_tblspc/16384'))).toBe(join(place, name));
    }
    const [database = ''] = readdirSync(join(place, name, own));
    const [relation = ''] = readdirSync(join(place, name, own, database));
    expect(lstatSync(join(place, name, own, database, relation)).isFile()).toBe(true);
    expect(readFileSync(join(data, 'PG_VERSION'), 'utf8')).toBe('15\n');
  });
});
