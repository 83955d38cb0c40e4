/**
 * Retention, as the built program is told it: values that would leave nothing, each option of expire with what it removes,
 * and what stays whatever is asked for.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  fullLabel,
  label,
  type SyntheticBackup,
  SyntheticRepo,
  segmentName,
} from '../command/expire/synthetic-repo.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import type { Tool } from '../support/stanza.ts';
import { type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const judge = findRealPgbackrest();
let project: RunnableProject;
let root: string;
let repo: SyntheticRepo;

beforeAll(() => {
  project = runnableProject(user);
});
afterAll(() => project.remove());
beforeEach(async () => {
  root = makeTemporaryFolder(user, 'retention-');
  repo = await SyntheticRepo.open(join(root, 'repo'));
});
afterEach(() => rmSync(root, { recursive: true }));

const F1 = label('20200101-000000F');
const D1 = label('20200101-000000F_20200102-000000D');
const F2 = label('20200201-000000F');
const D2 = label('20200201-000000F_20200202-000000D');
const D3 = label('20200201-000000F_20200203-000000D');
const wal = (at: number): readonly [string, string] => [segmentName(1, at), segmentName(1, at)];
const backups: readonly SyntheticBackup[] = [
  { label: F1, wal: wal(2) },
  { label: D1, wal: wal(4) },
  { label: F2, wal: wal(6) },
  { label: D2, wal: wal(8) },
  { label: D3, wal: wal(10) },
];

async function write(of: readonly SyntheticBackup[] = backups): Promise<void> {
  await repo.write(of);
  repo.segments('15-1', 1, 1, 12);
  if (user.foreign) execFileSync('chown', ['-hR', `${user.uid}:${user.gid}`, root]);
}

const expire = (tool: Tool, ...args: readonly string[]): Promise<RunResult> =>
  runAs(user, [
    ...tool,
    ...[
      'expire',
      '--no-config',
      '--stanza=demo',
      `--repo1-path=${repo.root}`,
      '--no-log-timestamp',
      '--log-level-file=off',
    ],
    ...[`--lock-path=${root}/lock`, '--log-level-console=info', ...args],
  ]);

/** Segments that are left, by their number. */
const left = (): number[] =>
  repo
    .wal('15-1')
    .map(name => Number.parseInt(name.slice(-8), 16))
    .sort((a, b) => a - b);
const from = (first: number): number[] => Array.from({ length: 13 - first }, (_, index) => first + index);

describe('what would leave nothing is refused, with the code of the real tool', () => {
  it.each<[args: readonly string[], code: number, said: string]>([
    [['--repo1-retention-full=0'], 32, "'0' is out of range for 'repo1-retention-full' option"],
    [['--repo1-retention-full=-1'], 32, "'-1' is out of range for 'repo1-retention-full' option"],
    [['--repo1-retention-full=10000000'], 32, "'10000000' is out of range for 'repo1-retention-full' option"],
    [['--repo1-retention-full=one'], 32, "'one' is not valid for 'repo1-retention-full' option"],
    [['--repo1-retention-full-type=never'], 32, "'never' is not allowed for 'repo1-retention-full-type' option"],
    [['--repo1-retention-diff=0'], 32, "'0' is out of range for 'repo1-retention-diff' option"],
    [['--repo1-retention-archive=0'], 32, "'0' is out of range for 'repo1-retention-archive' option"],
    [['--repo1-retention-archive-type=all'], 32, "'all' is not allowed for 'repo1-retention-archive-type' option"],
    [['--repo1-retention-history=-1'], 32, "'-1' is out of range for 'repo1-retention-history' option"],
    [['--set=nonsense'], 32, "'nonsense' is not a valid backup label format"],
  ])('%s', async (args, code, said) => {
    await write();
    const all = [repo.directories(), left()];
    const result = await expire(project.command, ...args);
    expect(result.stdout + result.stderr).toContain(said);
    expect(result.code).toBe(code);
    expect([repo.directories(), left()]).toEqual(all);
    if (judge === undefined) return;
    expect((await expire([judge.path], ...args)).code).toBe(code);
    expect([repo.directories(), left()]).toEqual(all);
  });

  it('the only full backup cannot be asked away', async () => {
    await write(backups.slice(0, 2));
    const result = await expire(project.command, `--set=${F1}`);
    expect(result.stdout).toContain(
      `full backup ${F1} cannot be expired until another full backup has been created on this repo`,
    );
    // of the repository; the command tells that there was an error
    expect(result.code).toBe(104);
    expect(repo.directories()).toEqual([F1, D1]);
    expect(left()).toEqual(from(1));
    if (judge !== undefined) expect((await expire([judge.path], `--set=${F1}`)).code).toBe(104);
  });
});

