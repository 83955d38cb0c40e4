/** Whether a repository holds what the model says, no more and no less, and whether all of it can be had back. */
import { isBackupLabel } from '../../../src/repo/label.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import type { ModelBackup } from './model.ts';
import type { RepoState, World } from './world.ts';

/** Compares names, files and lists. Quick: done after each step. */
export async function checkRepo(world: World, repo: RepoState): Promise<void> {
  const { key, disk, backups } = repo;
  const of = (what: string) => `repo${key}: ${what}`;
  const labels = backups.map(({ label }) => label);
  if (!repo.isUnsettled) {
    const { backups: entries } = await disk.info();
    same(of('backup.info'), entries.map(describeEntry), backups.map(describeModel));
    if (labels.length > 0 && !repo.isLinkStale)
      same(of('the link latest'), [disk.latest() ?? 'none'], [labels.at(-1) ?? '']);
  }
  same(of('complete backups'), disk.complete(), labels);
  for (const label of labels) {
    if (!isBackupLabel(label)) throw new Error(`${label} is no label`);
    const { actual, expected } = await disk.filesOf(label);
    const isOdd = (name: string) => repo.torn.has(label) && name === 'backup.manifest.copy';
    same(of(`files of ${label}`), actual.filter(not(isOdd)), expected.filter(not(isOdd)));
  }
  same(of('history'), [...disk.history()].sort(), [...repo.history].sort());
  const archive = disk.archive();
  same(of('archive ids'), [...archive.keys()].sort(), [...repo.archive.keys()].sort());
  for (const [id, names] of repo.archive)
    same(of(`archive ${id}`), [...(archive.get(id) ?? [])].sort(), [...names].sort());
  for (const backup of backups) {
    const gone = backup.needs.filter(label => !labels.includes(label));
    if (gone.length > 0) throw new Error(of(`${backup.label} needs ${gone.join(', ')}, which is gone`));
    checkWal(world, repo, archive, backup);
  }
}

const not =
  (test: (name: string) => boolean) =>
  (name: string): boolean =>
    !test(name);

/** Whatever the model says: without the WAL of its time a backup is worth nothing. */
function checkWal(
  { dbs }: World,
  { key }: RepoState,
  archive: ReadonlyMap<string, ReadonlySet<string>>,
  { label, wal, dbId }: ModelBackup,
): void {
  const db = dbs.find(({ id }) => id === dbId);
  if (wal === undefined || db === undefined) return;
  const there = archive.get(`${db.version}-${db.id}`) ?? new Set();
  const number = (name: string) => Number.parseInt(name.slice(8, 16), 16) * 4096 + Number.parseInt(name.slice(16), 16);
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  const [first, last] = wal;
  for (let at = number(first); at <= number(last); at++) {
    const name = first.slice(0, 8) + hex(Math.floor(at / 4096)) + hex(at % 4096);
    if (!there.has(name)) throw new Error(`repo${key}: ${label} needs ${name}, which is not in the archive`);
  }
}

type Entry = Awaited<ReturnType<RepoState['disk']['info']>>['backups'][number];

const describeEntry = (entry: Entry): string =>
  describe(
    entry.label,
    entry.type,
    entry.reference,
    entry.dbId,
    entry.archiveStart,
    entry.archiveStop,
    entry.annotations,
  );

const describeModel = ({ label, type, needs, dbId, wal, notes }: ModelBackup): string =>
  describe(label, type, needs, dbId, wal?.[0] ?? null, wal?.[1] ?? null, notes);

function describe(
  label: string,
  type: string,
  needs: readonly string[],
  dbId: number,
  start: string | null,
  stop: string | null,
  notes: ReadonlyMap<string, string>,
): string {
  const text = [...notes].sort().map(([name, value]) => `${name}=${value}`);
  return `${label} ${type} of ${dbId}, needs ${[...needs].sort().join(' ')}, WAL ${start} to ${stop}, notes ${text.join(' ')}`;
}

/** Restores every backup that is listed. */
export async function checkRestores(world: World, repo: RepoState, sweep: Sweep): Promise<void> {
  const { backups } = await repo.disk.info();
  const listed = new Set<string>(backups.map(({ label }) => label));
  for (const backup of repo.backups) {
    if (!listed.has(backup.label)) continue;
    const found = await world.restore(repo, backup);
    const lines = (content: Readonly<Record<string, string>>) => Object.entries(content).map(pair => pair.join(' '));
    same(`repo${repo.key}: restore of ${backup.label}`, lines(found).sort(), lines(backup.content).sort());
    sweep.tried('restored backups');
  }
}

/** Verify has nothing to say but of what was cut off. */
export async function checkVerify(world: World, { key, isUnsettled }: RepoState): Promise<void> {
  const { log, output } = await world.run('verify', [`--repo=${key}`, '--output=text']);
  const found = log.filter(line => /missing|invalid|damaged|lacks/.test(line) && !isUnsettled);
  if (found.length > 0) throw new Error(`repo${key}: verify says\n${found.join('\n')}\n${output}`);
}

/** @throws with what is missing and what is too much */
export function same(what: string, actual: readonly string[], expected: readonly string[]): void {
  const [a, b] = [new Set(actual), new Set(expected)];
  const missing = expected.filter(line => !a.has(line));
  const extra = actual.filter(line => !b.has(line));
  if (missing.length + extra.length === 0) return;
  throw new Error(
    [
      `${what} is not what it should be`,
      ...missing.map(line => `  lacks ${line}`),
      ...extra.map(line => `  has   ${line}`),
    ].join('\n'),
  );
}
