/** What a starting server does with WAL that restore_command does not give it. */
import { existsSync, readFileSync } from 'node:fs';
import { systemError } from '../base/error.ts';

/**
 * Whether a server is recovering from the archive and would take a failure of restore_command for the end of WAL: it then
 * ends recovery and opens, without what is still in the archive. Exit codes above 125 alone keep it from that
 * (PostgreSQL: RestoreArchivedFile). A standby asks again after any failure, and would be stopped by such a code.
 * @param dataDirectory PGDATA on this host: where the server starts restore_command
 */
export function endsRecoveryOnFailure(dataDirectory: string): boolean {
  const has = (name: string): boolean => existsSync(`${dataDirectory}/${name}`);
  if (!has('postmaster.pid') || has('standby.signal')) return false;
  if (has('recovery.signal')) return true;
  // before 12
  return has('recovery.conf') && !asksForStandby(`${dataDirectory}/recovery.conf`);
}

function asksForStandby(path: string): boolean {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw systemError(error, { other: 'file-open' }, `unable to read '${path}'`);
  }
  // the last line counts; a boolean may be written short: t, tr, y, on, 1
  const values = [...text.matchAll(/^[ \t]*standby_mode[ \t]*=?[ \t]*'?(\w+)/gim)];
  return /^(on|1|t|tr|tru|true|y|ye|yes)$/i.test(values.at(-1)?.[1] ?? '');
}
