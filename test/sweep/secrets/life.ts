/** Every command once, in an order in which they work. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandNames } from '../../../src/config/command.ts';
import { forgeSegment } from '../../command/archive/archive-bed.ts';
import { giveTo } from '../../support/unprivileged.ts';
import type { SecretBed, SecretRun } from './secret-bed.ts';

export const segments = [1, 2, 3].map(number => `00000001000000000000000${number}`);

/** One command line of a stanza's life. */
export interface Step {
  readonly command: string;
  readonly args?: (bed: SecretBed) => readonly string[];
  /** Exit code, 0 when absent. */
  readonly code?: number;
  readonly run?: SecretRun;
}

const [first = '', second = '', third = ''] = segments;

/** PostgreSQL has ended a segment. @returns its path */
function written(bed: SecretBed, name: string): string {
  for (const folder of ['pg_wal', 'pg_wal/archive_status'])
    mkdirSync(join(bed.cluster.data, folder), { recursive: true, mode: 0o700 });
  bed.cluster.write(`pg_wal/${name}`, forgeSegment(name));
  bed.cluster.write(`pg_wal/archive_status/${name}.ready`, '');
  return join(bed.cluster.data, 'pg_wal', name);
}

/** A folder for a restore, which does not exist before. */
function target(bed: SecretBed, name: string): string[] {
  for (const part of ['data', 'space']) rmSync(join(bed.root, name, part), { recursive: true, force: true });
  return [`--pg1-path=${bed.folder(`${name}/data`)}`, `--tablespace-map-all=${bed.folder(`${name}/space`)}`];
}

const offline = () => ['--no-online'];
const newest = (bed: SecretBed): string => `--set=${bed.labels().at(-1)}`;

/** Up to a repository that has everything. */
export const beginning: readonly Step[] = [
  { command: 'stanza-create', args: offline },
  { command: 'stanza-upgrade', args: offline },
  { command: 'archive-push', args: bed => [written(bed, first)] },
  { command: 'archive-push', args: bed => ['--archive-async', written(bed, second)] },
  // answered from the spool, of which a note is kept for the next time
  ...[1, 2].map(() => ({
    command: 'archive-push',
    args: (bed: SecretBed) => ['--archive-async', join(bed.cluster.data, 'pg_wal', second)],
    run: { quiet: true, way: 'file' } as const,
  })),
  { command: 'backup', args: () => ['--no-online', '--type=full'] },
  { command: 'backup', args: () => ['--no-online', '--type=full', '--repo=2', '--repo2-bundle'] },
];

/** What can be done with it again and again. */
export const middle: readonly Step[] = [
  { command: 'backup', args: () => ['--no-online', '--type=incr'] },
  { command: 'annotate', args: bed => [newest(bed), '--annotation=by=sweep'] },
  { command: 'info' },
  { command: 'info', args: () => ['--output=json'] },
  { command: 'info', args: bed => [newest(bed), '--repo=1'] },
  { command: 'manifest' },
  { command: 'manifest', args: () => ['--output=json'] },
  { command: 'repo-ls', args: () => ['--recurse', '--output=json'] },
  { command: 'repo-get', args: () => ['--raw', 'backup/demo/backup.info'] },
  { command: 'repo-get', args: bed => [`backup/demo/${bed.labels()[0]}/pg_data/PG_VERSION.lz4`] },
  { command: 'repo-put', args: () => ['archive/demo/note'], run: { input: 'a note\n' } },
  { command: 'repo-rm', args: () => ['archive/demo/note'] },
  { command: 'verify', args: () => ['--output=text', '--verbose'] },
  { command: 'expire' },
  { command: 'archive-get', args: bed => [first, join(bed.root, 'work', 'segment')] },
  { command: 'archive-get', args: bed => ['--archive-async', second, join(bed.root, 'work', 'segment')] },
  { command: 'restore', args: bed => target(bed, 'restored') },
  {
    command: 'restore',
    args: bed => [
      '--delta',
      `--pg1-path=${bed.root}/restored/data`,
      `--tablespace-map-all=${bed.root}/restored/space`,
      '--type=standby',
      '--archive-mode=off',
    ],
  },
  { command: 'check', args: () => ['--report'] },
  // no server runs here
  { command: 'check', code: 27 },
  { command: 'stop' },
  { command: 'start' },
  { command: 'server', code: 37 },
  { command: 'server-ping', code: 67 },
  { command: 'version', run: { bare: true } },
  { command: 'archive-push', args: bed => [written(bed, third)] },
];

export const end: readonly Step[] = [
  { command: 'stop' },
  { command: 'stanza-delete', args: () => ['--repo=1', '--force'] },
];

/** Help shows what the configuration has. */
export const help: readonly Step[] = commandNames
  .filter(name => name !== 'help' && name !== 'version')
  .map(name => ({ command: 'help', args: () => [name], run: { quiet: true } }));

/** Passphrases that the repository itself has made: known once there is a backup. */
export async function learnPassphrases(bed: SecretBed): Promise<void> {
  const label = bed.labels()[0];
  for (const path of ['archive/demo/archive.info', 'backup/demo/backup.info', `backup/demo/${label}/backup.manifest`])
    await bed.learn(path);
}

/** Something to find in the data directory that changes. */
export function change(bed: SecretBed, content: string): void {
  writeFileSync(join(bed.cluster.data, 'base/5/16390'), content);
  giveTo(bed.user, join(bed.cluster.data, 'base/5/16390'));
}
