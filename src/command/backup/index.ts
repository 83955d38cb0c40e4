/** backup: the story of one backup, step by step (behaviour, section 4.2). */
import { BackstopError } from '../../base/error.ts';
import { OwnerNames } from '../../base/owner.ts';
import { formatSize } from '../../base/units.ts';
import { generatePassphrase } from '../../codec/cipher.ts';
import { deriveSettings } from '../../config/derive.ts';
import { currentDb } from '../../repo/history.ts';
import { fullLabelOf } from '../../repo/label.ts';
import { backupPath, copySuffix, labelPath, manifestFile } from '../../repo/layout.ts';
import { buildManifest } from '../../repo/manifest/build.ts';
import type { Manifest, ManifestHeader } from '../../repo/manifest/manifest.ts';
import { checkFinalManifest } from '../../repo/manifest/validate.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { Session } from '../session.ts';
import { checkStopFile } from '../stop-file.ts';
import { markBlocks } from './blocks.ts';
import { copyCluster } from './copy.ts';
import { openBackupCluster } from './database.ts';
import { deltaReasons } from './delta.ts';
import { finishBackup } from './finish.ts';
import { chooseLabel, knownLabels } from './label.ts';
import { planBackup } from './plan.ts';
import { findPrior, type Prior } from './prior.ts';
import { openBackupRepo } from './repo.ts';
import { cleanResumed, findResumable, nothingResumed, resumedPass } from './resume.ts';

