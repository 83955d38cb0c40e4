/** The steps from an open repository to a plan of what is copied there. */

import { BackstopError } from '../../base/error.ts';
import { generatePassphrase } from '../../codec/cipher.ts';
import type { WalName } from '../../postgres/wal.ts';
import { archiveIdOf, currentDb } from '../../repo/history.ts';
import { type BackupLabel, formatLabel, fullLabelOf } from '../../repo/label.ts';
import { backupPath, copySuffix, labelPath, manifestFile } from '../../repo/layout.ts';
import type { Manifest, ManifestHeader } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { waitForWal } from '../../repo/wal-store.ts';
import { markBlocks } from './blocks.ts';
import type { BackupCluster } from './database.ts';
import { deltaReasons } from './delta.ts';
import type { FanOut } from './fan-out.ts';
import { chooseLabel, knownLabels } from './label.ts';
import { planBackup } from './plan.ts';
import { findPrior, type Prior } from './prior.ts';
import type { BackupRepo } from './repo.ts';
import type { RepoCopy } from './repo-copy.ts';
import { cleanResumed, findResumable, nothingResumed, type Resumable, resumedPass } from './resume.ts';
import type { StartPoint } from './start-point.ts';

/** A repository, and the earlier backup there that the new one builds upon. */
export interface RepoWithPrior extends BackupRepo {
  /** Absent for a full backup. */
  readonly prior: Prior | undefined;
}

/** A repository, and all that is known of its new backup before the cluster is looked at. */
export interface RepoWithHeader extends RepoWithPrior {
  readonly resumed: Resumable | undefined;
  /** Its label and references are yet to come. */
  readonly header: ManifestHeader;
}

/** A repository with a label for its backup. */
export interface RepoWithLabel extends RepoWithHeader {
  readonly label: BackupLabel;
}

export async function withPrior(repo: BackupRepo, cluster: BackupCluster): Promise<RepoWithPrior> {
  return { ...repo, prior: await findPrior(repo.session, repo.repo, repo.backupInfo, cluster.checksumPage) };
}

/** Waits for a segment that must come to the archive once a backup has begun. @throws archive-timeout */
export async function checkPriorSegment({ session, repo, archiveInfo }: BackupRepo, start: StartPoint): Promise<void> {
  const { walName, walNameBefore } = start;
  if (walNameBefore === undefined) return;
  const { clock, log, settings } = session;
  log.info(`check archive for ${walNameBefore === walName ? '' : 'prior '}segment ${walNameBefore}`);
  const segments: WalName[] = [walNameBefore];
  await waitForWal(repo, archiveIdOf(currentDb(archiveInfo)), segments, {
    timeout: settings.values['archive-timeout'],
    clock,
  });
}

/** Looks for an aborted backup to go on with, and writes what is known of the new one. */
export async function withHeader(
  repo: RepoWithPrior,
  cluster: BackupCluster,
  timestampStart: number,
): Promise<RepoWithHeader> {
  const { session, backupInfo, options, prior } = repo;
  const { values } = session.settings;
  const online = cluster.isOnline;
  const type = prior?.type ?? 'full';
  const compressType = prior?.compressType ?? options.compressType;
  const resumed = await findResumable(session, repo.repo, backupInfo, { type, compressType });
  const { isEncrypted } = repo.repo;
  const cipherPass = !isEncrypted
    ? undefined
    : prior === undefined
      ? (resumedPass(resumed, isEncrypted) ?? generatePassphrase())
      : prior.manifest.header.cipherPass;
  const header: ManifestHeader = {
    // the label is chosen after the walk; nothing is written before
    label: '00000000-000000F' as ManifestHeader['label'],
    type,
    ...(prior === undefined ? {} : { prior: prior.manifest.header.label }),
    references: [],
    timestampStart,
    timestampCopyStart: timestampStart,
    timestampStop: 0,
    bundle: options.bundle !== undefined,
    bundleRaw: prior?.manifest.header.bundleRaw ?? options.block !== undefined,
    blockIncremental: options.block !== undefined,
    dbId: 0,
    systemId: 0n,
    pgVersion: currentDb(backupInfo).version,
    catalogVersion: cluster.control.catalogVersion,
    controlVersion: cluster.control.controlVersion,
    options: {
      archiveCheck: online && values['archive-check'],
      archiveCopy: online && values['archive-check'] && values['archive-copy'],
      // n is written at the end only, as the reference does; y is what a resume must know
      ...(cluster.standby === undefined ? {} : { backupStandby: true }),
      checksumPage: prior?.checksumPage ?? cluster.checksumPage,
      compressType,
      delta: values.delta,
      hardlink: options.hardlink,
      online,
    },
    ...(cipherPass === undefined ? {} : { cipherPass }),
    annotations: values.annotation ?? new Map(),
  };
  return { ...repo, resumed, header };
}

