/** Passwords of a server: how a command gets them, and a server that wants them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestCluster } from '../../support/cluster.ts';
import { giveTo } from '../../support/unprivileged.ts';
import type { Outcome, SecretBed } from './secret-bed.ts';

/** Where a password is looked for. */
export const passwordPlaces = ['PGPASSWORD', 'PGPASSFILE', '~/.pgpass'] as const;
export type PasswordPlace = (typeof passwordPlaces)[number];

export class ServerPart {
  readonly cluster: TestCluster;
  readonly #bed: SecretBed;
  readonly #config: string;
  readonly #password: string;

  private constructor(cluster: TestCluster, bed: SecretBed) {
    this.cluster = cluster;
    this.#bed = bed;
    this.#password = bed.canaries.make('password of the server', ['+', '/', '#1;2==']);
    const { canaries, root } = bed;
    for (const name of ['server', 'server/lock', 'server/log', 'server/spool']) bed.folder(name);
    this.#config = bed.secretFile(
      'server/pgbackrest.conf',
      `[global]\nrepo1-path=${root}/server/repo\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=${canaries.make('passphrase of the server')}\n` +
        `repo1-retention-full=9\nlock-path=${root}/server/lock\nlog-path=${root}/server/log\nspool-path=${root}/server/spool\nlog-level-file=trace\n` +
        `archive-timeout=20\nstart-fast=y\nrepo1-bundle=y\narchive-async=y\ncompress-type=lz4\nprocess-max=2\n` +
        `recovery-option=primary_conninfo=host=db password='${canaries.make('password of the primary', [' ', '/', ''])}' user=me\n` +
        `[demo]\npg1-path=${cluster.dataDirectory}\npg1-port=${cluster.port}\npg1-socket-path=${cluster.socketDirectory}\npg1-user=guarded\n`,
    );
  }

  static async start(bed: SecretBed): Promise<ServerPart> {
    const cluster = await TestCluster.create({ walSegmentSize: 1 });
    try {
      const part = new ServerPart(cluster, bed);
      const push = [...bed.tool, `--config=${part.#config}`, '--stanza=demo', 'archive-push'];
      // the real tool wants its name in archive_command
      cluster.writeFile('pgbackrest-push', `exec ${push.map(word => `'${word}'`).join(' ')} "$1"\n`);
      cluster.configure({ archive_mode: 'on', archive_command: `sh ${cluster.root}/pgbackrest-push %p` });
      await cluster.start();
      await cluster.sql(`create role guarded superuser login password '${part.#password}'`);
      const rules = join(cluster.dataDirectory, 'pg_hba.conf');
      writeFileSync(rules, `local all guarded scram-sha-256\n${readFileSync(rules, 'utf8')}`);
      await cluster.reload();
      return part;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  /** Runs a command, with the password from the place that is named. @param password another one, which is wrong */
  async run(
    place: PasswordPlace,
    command: string,
    args: readonly string[] = [],
    password = this.#password,
  ): Promise<Outcome> {
    const argv = [`--config=${this.#config}`, '--stanza=demo', '--log-level-console=trace', command, ...args];
    return await this.#bed.start(`${command}, password by ${place}`, argv, { env: this.#environment(place, password) });
  }

  #environment(place: PasswordPlace, password: string): Record<string, string> {
    if (place === 'PGPASSWORD') return { PGPASSWORD: password };
    const line = `*:*:*:guarded:${password.replace(/[\\:]/g, '\\$&')}\n`;
    if (place === 'PGPASSFILE') return { PGPASSFILE: this.#bed.secretFile('server/passwords', line) };
    this.#bed.folder('home-with-password');
    return { HOME: join(this.#bed.secretFile('home-with-password/.pgpass', line), '..') };
  }

  /** A folder for a restore, which does not exist before. */
  newData(): string {
    const path = this.#bed.folder('server/restored');
    giveTo(this.#bed.user, path);
    return path;
  }

  async dispose(): Promise<void> {
    await this.cluster.stop();
    await this.cluster.dispose();
  }
}
