/**
 * The end of a backup: files that the server gave at its stop, the wait for WAL, the final manifest, the info files. Only
 * after the last of these is the backup there for anybody.
 */

import { openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { countResult, hashResult, openPipeline, type Pipeline, prepareSteps } from '../../codec/pipeline.ts';
import type { BackupStop } from '../../postgres/cluster.ts';
import { walNamesBetween } from '../../postgres/wal.ts';
import type { ArchiveInfo } from '../../repo/archive-info.ts';
import type { BackupInfo } from '../../repo/backup-info.ts';
import { entryOf } from '../../repo/entry.ts';
import { archiveIdOf, currentDb } from '../../repo/history.ts';
import {
  backupFile,
  backupPath,
  copySuffix,
  historyFile,
  labelPath,
  latestLink,
  manifestFile,
} from '../../repo/layout.ts';
import { compressSuffix, type Manifest, pgDataTarget, storedIn } from '../../repo/manifest/manifest.ts';
import { checkFinalManifest } from '../../repo/manifest/validate.ts';
import { isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { finishSink } from '../../repo/stored.ts';
import { storeSteps } from '../../repo/stored-steps.ts';
import { type ArchivedWal, checkWalChecksum, waitForWal, walChecksumId, walReadSteps } from '../../repo/wal-store.ts';
import { pump } from '../../storage/pump.ts';
import type { Session } from '../session.ts';
import type { BackupCluster } from './database.ts';
import type { StartPoint } from './start-point.ts';

export interface FinishSettings {
  readonly repo: StanzaRepo;
  readonly manifest: Manifest;
  readonly backupInfo: BackupInfo;
  readonly archiveInfo: ArchiveInfo;
  readonly compressLevel: number;
  readonly saveProgress: () => Promise<void>;
}

/** How the backup ended on the server. */
export interface EndOfCopy {
  readonly cluster: Pick<BackupCluster, 'standby' | 'control' | 'version'>;
  readonly start: StartPoint | undefined;
  readonly stop: BackupStop | undefined;
  /** Seconds since the epoch. */
  readonly timestampStop: number;
}

/** Completes the manifest of a repository, with what the server gave at its stop. Nothing of the cluster is needed after it. */
export async function completeManifest(
  session: Session<'backup'>,
  finish: FinishSettings,
  { cluster, start, stop, timestampStop }: EndOfCopy,
): Promise<void> {
  const { manifest, backupInfo } = finish;
  const { settings, version } = session;
  const { values } = settings;
  if (stop?.backupLabel !== undefined)
    await storeText(session, finish, 'backup_label', stop.backupLabel, timestampStop);
  if (stop?.tablespaceMap !== undefined && stop.tablespaceMap.trim() !== '') {
    await storeText(session, finish, 'tablespace_map', stop.tablespaceMap, timestampStop);
  }
  manifest.files.sort();
  const db = currentDb(backupInfo);
  manifest.header = {
    ...manifest.header,
    timestampStop,
    ...(start === undefined ? {} : { archiveStart: start.walName, lsnStart: start.lsn }),
    ...(stop === undefined ? {} : { archiveStop: stop.walName, lsnStop: stop.lsn }),
    dbId: db.id,
    systemId: db.systemId,
    toolVersion: version,
    options: {
      ...manifest.header.options,
      backupStandby: cluster.standby !== undefined,
      bufferSize: values['buffer-size'],
      compressLevel: finish.compressLevel,
      compressLevelNetwork: values['compress-level-network'],
      processMax: values['process-max'],
    },
  };
  checkFinalManifest(manifest);
  await finish.saveProgress();
}

/** Waits for the WAL that the backup needs, and makes the backup visible. */
export async function finishBackup(
  session: Session<'backup'>,
  finish: FinishSettings,
  { cluster, start, stop }: EndOfCopy,
): Promise<void> {
  const { repo, manifest, archiveInfo } = finish;
  const { log, settings } = session;
  const { values } = settings;
  if (start !== undefined && stop !== undefined && values['archive-check']) {
    log.info(`check archive for segment(s) ${start.walName}:${stop.walName}`);
    const needed = [...walNamesBetween(start.walName, stop.walName, cluster.control.walSegmentSize)];
    const archived = await waitForWal(repo, archiveIdOf(currentDb(archiveInfo)), needed, {
      timeout: values['archive-timeout'],
      clock: session.clock,
    });
    if (values['archive-copy']) {
      await copyWal(session, finish, `${pgDataTarget}/${cluster.version.walDirectory}`, archived);
    }
  }
  log.info(`new backup label = ${manifest.header.label}`);
  await publish(session, finish);
}

/** Stores a file that exists only as an answer of the server: never bundled, always in normal framing. */
async function storeText(
  session: Session<'backup'>,
  { repo, manifest, compressLevel }: FinishSettings,
  base: string,
  text: string,
  timestamp: number,
): Promise<void> {
  const { header } = manifest;
  const { compressType } = header.options;
  const altered = compressType !== 'none' || header.cipherPass !== undefined;
  const spec: StepSpec[] = [
    { step: 'hash', algorithm: 'sha1', id: 'content' },
    ...storeSteps({ compressType, compressLevel, cipherPass: header.cipherPass, raw: false }),
    { step: 'hash', algorithm: 'sha1', id: 'stored' },
    { step: 'count', id: 'stored-size' },
  ];
  const codecs = openCodecs();
  await prepareSteps(spec, codecs);
  const parts: Buffer[] = [];
  const pipeline = openPipeline(spec, codecs, chunk => parts.push(Buffer.from(chunk)));
  const content = Buffer.from(text);
  let checksum: string;
  let checksumRepo: string;
  let sizeRepo: number;
  try {
    pipeline.push(content);
    pipeline.end();
    const results = pipeline.results();
    checksum = hashResult(results, 'content');
    checksumRepo = hashResult(results, 'stored');
    sizeRepo = countResult(results, 'stored-size');
  } finally {
    pipeline.close();
  }
  const name = `${pgDataTarget}/${base}`;
  const path = backupFile(
    repo.stanza,
    header.label,
    { name, bundleId: 0, blockMapSize: 0 },
    compressSuffix(compressType),
  );
  const sink = await repo.storage.write(path, { atomic: false, permanent: true, sizeHint: sizeRepo });
  await finishSink(sink, async () => {
    for (const part of parts) await sink.write(part);
  });
  const pgData = manifest.paths.find(path => path.name === pgDataTarget);
  manifest.files.add({
    name,
    size: content.length,
    sizeOriginal: content.length,
    sizeRepo,
    timestamp,
    checksum,
    ...(altered ? { checksumRepo } : {}),
    bundleId: 0,
    bundleOffset: 0,
    blockSize: 0,
    blockChecksumSize: 0,
    blockMapSize: 0,
    mode: (pgData?.mode ?? 0o700) & 0o644,
    user: pgData?.user ?? false,
    group: pgData?.group ?? false,
  });
  session.log.detail(`wrote '${base}' file returned from backup stop function`);
}

/** Puts the WAL that the backup needs into it (archive-copy), so that it can be restored without the archive. */
async function copyWal(
  session: Session<'backup'>,
  finish: FinishSettings,
  directory: string,
  archived: readonly ArchivedWal[],
): Promise<void> {
  const { repo, manifest, archiveInfo, compressLevel } = finish;
  const { header } = manifest;
  const { compressType } = header.options;
  const codecs = openCodecs();
  const pgData = manifest.paths.find(path => path.name === pgDataTarget);
  for (const wal of archived) {
    session.log.detail(`copy segment ${wal.segment} to backup`);
    const spec: StepSpec[] = [
      ...walReadSteps(wal, archiveInfo.cipherPass),
      { step: 'count', id: 'size' },
      ...storeSteps({ compressType, compressLevel, cipherPass: header.cipherPass, raw: false }),
      { step: 'count', id: 'stored-size' },
    ];
    await prepareSteps(spec, codecs);
    const name = `${directory}/${wal.segment}`;
    const path = backupFile(
      repo.stanza,
      header.label,
      { name, bundleId: 0, blockMapSize: 0 },
      compressSuffix(compressType),
    );
    const source = await repo.storage.read(wal.path);
    const sink = await repo.storage.write(path, { atomic: false, permanent: true });
    const pipelines: Pipeline[] = [];
    try {
      await finishSink(sink, () =>
        pump(
          source,
          emit => {
            const pipeline = openPipeline(spec, codecs, emit);
            pipelines.push(pipeline);
            return pipeline;
          },
          sink,
          Buffer.allocUnsafe(1024 * 1024),
        ),
      );
      const results = pipelines[0]?.results() ?? {};
      checkWalChecksum(repo, wal, hashResult(results, walChecksumId));
      manifest.files.add({
        name,
        size: countResult(results, 'size'),
        sizeOriginal: countResult(results, 'size'),
        sizeRepo: countResult(results, 'stored-size'),
        timestamp: header.timestampStop,
        checksum: wal.checksum,
        bundleId: 0,
        bundleOffset: 0,
        blockSize: 0,
        blockChecksumSize: 0,
        blockMapSize: 0,
        mode: (pgData?.mode ?? 0o700) & 0o644,
        user: pgData?.user ?? false,
        group: pgData?.group ?? false,
      });
    } finally {
      for (const pipeline of pipelines) pipeline.close();
      await source.close();
    }
  }
  manifest.files.sort();
  await finish.saveProgress();
}

/** Makes the backup visible, in the order that leaves a valid repository whenever we are stopped. */
async function publish(session: Session<'backup'>, finish: FinishSettings): Promise<void> {
  const { repo, manifest, backupInfo, archiveInfo } = finish;
  const { version } = session;
  const { label } = manifest.header;
  const { storage, stanza } = repo;
  await hardlinkReferences(session, repo, manifest);
  await syncPaths(repo, manifest);
  const file = manifestFile(stanza, label);
  const history = historyFile(stanza, label);
  const { cipherPass } = backupInfo;
  // the copy has the same content by now; where a request costs more than the work it is not read back. No restore reads the
  // history: it need not be formatted anew
  if (isObjectStore(storage)) {
    await repo.writeManifest(manifest, history, cipherPass, version, { compress: true });
    await repo.writeManifest(manifest, file, cipherPass, version, { permanent: true });
  } else {
    await repo.compressManifest(file + copySuffix, history, cipherPass);
    await repo.copy(file + copySuffix, file);
  }
  await storage.paths?.sync(backupPath(stanza));
  await repo.saveBackupInfo({ ...backupInfo, backups: [...backupInfo.backups, entryOf(manifest)] }, version);
  // rewritten unchanged, as the reference does, so that its version tells who was here last
  await repo.saveArchiveInfo(archiveInfo, version);
  // where there are no links nobody has made one
  if (isObjectStore(storage)) return;
  await storage.remove(latestLink(stanza));
  const values = session.settings.repos.find(({ key }) => key === repo.key)?.values;
  if (values?.symlink !== false) await storage.links?.symbolic(label, latestLink(stanza));
}

/**
 * With repo-hardlink every backup directory looks like a whole cluster, though files are stored once. What an earlier backup
 * has put into a bundle, or left out there because it is empty, has no file of its own, and stays a reference.
 */
async function hardlinkReferences(session: Session<'backup'>, repo: StanzaRepo, manifest: Manifest): Promise<void> {
  const { links } = repo.storage;
  const { header, files } = manifest;
  if (!header.options.hardlink || links === undefined) return;
  const suffix = compressSuffix(header.options.compressType);
  for (let index = 0; index < files.length; index++) {
    const file = files.get(index);
    if (file.reference === undefined) continue;
    const from = backupFile(repo.stanza, storedIn(manifest, file), file, suffix);
    if (file.bundleId > 0 || (file.size === 0 && (await repo.storage.info(from)) === undefined)) {
      session.log.detail(`reference ${file.name} to ${file.reference}`);
      continue;
    }
    await links.hard(from, backupFile(repo.stanza, header.label, file, suffix));
    session.log.detail(`hardlink ${file.name} to ${file.reference}`);
  }
}

/** Files are durable when a worker answers; the names in their directories are after this. */
async function syncPaths(repo: StanzaRepo, manifest: Manifest): Promise<void> {
  const { paths, links } = repo.storage;
  if (paths === undefined) return;
  const { header } = manifest;
  const base = labelPath(repo.stanza, header.label);
  const values = new Set<string>();
  if ((header.type === 'full' && !header.bundle) || header.options.hardlink) {
    for (const path of manifest.paths) values.add(path.name);
    for (const target of manifest.targets) {
      if (target.tablespaceId === undefined || links === undefined) continue;
      const link = `${base}/${pgDataTarget}/pg_tblspc/${target.tablespaceId}`;
      if ((await repo.storage.info(link)) === undefined) {
        await links.symbolic(`../../pg_tblspc/${target.tablespaceId}`, link);
      }
    }
  } else {
    for (let index = 0; index < manifest.files.length; index++) {
      const { name, reference, bundleId, size } = manifest.files.get(index);
      if (reference !== undefined || bundleId > 0 || (header.bundle && size === 0)) continue;
      for (let at = name.lastIndexOf('/'); at > 0; at = name.lastIndexOf('/', at - 1)) values.add(name.slice(0, at));
    }
  }
  if (header.bundle && (await repo.storage.info(`${base}/bundle`)) !== undefined) values.add('bundle');
  for (const path of values) await paths.sync(`${base}/${path}`);
  await paths.sync(base);
}
