/** The stop files that `stop` makes and `start` removes (format, section 9.2). */
import { statSync } from 'node:fs';
import { BackstopError, systemError } from '../base/error.ts';

/** What is needed of a session: its lock path and stanza. */
interface Stoppable {
  readonly settings: {
    readonly values: { readonly 'lock-path'?: string | undefined; readonly stanza?: string | undefined };
  };
}

/** @param stanza absent: the file that stops all stanzas */
export function stopFile(lockPath: string, stanza: string | undefined): string {
  return `${lockPath}/${stanza ?? 'all'}.stop`;
}

/** @throws stop when this stanza, or all of them, were stopped */
export function checkStopFile(session: Stoppable): void {
  const { 'lock-path': lockPath, stanza } = session.settings.values;
  if (lockPath === undefined) throw new BackstopError('assert', 'command without lock-path');
  const hint = "run the 'start' command to go on.";
  if (stanza !== undefined && isThere(stopFile(lockPath, stanza))) {
    throw new BackstopError('stop', `stop file exists for stanza ${stanza}`, { hint });
  }
  if (isThere(stopFile(lockPath, undefined)))
    throw new BackstopError('stop', 'stop file exists for all stanzas', { hint });
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw systemError(error, { other: 'file-open' }, `unable to look for stop file '${path}'`);
  }
}
