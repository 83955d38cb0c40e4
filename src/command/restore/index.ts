/** restore: the story of one restore, step by step (behaviour, section 5.3). */
import { realpathSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { formatTime } from '../../base/clock.ts';
import { BackstopError, systemError } from '../../base/error.ts';
import { exists } from '../../base/exists.ts';
import { formatSize } from '../../base/units.ts';
import { controlFile, decodeControl, encodeRestoreMarker } from '../../postgres/control.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import {
  checkTimelineReachable,
  chooseTargetTimeline,
  historyFileName,
  parseTimelineHistory,
} from '../../postgres/timeline.ts';
import { type PostgresVersion, versionOf } from '../../postgres/versions.ts';
import { parseWalName } from '../../postgres/wal.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupEntry, BackupInfo } from '../../repo/backup-info.ts';
import { archiveIdOf } from '../../repo/history.ts';
import { archiveIdPath } from '../../repo/layout.ts';
import { controlName, type Manifest, pgDataTarget } from '../../repo/manifest/manifest.ts';
import { begun } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { finishSink, readStored } from '../../repo/stored.ts';
import { syncKeptPath } from '../../storage/posix/kept-directory.ts';
import { temporarySuffix } from '../../storage/posix/posix-storage.ts';
import type { Storage } from '../../storage/storage.ts';
import { droppedFile } from '../dropped-wal.ts';
import { clusterSettings, openClusterFiles, openRepo, repoSettings } from '../open.ts';
import type { Session } from '../session.ts';
import { emptySpoolPath, spoolPaths } from '../spool.ts';
import {
  type CleanSettings,
  checkDirectories,
  cleanDirectories,
  createDataDirectory,
  createDirectories,
  unfinishedMark,
} from './clean.ts';
import { restoreFiles } from './copy.ts';
import { RestoreLayout } from './layout.ts';
import { RestoreOwners } from './owner.ts';
import { recoverySettings } from './recovery.ts';
import { restoreCommandLine, writeRecovery } from './recovery-files.ts';
import { remapManifest } from './remap.ts';
import { chooseSet } from './select.ts';
import { selectZeroed } from './selective.ts';

export async function run(session: Session<'restore'>): Promise<undefined> {
  const { log, settings } = session;
  const { values } = settings;
  const [cluster] = clusterSettings(session);
  if (cluster === undefined) throw new BackstopError('assert', 'no cluster');
  const pgPath = cluster.path;
  const files = await openClusterFiles(cluster);
  checkNotRunning(pgPath);
  const mayRemove = mayRemoveFrom(session, pgPath);
  dropSpool(session);

  // one that cannot be opened is no reason not to restore from another
  const repos = repoSettings(session).map(settings => ({
    key: settings.key,
    opening: begun(openRepo(session, settings)),
  }));
  const { repo, info, entry } = await chooseSet(
    repos,
    { set: values.set, type: values.type, ...(values.target === undefined ? {} : { target: values.target }) },
    message => log.warn(message),
  );
  const timelines = begun(readTimelines(session, repo, info, entry));
  const manifest = await repo.loadManifest(entry.label, info.cipherPass);
  if (manifest.header.label !== entry.label) {
    throw new BackstopError(
      'format',
      `requested backup '${entry.label}' and manifest label '${manifest.header.label}' do not match`,
      {
        hint: 'this indicates some sort of corruption (at the very least paths have been renamed).',
      },
    );
  }
  const version = versionOf(manifest.header.pgVersion);
  const recoveryType = !manifest.header.options.online && !settings.optionIsSet('type') ? 'none' : values.type;
  await checkTimeline(session, repo, manifest, version, await timelines);
  const begins = manifest.header.options.online
    ? `, recovery will start at ${formatTime(manifest.header.timestampStart)}`
    : '';
  log.info(`${repo.name}: restore backup set ${entry.label}${begins}`);

  const realPath = realPathOf(pgPath);
  const originalPath = manifest.targets.find(({ name }) => name === pgDataTarget)?.path;
  remapManifest(manifest, {
    pgPath,
    realPath,
    tablespaceMap: values['tablespace-map'] ?? new Map(),
    tablespaceMapAll: values['tablespace-map-all'],
    linkMap: values['link-map'] ?? new Map(),
    linkAll: values['link-all'],
    info: message => log.info(message),
    warn: message => log.warn(message),
  });
  const isZeroed = selectZeroed(manifest, {
    include: values['db-include'] ?? [],
    exclude: values['db-exclude'] ?? [],
    detail: message => log.detail(message),
  });
  const preserve = preservedFiles(recoveryType, version);
  dropFiles(manifest, recoveryType, preserve);
  const layout = new RestoreLayout(manifest, pgPath, realPath);
  const owners = new RestoreOwners(realPath);
  owners.warnUnknown(manifest, message => log.warn(message));
  // settings that contradict the version must fail before anything is touched
  const recovery = recoverySettings(
    {
      type: recoveryType,
      target: values.target,
      targetAction: values['target-action'],
      targetExclusive: values['target-exclusive'],
      targetTimeline: values['target-timeline'],
      recoveryOption: values['recovery-option'] ?? new Map(),
      archiveMode: values['archive-mode'],
      restoreCommand: restoreCommandLine(session, originalPath === pgPath ? undefined : pgPath, repo.key),
    },
    version,
  );

  const clean: CleanSettings = { manifest, layout, owners, mayRemove, preserve, log };
  checkDirectories(clean);
  const control = `${pgPath}/${controlFile}`;
  // without it PostgreSQL cannot start from what is now being changed
  if (exists(control)) {
    await files.remove(control);
    await files.paths?.sync(`${pgPath}/global`);
  }
  const unfinished = exists(`${pgPath}/${unfinishedMark}`);
  const changed = new Set(createDataDirectory(clean));
  cleanDirectories(clean);
  // before anything else is made: whenever we are stopped, delta can go on
  await repo.writeManifestTo(files, manifest, `${pgPath}/${unfinishedMark}`, session.version);
  for (const path of createDirectories(clean)) changed.add(path);
  if (unfinished) keepDirectories(manifest, layout);

  const bytes = await restoreFiles(session, {
    repo,
    manifest,
    layout,
    owners,
    mayRemove,
    unfinished,
    isZeroed,
  });

  const base = manifest.paths.find(({ name }) => name === pgDataTarget);
  if (base === undefined) throw new BackstopError('format', 'manifest has no data directory');
  await writeRecovery(session, {
    files,
    pgPath,
    version,
    type: recoveryType,
    settings: recovery,
    mode: base.mode & 0o644,
    owner: owners.of(base),
  });
  await syncDirectories(files, manifest, layout, changed);
  // only now: a restore after it would not make durable again what it keeps
  await files.remove(`${pgPath}/${unfinishedMark}`);
  await files.paths?.sync(pgPath);
  await restoreControl(session, files, manifest, pgPath);
  log.info(`restore size = ${formatSize(bytes)}, file total = ${manifest.files.length}`);
  for (const opened of await Promise.allSettled(repos.map(({ opening }) => opening))) {
    if (opened.status === 'fulfilled') await opened.value.storage.close();
  }
  return undefined;
}

