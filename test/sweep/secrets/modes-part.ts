/** The life of a stanza by either tool, for the modes of what it makes. */
import { lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgeSegment, systemId } from '../../command/archive/archive-bed.ts';
import { makeTemporaryFolder } from '../../support/cluster.ts';
import { TinyCluster } from '../../support/tiny-cluster.ts';
import { giveTo, runAs, unprivilegedUser } from '../../support/unprivileged.ts';

export interface ModeCase {
  /** In octal, as a shell takes it. */
  readonly umask: string;
  readonly neutral: boolean;
}

const segments = ['000000010000000000000001', '000000010000000000000002'] as const;

/** Modes in octal by names, of all that was made. */
export async function modesOf(tool: readonly string[], { umask, neutral }: ModeCase): Promise<Map<string, string>> {
  const user = unprivilegedUser();
  const root = makeTemporaryFolder(user, 'modes-');
  try {
    const { data } = new TinyCluster(join(root, 'pg'), user, systemId);
    const made = (name: string, mode: number): string => {
      mkdirSync(join(root, name), { mode });
      giveTo(user, join(root, name));
      return join(root, name);
    };
    const [log, target, space] = [made('log', 0o700), made('target', 0o700), made('space', 0o700)];
    made('pg/data/pg_wal/archive_status', 0o700);
    const config = join(root, 'pgbackrest.conf');
    writeFileSync(
      config,
      `[global]\nrepo1-path=${root}/made/repo\nrepo1-retention-full=1\nlog-path=${log}\nlock-path=${root}/made/lock\nspool-path=${root}/made/spool\n` +
        `log-level-console=off\nlog-level-stderr=error\nneutral-umask=${neutral ? 'y' : 'n'}\n[demo]\npg1-path=${data}\n`,
    );
    giveTo(user, config);
    const run = async (...args: readonly string[]): Promise<void> => {
      const argv = [
        'sh',
        '-c',
        `umask ${umask}; exec "$@"`,
        'sh',
        ...tool,
        `--config=${config}`,
        '--stanza=demo',
        ...args,
      ];
      const { code, stderr } = await runAs(user, argv, { cwd: data });
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}\n${stderr}`);
    };
    made('made', 0o700);
    await run('stanza-create', '--no-online');
    const cluster = (name: string, content: Uint8Array | string) => {
      writeFileSync(join(data, name), content, { mode: 0o600 });
      giveTo(user, join(data, name));
    };
    for (const [index, name] of segments.entries()) {
      cluster(`pg_wal/${name}`, forgeSegment(name, { segmentSize: 16 << 20 }, 16 << 20));
      cluster(`pg_wal/archive_status/${name}.ready`, '');
      await run('archive-push', ...(index === 0 ? [] : ['--archive-async']), `pg_wal/${name}`);
    }
    await run('backup', '--no-online', '--type=full');
    cluster('base/5/16390', 'changed');
    await run('backup', '--no-online', '--type=incr');
    await run('archive-get', segments[0], join(root, 'made', 'segment'));
    await run('archive-get', '--archive-async', segments[0], join(root, 'made', 'segment-async'));
    await run('restore', `--pg1-path=${target}`, `--tablespace-map-all=${space}`, '--type=standby');
    await run('stop');
    return new Map(['made', 'log', 'target'].flatMap(name => modesBelow(root, name)));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Modes of what lies below a folder, under names that are the same in each run. */
function modesBelow(root: string, folder: string): [string, string][] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names.flatMap((name): [string, string][] => {
    const info = lstatSync(join(root, folder, name));
    return info.isSymbolicLink() ? [] : [[`${folder}/${alike(name)}`, (info.mode & 0o7777).toString(8)]];
  });
}

const alike = (name: string): string =>
  name
    .replace(/\d{8}-\d{6}F_\d{8}-\d{6}I/g, 'INCR')
    .replace(/\d{8}-\d{6}F/g, 'FULL')
    .replace(/-[0-9a-f]{40}/, '-SHA1')
    .replace(/backup\.history\/\d{4}/, 'backup.history/YEAR');
