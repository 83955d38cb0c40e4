/**
 * A data directory that no server could start from, but any offline backup takes: a pg_control, a few relations, a
 * tablespace. Made in no time, and its backups have a few kilobytes.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgeControl } from '../postgres/forge.ts';
import type { UnprivilegedUser } from './unprivileged.ts';

export class TinyCluster {
  readonly folder: string;
  readonly data: string;
  readonly #user: UnprivilegedUser;
  /** Of the next write; long ago. */
  #second = 1_600_000_000;

  /** @param folder does not exist yet */
  constructor(folder: string, user: UnprivilegedUser, systemId: bigint) {
    this.folder = folder;
    this.data = join(folder, 'data');
    this.#user = user;
    const space = join(folder, 'space');
    for (const path of [folder, this.data, space]) mkdirSync(path, { mode: 0o700 });
    for (const name of ['base', 'base/5', 'global', 'pg_tblspc', 'pg_wal'])
      mkdirSync(join(this.data, name), { mode: 0o700 });
    for (const name of ['PG_15_202209061', 'PG_15_202209061/5']) mkdirSync(join(space, name), { mode: 0o700 });
    symlinkSync(space, join(this.data, 'pg_tblspc/16400'));
    this.write('PG_VERSION', '15\n');
    this.write('global/pg_control', forgeControl('15', { systemId }));
    this.write('base/5/1247', pages(3, 1));
    this.write('base/5/1259', pages(2, 2));
    this.write('base/5/16384', pages(1, 3));
    this.write('base/5/16390', '');
    this.write('pg_tblspc/16400/PG_15_202209061/5/16401', pages(1, 4));
    this.write('postgresql.conf', '# settings\n');
    this.write('pg_hba.conf', '# hosts\n');
  }

  /**
   * Writes a file of the data directory, which then belongs to the user. Each write has a second of its own: what changes twice in
   * one has not changed for an incremental backup that is made with the cluster down.
   */
  write(name: string, content: string | Uint8Array): void {
    const path = join(this.data, name);
    writeFileSync(path, content, { mode: 0o600 });
    utimesSync(path, this.#second, this.#second);
    this.#second++;
    if (this.#user.foreign) execFileSync('chown', ['-hR', `${this.#user.uid}:${this.#user.gid}`, this.folder]);
  }
}

/** Pages that compress well, and differ by their seed. */
export function pages(count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count * 8192);
  for (let at = 0; at < bytes.length; at += 64) bytes.writeUInt32LE((at * 2654435761 + seed * 40503) >>> 0, at);
  return bytes;
}
