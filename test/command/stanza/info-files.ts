/** The info files of the stanza `demo`, and the pg_control that they are made from. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgeControl } from '../../postgres/forge.ts';

/** Below the repository: each file before its copy. */
export const infoFiles = [
  'archive/demo/archive.info',
  'archive/demo/archive.info.copy',
  'backup/demo/backup.info',
  'backup/demo/backup.info.copy',
];

export const systemId = 7710459850167362506n;

/** Makes a cluster of it as far as stanza commands look. @param root its data directory is `pg` in here */
export function writeControl(root: string, version = '15', id = systemId): void {
  mkdirSync(join(root, 'pg', 'global'), { recursive: true });
  writeFileSync(join(root, 'pg', 'global', 'pg_control'), forgeControl(version, { systemId: id }));
}
