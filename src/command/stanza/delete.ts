/** `stanza-delete`: removes all that a repository holds for a stanza (behaviour, section 3). */
import { posix } from 'node:path';
import { BackstopError } from '../../base/error.ts';
import { archiveInfoFile, archivePath, backupInfoFile, backupPath, copySuffix } from '../../repo/layout.ts';
import { forAll, isObjectStore } from '../../repo/object-store.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { openClusterStorage } from '../../storage/drivers.ts';
import type { Storage } from '../../storage/storage.ts';
import { tellKept } from '../kept-versions.ts';
import { clusterSettings, openClusterFiles, openRepo, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { stopFile } from '../stop-file.ts';

export async function run(session: Session<'stanza-delete'>): Promise<undefined> {
  // the configuration asks for --repo unless the only repository is the first
  const [first] = repoSettings(session);
  const repo = await openRepo(session, first as NonNullable<typeof first>);
  // paths on this host, as those of a cluster are
  const local = await openClusterStorage({ key: 1 });
  try {
    await deleteFrom(session, repo, local);
  } finally {
    await local.close();
    await repo.storage.close();
  }
}

async function deleteFrom(session: Session<'stanza-delete'>, repo: StanzaRepo, local: Storage): Promise<void> {
  const { storage, stanza } = repo;
  const stopped = stopFile(session.settings.values['lock-path'], stanza);
  const parts = [
    { path: archivePath(stanza), info: archiveInfoFile(stanza) },
    { path: backupPath(stanza), info: backupInfoFile(stanza) },
  ];
  const looks = await forAll(parts, async part => {
    const isEmpty = (await storage.names(part.path)).length === 0;
    // an object store has no empty directories
    const isThere = !isEmpty || (!isObjectStore(storage) && (await storage.info(part.path)) !== undefined);
    return { ...part, isEmpty, isThere };
  });
  const found = looks.filter(({ isThere }) => isThere);
  if (found.length === 0) return;
  if (found.some(part => !part.isEmpty)) await checkStopped(session, repo, (await local.info(stopped)) !== undefined);
  await checkNoLinks(repo, found);
  // without its info files nothing can be restored, archived or backed up: nobody meets a half-removed stanza
  await forAll(
    found.flatMap(({ info, isEmpty }) => (isEmpty ? [] : [info, info + copySuffix])),
    file => storage.remove(file),
  );
  // nor after a crash: the names of the info files must not come back when what they speak of is gone
  await forAll(found, async ({ path }) => storage.paths?.sync(path));
  const hasDirectories = !isObjectStore(storage);
  const contents = hasDirectories ? (await forAll(found, part => contentsOf(storage, part.path))).flat() : found;
  await forAll(contents, ({ path }) => storage.removeTree(path));
  // before the empty directories: while they are there one who is to end this finds something to do, and removes the file, too
  await local.remove(stopped);
  if (hasDirectories) await forAll(found, ({ path }) => storage.removeTree(path));
  await forAll(found, async ({ path }) => storage.paths?.sync(posix.dirname(path)));
  tellKept(session.log, repo.name, storage);
}

/**
 * Whatever lies in a stanza's directory goes with it, so it must be the stanza's: a link may lead anywhere. The reference empties what
 * is behind it, and then fails.
 * @throws path-remove
 */
async function checkNoLinks(repo: StanzaRepo, parts: readonly { readonly path: string }[]): Promise<void> {
  for (const { path } of parts) {
    if (!(await repo.isLink(path))) continue;
    throw new BackstopError('path-remove', `'${repo.fullPath(path)}' is a link: what lies behind it is not removed`, {
      hint: "put the directory in the place of the link, or remove what is the stanza's by hand, and the link.",
    });
  }
}

/** What lies in a directory. */
async function contentsOf(storage: Storage, path: string): Promise<{ readonly path: string }[]> {
  return (await storage.names(path)).map(name => ({ path: `${path}/${name}` }));
}

/** @throws file-missing when the stanza was not stopped; pg-running when its server runs and force is off */
async function checkStopped(session: Session<'stanza-delete'>, repo: StanzaRepo, isStopped: boolean): Promise<void> {
  const stanza = stanzaOf(session);
  if (!isStopped) {
    throw new BackstopError('file-missing', `stop file does not exist for stanza '${stanza}'`, {
      hint: 'has the pgbackrest stop command been run on this server for this stanza?',
    });
  }
  if (session.settings.values.force) return;
  for (const cluster of clusterSettings(session)) {
    const files = await openClusterFiles(cluster);
    try {
      if ((await files.info(posix.join(cluster.path, 'postmaster.pid'))) === undefined) continue;
      throw new BackstopError(
        'pg-running',
        `postmaster.pid exists - looks like PostgreSQL is running. To delete stanza '${stanza}' on ${repo.name}, shut down PostgreSQL for stanza '${stanza}' and try again, or use --force.`,
      );
    } finally {
      await files.close();
    }
  }
}
