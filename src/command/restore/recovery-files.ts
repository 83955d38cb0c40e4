/** Writes the recovery settings to where PostgreSQL looks for them. */
import { readFileSync } from 'node:fs';
import { systemError } from '../../base/error.ts';
import { exists } from '../../base/exists.ts';
import { restoreCommandOptions } from '../../config/index.ts';
import type { PostgresVersion } from '../../postgres/versions.ts';
import { finishSink } from '../../repo/stored.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Session } from '../session.ts';
import { formatRecovery, mergeAutoConf } from './recovery.ts';

/** `CMD OPTIONS archive-get %f "%p"`. @param pgPath when it is not the one of the backup */
export function restoreCommandLine(session: Session<'restore'>, pgPath: string | undefined, repoKey: number): string {
  const { settings } = session;
  const options = restoreCommandOptions(settings, {
    ...(pgPath === undefined ? {} : { pgPath }),
    ...(settings.values.repo === undefined ? {} : { repoKey }),
  });
  return [settings.values.cmd ?? settings.program, ...options, 'archive-get', '%f', '"%p"'].join(' ');
}

export interface RecoveryFiles {
  readonly files: Storage;
  readonly pgPath: string;
  readonly version: PostgresVersion;
  readonly type: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly mode: number;
  readonly owner: { readonly userId: number; readonly groupId: number };
}

export async function writeRecovery(session: Session<'restore'>, recovery: RecoveryFiles): Promise<void> {
  const { pgPath, version, type } = recovery;
  const { log } = session;
  const now = Math.floor(session.clock.now() / 1000);
  const put = async (name: string, content: Buffer) => {
    const sink = await recovery.files.write(`${pgPath}/${name}`, { mode: recovery.mode, owner: recovery.owner });
    await finishSink(sink, async () => {
      await sink.write(content);
    });
  };
  const file = version.recovery === 'file' ? 'recovery.conf' : 'postgresql.auto.conf';
  const path = `${pgPath}/${file}`;
  if (type === 'preserve') {
    if (!exists(path)) log.warn(`recovery type is preserve but recovery file does not exist at '${path}'`);
    return;
  }
  if (version.recovery === 'file') {
    if (type === 'none') return;
    log.info(`write ${path}`);
    await put(file, Buffer.from(formatRecovery(recovery.settings, now)));
    return;
  }
  const isThere = exists(path);
  if (!isThere) log.warn('postgresql.auto.conf does not exist -- creating to contain recovery settings');
  log.info(`write ${isThere ? 'updated ' : ''}${path}`);
  const old = isThere ? read(path) : Buffer.alloc(0);
  await put(file, mergeAutoConf(old, type === 'none' ? undefined : recovery.settings, now));
  if (type !== 'none') await put(type === 'standby' ? 'standby.signal' : 'recovery.signal', Buffer.alloc(0));
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw systemError(error, { other: 'file-read' }, `unable to read '${path}'`);
  }
}