/**
 * Chooses the labels. Those of one backup have the same second, also where it is later than a repository would need: what
 * was made together is seen to belong together.
 */
export async function withLabels(fanOut: FanOut, repos: readonly RepoWithHeader[]): Promise<RepoWithLabel[]> {
  const chosen = await fanOut.each(repos, async repo => {
    const { header, prior, resumed } = repo;
    const full = prior === undefined ? undefined : fullLabelOf(prior.manifest.header.label);
    const seconds =
      resumed === undefined
        ? chooseLabel(header.type, header.timestampStart, await knownLabels(repo.repo), full).seconds
        : header.timestampStart;
    return { ...repo, full, seconds };
  });
  const latest = chosen.reduce((seconds, repo) => Math.max(seconds, repo.seconds), 0);
  return chosen.map(({ full, seconds: _, ...repo }) => ({
    ...repo,
    label: repo.resumed?.label ?? formatLabel(repo.header.type, latest, full),
  }));
}

/**
 * Plans the copy and prepares the backup's directory.
 * @param repo with the cluster as it was found, in a manifest of its own
 */
export async function planRepo(
  repo: RepoWithLabel & { readonly manifest: Manifest },
  timestampCopyStart: number,
  start: StartPoint | undefined,
): Promise<RepoCopy> {
  const { session, options, label, resumed, backupInfo, manifest } = repo;
  const { log, settings } = session;
  const { values } = settings;
  const prior = repo.prior?.manifest;
  const header = {
    ...repo.header,
    label,
    references: [...(prior?.header.references ?? []), label],
    timestampCopyStart,
  };
  manifest.header = header;
  if (!header.options.checksumPage) dropPageChecksums(manifest);
  if (options.block !== undefined) markBlocks(manifest, prior, options.block);
  const reasons = prior === undefined || values.delta ? [] : deltaReasons(manifest, prior, start?.walName);
  for (const reason of reasons) log.warn(reason);
  const delta = values.delta || reasons.length > 0;
  manifest.header = { ...header, options: { ...header.options, delta } };
  const plan = planBackup(manifest, prior, delta);
  if (plan.copy.length === 0) {
    throw new BackstopError('file-missing', 'no files have changed since the last backup - this seems unlikely');
  }
  const saveProgress = () =>
    repo.repo.writeManifest(
      manifest,
      manifestFile(repo.repo.stanza, label) + copySuffix,
      backupInfo.cipherPass,
      session.version,
    );
  const kept = resumed === undefined ? undefined : await cleanResumed(session, repo.repo, manifest, resumed);
  await prepareDirectories(repo.repo, manifest);
  if (values.resume) await saveProgress();
  return {
    ...repo,
    plan,
    prior,
    resumed: kept ?? nothingResumed,
    compressLevel: options.levelFor(header.options.compressType),
    superBlockSize: (prior === undefined ? options.block?.superFull : options.block?.super) ?? 0,
    saveProgress,
  };
}

/** The cluster was looked at for a repository that has page checksums checked; this one's prior backup did without. */
function dropPageChecksums({ files }: Manifest): void {
  for (let index = 0; index < files.length; index++) {
    if (!files.hasPages(index)) continue;
    const { checksumPage: _, ...file } = files.get(index);
    files.set(index, file);
  }
}

/** Every path of the cluster stands in a full backup, so that it can be looked at as a data directory. */
async function prepareDirectories(repo: StanzaRepo, manifest: Manifest): Promise<void> {
  const { header } = manifest;
  const base = labelPath(repo.stanza, header.label);
  await repo.storage.paths?.create(base);
  await repo.storage.paths?.sync(backupPath(repo.stanza));
  if (header.bundle || (header.type !== 'full' && !header.options.hardlink)) return;
  for (const path of manifest.paths) await repo.storage.paths?.create(`${base}/${path.name}`);
}
