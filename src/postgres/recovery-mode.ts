/** What a starting server does with WAL that restore_command does not give it. */
import { readFileSync, statSync } from 'node:fs';

/**
 * Whether a server is recovering from the archive and would take a failure of restore_command for the end of WAL: it then
 * ends recovery and opens, without what is still in the archive. Exit codes above 125 alone keep it from that
 * (PostgreSQL: RestoreArchivedFile). A standby asks again after any failure, and would be stopped by such a code.
 * Where a look at a file fails it may be so: a server that stops can be started again, one that has opened cannot go on.
 * @param dataDirectory PGDATA on this host: where the server starts restore_command
 */
export function endsRecoveryOnFailure(dataDirectory: string): boolean {
  const mayHave = (name: string): boolean => isThere(`${dataDirectory}/${name}`, true);
  if (!mayHave('postmaster.pid') || isThere(`${dataDirectory}/standby.signal`, false)) return false;
  if (mayHave('recovery.signal')) return true;
  // before 12
  return mayHave('recovery.conf') && !asksForStandby(`${dataDirectory}/recovery.conf`);
}

/** @param untold the answer when a look fails; a directory that we may not enter is not that of the server that started us */
function isThere(path: string, untold: boolean): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EACCES' || code === 'ENOTDIR' ? false : untold;
  }
}

function asksForStandby(path: string): boolean {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // nobody knows, and that is an answer: see above
    return false;
  }
  // the last line counts; a boolean may be written short: t, tr, y, on, 1
  const values = [...text.matchAll(/^[ \t]*standby_mode[ \t]*=?[ \t]*'?(\w+)/gim)];
  return /^(on|1|t|tr|tru|true|y|ye|yes)$/i.test(values.at(-1)?.[1] ?? '');
}