export async function run(session: Session<'backup'>): Promise<undefined> {
  const { log, settings } = session;
  const { values } = settings;
  checkStopFile(session);
  const { repo, backupInfo, archiveInfo, options: repoOptions } = await openBackupRepo(session);
  const cluster = await openBackupCluster(session);
  try {
    cluster.checkStanza(backupInfo, archiveInfo);
    const prior = await findPrior(session, repo, backupInfo, cluster.checksumPage);
    const online = cluster.isOnline;
    const timestampStart = Math.floor((await cluster.time()) / 1000);
    const start = await cluster.start(repo, archiveInfo);

    const resumed = await findResumable(session, repo, backupInfo, {
      type: prior?.type ?? 'full',
      compressType: prior?.compressType ?? repoOptions.compressType,
    });
    const full = prior === undefined ? undefined : fullLabelOf(prior.manifest.header.label);
    const cipherPass = !repo.isEncrypted
      ? undefined
      : prior === undefined
        ? (resumedPass(resumed, repo.isEncrypted) ?? generatePassphrase())
        : prior.manifest.header.cipherPass;
    const db = currentDb(backupInfo);
    const header: ManifestHeader = {
      // the label is chosen after the walk; nothing is written before
      label: '00000000-000000F' as ManifestHeader['label'],
      type: prior?.type ?? 'full',
      ...(prior === undefined ? {} : { prior: prior.manifest.header.label }),
      references: [],
      timestampStart,
      timestampCopyStart: timestampStart,
      timestampStop: 0,
      bundle: repoOptions.bundle !== undefined,
      bundleRaw: prior?.manifest.header.bundleRaw ?? repoOptions.block !== undefined,
      blockIncremental: repoOptions.block !== undefined,
      dbId: 0,
      systemId: 0n,
      pgVersion: db.version,
      catalogVersion: cluster.control.catalogVersion,
      controlVersion: cluster.control.controlVersion,
      options: {
        archiveCheck: online && values['archive-check'],
        archiveCopy: online && values['archive-check'] && values['archive-copy'],
        // n is written at the end only, as the reference does; y is what a resume must know
        ...(cluster.standby === undefined ? {} : { backupStandby: true }),
        checksumPage: prior?.checksumPage ?? cluster.checksumPage,
        compressType: prior?.compressType ?? repoOptions.compressType,
        delta: values.delta,
        hardlink: repoOptions.hardlink,
        online,
      },
      ...(cipherPass === undefined ? {} : { cipherPass }),
      annotations: values.annotation ?? new Map(),
    };
    const manifest = await buildManifest({
      storage: cluster.files,
      header,
      path: cluster.path,
      version: cluster.version,
      catalogVersion: cluster.control.catalogVersion,
      online,
      checksumPage: header.options.checksumPage,
      exclude: values.exclude ?? [],
      tablespaces: await cluster.tablespaceNames(),
      owners: new OwnerNames(),
      onWarning: message => log.warn(message),
      onInfo: message => log.info(message),
    });
    manifest.databases.push(...(await cluster.manifestDatabases()));
    if (online && manifest.files.find('pg_data/global/pg_control') === undefined) {
      throw new BackstopError('file-missing', 'pg_control must be present in all online backups', {
        hint: 'is something wrong with the clock or filesystem timestamps?',
      });
    }
    manifest.header = await withLabel(manifest, repo, prior, full, await copyStart(session, cluster), resumed?.label);
    const { label } = manifest.header;

    if (repoOptions.block !== undefined) markBlocks(manifest, prior?.manifest, repoOptions.block);
    const reasons = prior === undefined || values.delta ? [] : deltaReasons(manifest, prior.manifest, start?.walName);
    for (const reason of reasons) log.warn(reason);
    const delta = values.delta || reasons.length > 0;
    manifest.header = { ...manifest.header, options: { ...manifest.header.options, delta } };
    const plan = planBackup(manifest, prior?.manifest, delta);
    if (plan.copy.length === 0) {
      throw new BackstopError('file-missing', 'no files have changed since the last backup - this seems unlikely');
    }
    const saveProgress = () =>
      repo.writeManifest(
        manifest,
        manifestFile(repo.stanza, label) + copySuffix,
        backupInfo.cipherPass,
        session.version,
      );
    const kept = resumed === undefined ? undefined : await cleanResumed(session, repo, manifest, resumed);
    await prepareDirectories(repo, manifest);
    if (values.resume) await saveProgress();

    const copied = await copyCluster(session, {
      repo,
      manifest,
      plan,
      prior: prior?.manifest,
      resumed: kept ?? nothingResumed,
      cluster,
      compressLevel: repoOptions.levelFor(manifest.header.options.compressType),
      bundle: repoOptions.bundle,
      superBlockSize: (prior === undefined ? repoOptions.block?.superFull : repoOptions.block?.super) ?? 0,
      saveProgress: values.resume ? saveProgress : undefined,
    });
    const stop = await cluster.stop();
    await finishBackup(session, {
      repo,
      manifest,
      backupInfo,
      archiveInfo,
      cluster,
      start,
      stop,
      compressLevel: repoOptions.levelFor(manifest.header.options.compressType),
      saveProgress,
      check: () => checkFinalManifest(manifest),
    });
    log.info(
      `${manifest.header.type} backup size = ${formatSize(copied.bytes)}, file total = ${manifest.files.length}`,
    );
  } catch (error) {
    await cluster.abort();
    throw error;
  } finally {
    await cluster.close();
    await repo.storage.close();
  }
  if (values['expire-auto']) session.afterwards(deriveSettings(settings, 'expire'));
  return undefined;
}

/**
 * The second from which on files may be copied. A file changed in the second of the walk could change again within it
 * without a newer time, so an online backup waits that second out.
 */
async function copyStart(
  session: Session<'backup'>,
  cluster: { isOnline: boolean; time(): Promise<number> },
): Promise<number> {
  const now = await cluster.time();
  if (!cluster.isOnline) return Math.floor(now / 1000);
  const next = Math.floor(now / 1000) + 1;
  for (let at = now; at < next * 1000; at = await cluster.time())
    await session.clock.sleep(Math.max(1, next * 1000 - at));
  return next;
}

async function withLabel(
  manifest: Manifest,
  repo: StanzaRepo,
  prior: Prior | undefined,
  full: ManifestHeader['label'] | undefined,
  timestampCopyStart: number,
  resumed: ManifestHeader['label'] | undefined,
): Promise<ManifestHeader> {
  const { header } = manifest;
  const label = resumed ?? chooseLabel(header.type, header.timestampStart, await knownLabels(repo), full).label;
  return {
    ...header,
    label,
    references: [...(prior?.manifest.header.references ?? []), label],
    timestampCopyStart,
  };
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
