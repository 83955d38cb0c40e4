/** Where a command's log lies (format, section 9.4). */
import type { CommandName, CommandRole } from '../config/command.ts';

/** What is needed of settings. */
interface LogFileSettings {
  readonly command: CommandName;
  readonly role: CommandRole;
  readonly values: { readonly 'log-path'?: string | undefined; readonly stanza?: string | undefined };
}

/** `/var/log/pgbackrest/demo-archive-push-async.log`. @param role another than that of the settings */
export function logFile({ command, role, values }: LogFileSettings, ofRole = role): string {
  const suffix = ofRole === 'main' ? '' : `-${ofRole}`;
  return `${values['log-path']}/${values.stanza ?? 'all'}-${command}${suffix}.log`;
}
