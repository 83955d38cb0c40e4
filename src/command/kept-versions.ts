/** What a store keeps of what was removed, or does not let go: nobody shall think that space was freed. */
import type { Log } from '../base/log.ts';
import { describeLock, LockedError } from '../storage/kept-files.ts';
import type { Storage } from '../storage/storage.ts';

/** @param name of the repository */
export function tellKept(log: Log, name: string, storage: Storage): void {
  const { files = 0, locked = 0, lockedUntil } = storage.kept?.() ?? {};
  if (files === 0) return;
  const what = `${name}: ${files} removed file(s) stay in the bucket as versions`;
  if (locked > 0)
    log.info(`${what}, up to ${locked} of them locked ${describeLock(lockedUntil)}: no space is freed before`);
  else log.detail(`${what}: no space is freed until a lifecycle rule of the bucket removes them`);
}

/** Waits for a removal of what is of no use, but does no harm: where it is locked it stays. */
export async function unlessLocked(log: Log, removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!(error instanceof LockedError)) throw error;
    log.warn(`${error.message}\nHINT: a later expire will remove it.`);
  }
}
