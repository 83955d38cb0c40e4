/** What a backup of a stopped cluster must bring back: every file that it holds, to be compared with the cluster's. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { listTree } from './stanza.ts';

/** Belongs to a running server, to another backup or to another recovery: no backup holds it. */
const ofTheMoment =
  /^(postmaster\.(pid|opts)|backup_label\.old|pg_(stat_tmp|dynshmem|subtrans|notify|serial|snapshots)\/.+|(.*\/)?pg_internal\.init.*)/;

/**
 * Every file of a data directory and its tablespaces that a backup holds, with its content; links are what they lead
 * to. Forks of unlogged relations are left out, which recovery makes anew of their init forks.
 */
export function backedUpContent(dataDirectory: string): string[] {
  const tree = listTree(dataDirectory, name => (ofTheMoment.test(name) ? 'nothing' : 'all'));
  const spaces = join(dataDirectory, 'pg_tblspc');
  const lines = [
    ...tree.filter(line => !line.includes(' -> ')),
    ...readdirSync(spaces).flatMap(oid => listTree(join(spaces, oid)).map(line => `${spaceOf(oid)}${line}`)),
  ];
  const unlogged = new Set(lines.flatMap(line => /^(.*)_init \S+$/.exec(line)?.[1] ?? []));
  return lines.filter(line => !unlogged.has(/^(.*?)(_fsm|_vm)?(\.\d+)? \S+$/.exec(line)?.[1] ?? ''));
}

const spaceOf = (oid: string): string => `pg_tblspc/${oid}: `;