/** The path without links on its way; what does not exist yet is below what does. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return join(realPathOf(dirname(path)), basename(path));
    throw systemError(error, { other: 'path-open' }, `unable to find where '${path}' is`);
  }
}

/** A directory that we may not enter has nothing for us: that it is not ours is said when the directories are looked at. */
function mayExist(path: string): boolean {
  try {
    return exists(path);
  } catch (error) {
    const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
    if (cause?.code === 'EACCES') return false;
    throw error;
  }
}

/** @throws pg-running */
function checkNotRunning(pgPath: string): void {
  if (!mayExist(`${pgPath}/postmaster.pid`)) return;
  throw new BackstopError('pg-running', 'unable to restore while PostgreSQL is running', {
    hint: [
      `presence of 'postmaster.pid' in '${pgPath}' indicates PostgreSQL is running.`,
      "remove 'postmaster.pid' only if PostgreSQL is not running.",
    ],
  });
}

/** Delta and force may only remove from what looks like a cluster, or like a restore that did not end. */
function mayRemoveFrom(session: Session<'restore'>, pgPath: string): boolean {
  const { delta, force } = session.settings.values;
  if (!delta && !force) return false;
  if (mayExist(`${pgPath}/PG_VERSION`) || mayExist(`${pgPath}/${unfinishedMark}`)) return true;
  session.log.warn(
    `--delta or --force specified but unable to find 'PG_VERSION' or '${unfinishedMark}' in '${pgPath}' to confirm that this is a valid $PGDATA directory. --delta and --force have been disabled and if any files exist in the destination directories the restore will be aborted.`,
  );
  return false;
}

/**
 * WAL that was fetched ahead belongs to another recovery, and what was pushed to another course of things. What was dropped
 * is still not in the archive.
 */
function dropSpool({ settings }: Session<'restore'>): void {
  const { 'spool-path': spoolPath, stanza } = settings.values;
  if (spoolPath === undefined) return;
  emptySpoolPath(spoolPaths(spoolPath, stanza).root, [droppedFile]);
}

/** What the archive has of timelines. */
interface Timelines {
  readonly archiveInfo: ArchiveInfo;
  /** Where their history files lie. */
  readonly path: string;
  readonly names: readonly string[];
}

