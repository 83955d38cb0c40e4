/** What is not built yet, although its options are read and checked: said by help and man pages until it is. */
import type { CommandName } from '../command.ts';
import type { OptionName } from '../table.ts';

export const unbuiltCommands: readonly CommandName[] = ['server', 'server-ping'];

const refused = /^(repo-(azure|gcs|sftp|host)|pg-host|tls-server)(-|$)/;
const network = /^(cmd-ssh|compress-level-network|log-subprocess)$/;
/** Node has no such setting of a socket. */
const impossible = /^(sck-.*|tcp-keep-alive-(count|interval))$/;

/** @returns a sentence, or undefined for an option that does what its words say */
export function unbuiltNote(name: OptionName): string | undefined {
  if (name === 'repo-type') return 'Not built yet: azure, gcs and sftp; they end with exit code 67.';
  if (refused.test(name)) return 'Not built yet: a command that would need it ends with exit code 67.';
  if (network.test(name)) return 'Has no effect until hosts behind a network are built.';
  if (impossible.test(name)) return 'Has no effect: connections are always kept alive, with the counts of the system.';
  return undefined;
}