describe('however little is to be kept, the newest full backup stays with all that it needs', () => {
  it('by count', async () => {
    await write();
    expect(await expire(project.command, '--repo1-retention-full=1')).toMatchObject({ code: 0 });
    expect(repo.directories()).toEqual([F2, D2, D3]);
    expect(left()).toEqual(from(6));
  });

  it('by time, when all are too old', async () => {
    await write();
    const args = ['--repo1-retention-full-type=time', '--repo1-retention-full=1'];
    expect(await expire(project.command, ...args)).toMatchObject({ code: 0 });
    expect(repo.directories()).toEqual([F2, D2, D3]);
  });

  it('by time, with one in time: the one before it stays', async () => {
    const young = fullLabel(1);
    await write([...backups, { label: young, wal: wal(12), stop: Math.floor(Date.now() / 1000) - 86_400 }]);
    const args = ['--repo1-retention-full-type=time', '--repo1-retention-full=3'];
    expect(await expire(project.command, ...args)).toMatchObject({ code: 0 });
    expect(repo.directories()).toEqual([F2, D2, D3, young]);
    expect(left()).toEqual(from(6));
  });

  it('diffs by count; each that stays keeps its own WAL when little else is to be kept', async () => {
    await write();
    const args = ['--repo1-retention-full=9', '--repo1-retention-diff=1', '--repo1-retention-archive-type=diff'];
    expect(await expire(project.command, ...args, '--repo1-retention-archive=1')).toMatchObject({ code: 0 });
    // a full backup counts as a diff
    expect(repo.directories()).toEqual([F1, F2, D3]);
    expect(left()).toEqual([2, 6, 10, 11, 12]);
  });

  it('--oldest takes one, and the last one never', async () => {
    await write();
    expect(await expire(project.command, '--oldest', '--repo1-retention-full=9')).toMatchObject({ code: 0 });
    expect(repo.directories()).toEqual([F2, D2, D3]);
    const result = await expire(project.command, '--oldest', '--repo1-retention-full=9');
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toContain('expire oldest requested but no eligible full backup to expire');
    expect(repo.directories()).toEqual([F2, D2, D3]);
    expect(left()).toEqual(from(6));
    expect((await expire(project.command, '--oldest', `--set=${F2}`)).code).toBe(31);
  });

  it('--archive-expire-before beyond all WAL takes no more than retention does', async () => {
    await write();
    const args = ['--repo1-retention-full=1', `--archive-expire-before=${segmentName(1, 255)}`];
    expect(await expire(project.command, ...args)).toMatchObject({ code: 0 });
    expect(left()).toEqual(from(6));
  });

  it('--archive-expire-before sooner than retention keeps from there on', async () => {
    await write();
    const args = ['--repo1-retention-full=1', `--archive-expire-before=${segmentName(1, 4)}`];
    expect(await expire(project.command, ...args)).toMatchObject({ code: 0 });
    expect(left()).toEqual(from(4));
    expect((await expire(project.command, '--archive-expire-before=nonsense')).code).toBe(32);
  });
});

describe('what goes with a backup', () => {
  it('its history, when that is limited', async () => {
    await write();
    const history = (): string[] =>
      readdirSync(join(repo.root, 'backup/demo/backup.history'), { recursive: true }).map(String).sort();
    expect(history().filter(name => name.includes('manifest'))).toHaveLength(5);
    const args = ['--repo1-retention-full=1', '--repo1-retention-history=0'];
    expect(await expire(project.command, ...args)).toMatchObject({ code: 0 });
    expect(history().filter(name => name.includes('manifest'))).toEqual([]);
    expect(repo.directories()).toEqual([F2, D2, D3]);
  });

  it.each([
    [[], true],
    [['--no-repo1-symlink'], false],
  ])('the link to the latest, with %s', async (args, stays) => {
    await write();
    const link = join(repo.root, 'backup/demo/latest');
    expect(await expire(project.command, `--set=${D3}`, '--repo1-retention-full=9', ...args)).toMatchObject({
      code: 0,
    });
    expect(repo.directories()).toEqual([F1, D1, F2, D2]);
    expect(lstatSync(link, { throwIfNoEntry: false }) !== undefined).toBe(stays);
    if (stays) expect(readlinkSync(link)).toBe(D2);
    expect(existsSync(join(repo.root, 'backup/demo', D2, 'backup.manifest'))).toBe(true);
  });
});