/** @returns undefined when no recovery follows a timeline */
async function readTimelines(
  { settings }: Session<'restore'>,
  repo: StanzaRepo,
  { history }: BackupInfo,
  entry: BackupEntry,
): Promise<Timelines | undefined> {
  const { type, 'target-timeline': timeline } = settings.values;
  const db = history.find(({ id }) => id === entry.dbId);
  if (entry.archiveStart === null || db === undefined || type === 'none' || type === 'preserve') return undefined;
  const path = archiveIdPath(repo.stanza, archiveIdOf(db));
  const isListed = timeline === undefined || timeline === 'latest';
  const listing = begun(isListed ? repo.storage.names(path) : Promise.resolve([]));
  return { archiveInfo: await repo.loadArchiveInfo(), path, names: await listing };
}

/** Recovery must be able to reach the timeline that it will follow. */
async function checkTimeline(
  session: Session<'restore'>,
  repo: StanzaRepo,
  manifest: Manifest,
  version: PostgresVersion,
  timelines: Timelines | undefined,
): Promise<void> {
  const { header } = manifest;
  const { values } = session.settings;
  if (timelines === undefined || header.archiveStart === undefined || header.lsnStart === undefined) return;
  const backupTimeline = parseWalName(header.archiveStart).timeline;
  const { archiveInfo, path, names } = timelines;
  const target = chooseTargetTimeline({
    option: values['target-timeline'],
    version,
    immediate: values.type === 'immediate',
    backupTimeline,
    historyFiles: names,
  });
  if (target === backupTimeline) return;
  const bytes = await readStored(
    repo.storage,
    `${path}/${historyFileName(target)}`,
    archiveInfo.cipherPass,
    16 * 1024 * 1024,
  );
  checkTimelineReachable(target, parseTimelineHistory(bytes.toString()), {
    timeline: backupTimeline,
    lsn: parseLsn(header.lsnStart),
  });
}

/** Recovery files of the user that type preserve leaves as they are. */
function preservedFiles(type: string, version: PostgresVersion): ReadonlySet<string> {
  if (type !== 'preserve') return new Set();
  return new Set(
    version.recovery === 'file' ? ['recovery.conf'] : ['postgresql.auto.conf', 'recovery.signal', 'standby.signal'],
  );
}

/** Takes out of the manifest what this restore does not bring back. */
function dropFiles(manifest: Manifest, type: string, preserve: ReadonlySet<string>): void {
  const { files } = manifest;
  const dropped = new Set([
    // links of tablespaces are made by us, where this restore wants them
    files.find(`${pgDataTarget}/tablespace_map`),
    type === 'preserve' && preserve.has('postgresql.auto.conf')
      ? files.find(`${pgDataTarget}/postgresql.auto.conf`)
      : undefined,
  ]);
  dropped.delete(undefined);
  if (dropped.size > 0) files.sort(index => !dropped.has(index));
}

/** What an earlier restore made may be in memory only, with the directories around it. */
function keepDirectories(manifest: Manifest, layout: RestoreLayout): void {
  for (const { path } of layout.directories(manifest)) syncKeptPath(path);
  for (const { target } of layout.links) {
    if (target.file !== undefined) syncKeptPath(dirname(layout.pathOf(target.name)));
  }
}

/** The names of all that was restored become durable; that of pg_control comes last, by itself. */
async function syncDirectories(
  files: Storage,
  manifest: Manifest,
  layout: RestoreLayout,
  changed: ReadonlySet<string>,
): Promise<void> {
  const paths = new Set(changed);
  for (const { name } of manifest.paths) if (layout.isReal(name)) paths.add(layout.pathOf(name));
  for (const path of paths) await files.paths?.sync(path);
}

/** The file has 8 KiB; more was put there by somebody else. */
const largestControl = 1024 * 1024;

/** The last step: only with pg_control in place can PostgreSQL start. */
async function restoreControl(
  session: Session<'restore'>,
  files: Storage,
  manifest: Manifest,
  pgPath: string,
): Promise<void> {
  const { log, settings } = session;
  const path = `${pgPath}/${controlFile}`;
  const temporary = path + temporarySuffix;
  if (!exists(temporary)) {
    log.warn("backup does not contain 'global/pg_control' -- cluster will not start");
    return;
  }
  const forced = settings.values['pg-version-force'];
  if (manifest.header.options.online) {
    const index = manifest.files.find(controlName);
    const bytes = await readStored(files, temporary, undefined, largestControl);
    decodeControl(bytes, forced);
    const sink = await files.write(`${temporary}`, {
      atomic: false,
      ...(index === undefined ? {} : { mtime: manifest.files.timestamp(index) }),
    });
    await finishSink(sink, async () => {
      await sink.write(encodeRestoreMarker(bytes, forced));
    });
  }
  log.info('restore global/pg_control (performed last to ensure aborted restores cannot be started)');
  try {
    renameSync(temporary, path);
  } catch (error) {
    throw systemError(error, { other: 'file-move' }, `unable to move '${temporary}' to '${path}'`);
  }
  await files.paths?.sync(`${pgPath}/global`);
}
