/** The story the demo tells, step by step, on a real PostgreSQL and through the command line only. */
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { bookMore, createLedger, fingerprint, startLoad } from './ledger.ts';
import type { Narrator } from './narrator.ts';
import { Cluster, completePackage } from './postgres.ts';
import { commandLine, quote } from './shell.ts';
import { embeddedPackage, type Installation } from './workplace.ts';

const run = promisify(execFile);

export interface Stage {
  readonly workplace: string;
  readonly installation: Installation;
  readonly narrator: Narrator;
  readonly env: NodeJS.ProcessEnv;
}

/** Every place of the demo. */
function placesOf({ workplace, installation }: Stage) {
  const postgres = join(installation.root, 'node_modules', embeddedPackage);
  return {
    bin: join(workplace, 'bin'),
    config: join(workplace, 'pgbackrest.conf'),
    settings: join(workplace, 'env.sh'),
    repo: join(workplace, 'repo'),
    log: join(workplace, 'log'),
    lock: join(workplace, 'lock'),
    socket: join(workplace, 'socket'),
    original: join(workplace, 'original'),
    restored: join(workplace, 'restored'),
    postgres,
    postgresBin: join(postgres, 'native/bin'),
  };
}

type Places = ReturnType<typeof placesOf>;

function configFile(places: Places): string {
  return `[global]
repo1-path=${places.repo}
repo1-retention-full=2
log-path=${places.log}
lock-path=${places.lock}
log-level-console=warn
compress-type=lz4
process-max=2
start-fast=y

[demo]
pg1-path=${places.original}
pg1-socket-path=${places.socket}
pg1-port=5432
pg1-user=postgres
`;
}

/** The variables that make the commands short, for us and for whoever repeats them by hand. */
function variablesOf(places: Places, installation: Installation): Record<string, string> {
  return {
    PATH: [places.bin, places.postgresBin, dirname(installation.node)].join(delimiter),
    PGBACKREST_CONFIG: places.config,
    PGBACKREST_STANZA: 'demo',
    PGHOST: places.socket,
    PGUSER: 'postgres',
  };
}

/**
 * Plays the demo.
 * @returns whether the restored rows equal those before the accident
 * @throws when a command or the server fails
 */
export async function play(stage: Stage): Promise<boolean> {
  const { narrator, installation } = stage;
  const places = placesOf(stage);
  const variables = variablesOf(places, installation);
  const inherited = Object.entries(stage.env).filter(([name]) => !/^(PGBACKREST_|PG[A-Z]+$)/.test(name));
  const env = { ...Object.fromEntries(inherited), ...variables, PATH: `${variables.PATH}:${stage.env.PATH ?? ''}` };

  const pgbackstop = async (...args: string[]): Promise<string> => {
    narrator.command(commandLine(['pgbackstop', ...args]));
    const { stdout, stderr } = await run(join(places.bin, 'pgbackstop'), args, { env, maxBuffer: 1 << 26 });
    if (stderr !== '') narrator.output(stderr);
    return stdout;
  };
  const show = async (...args: string[]): Promise<void> => {
    const output = await pgbackstop(...args);
    if (output.trim() !== '') narrator.output(output);
  };

  const cluster = (data: string, port: number): Cluster =>
    new Cluster({ bin: places.postgresBin, data, socket: places.socket, port, log: `${data}.log` });
  const original = cluster(places.original, 5432);
  const restored = cluster(places.restored, 5433);

  try {
    const version = await narrator.step('Start PostgreSQL, archiving its WAL with pgbackstop', async () => {
      await completePackage(places.postgres);
      for (const folder of [places.bin, places.repo, places.log, places.lock, places.socket]) await mkdir(folder);
      await symlink(join(installation.root, 'bin/pgbackstop.cjs'), join(places.bin, 'pgbackstop'));
      await writeFile(places.config, configFile(places));
      const exports = Object.entries(variables).map(
        ([name, value]) => `export ${name}=${quote(value)}${name === 'PATH' ? `:"$PATH"` : ''}\n`,
      );
      await writeFile(places.settings, exports.join(''));
      const archiveCommand = `${join(places.bin, 'pgbackstop')} --config=${places.config} --stanza=demo archive-push %p`;
      await original.create({
        listen_addresses: '',
        unix_socket_directories: places.socket,
        archive_mode: 'on',
        archive_command: archiveCommand,
      });
      narrator.output(`archive_command = '${archiveCommand}'`);
      narrator.command(commandLine(original.startCommand));
      await original.start(env);
      await createLedger(original);
      const answer = await original.ask('show server_version');
      narrator.output(`PostgreSQL ${answer} runs, with 100000 rows in the table "ledger"`);
      return answer;
    });

    await narrator.step('Create the stanza and check it', async () => {
      await show('stanza-create');
      await show('check');
    });

    await narrator.step('Take a full backup while the ledger is written to', async () => {
      const load = await startLoad(original);
      let written: Awaited<ReturnType<typeof load.stop>>;
      try {
        await show('backup', '--type=full');
      } finally {
        written = await load.stop();
      }
      narrator.output(
        `${written.transactions} transactions were committed meanwhile (${written.seconds.toFixed(1)} s)`,
      );
    });

    const { before, moment } = await narrator.step('Go on working, then drop the table', async () => {
      await bookMore(original, 5000);
      const before = await fingerprint(original);
      // The accident must be later than the moment, and restore picks the backup by whole seconds.
      await sleep(1100);
      const moment = await original.ask('select clock_timestamp()::text');
      await sleep(200);
      await original.ask('drop table ledger');
      narrator.output(`ledger before: ${before.rows} rows, fingerprint ${before.digest}`);
      narrator.output(`moment before the accident: ${moment}`);
      narrator.output(`drop table ledger;`);
      const segment = await original.ask('select pg_walfile_name(pg_switch_wal())');
      await original.waitUntil(
        `${segment} is archived`,
        `select last_archived_wal >= '${segment}' from pg_stat_archiver`,
      );
      narrator.output(`WAL segment ${segment}, which holds the accident, is archived`);
      return { before, moment };
    });

    await narrator.step('Restore to that moment, beside the damaged cluster', async () => {
      await mkdir(places.restored, { mode: 0o700 });
      await show(
        `--pg1-path=${places.restored}`,
        '--type=time',
        `--target=${moment}`,
        '--target-action=promote',
        '--archive-mode=off',
        'restore',
      );
    });

    const after = await narrator.step('Start the restored cluster', async () => {
      narrator.command(commandLine(restored.startCommand));
      await restored.start(env);
      await restored.waitUntil('recovery is over', 'select (not pg_is_in_recovery())::text');
      const after = await fingerprint(restored);
      narrator.output(`ledger now:    ${after.rows} rows, fingerprint ${after.digest}`);
      const lost = await original.ask(`select (to_regclass('ledger') is null)::text`);
      if (lost !== 'true') throw new Error('the table was not dropped in the original cluster');
      return after;
    });

    await narrator.step('Show what the repository holds', async () => {
      await show('info');
    });

    const equal = before.rows === after.rows && before.digest === after.digest;
    narrator.line();
    if (equal) narrator.success(`PostgreSQL ${version}: all ${after.rows} rows are back, exactly as they were.`);
    else narrator.failure(`The rows differ: ${before.rows} (${before.digest}), now ${after.rows} (${after.digest}).`);
    return equal;
  } finally {
    await restored.stop();
    await original.stop();
  }
}

/** Says where everything lies, and how to go through the steps again. */
export function describe(stage: Stage, kept: boolean, userName: string | undefined): void {
  const { narrator, workplace } = stage;
  const places = placesOf(stage);
  const rows: [string, string][] = [
    ['repository', places.repo],
    ['configuration', places.config],
    ['pgbackstop logs', places.log],
    ['original cluster', `${places.original} (log: ${places.original}.log)`],
    ['restored cluster', `${places.restored} (log: ${places.restored}.log)`],
  ];
  narrator.line();
  narrator.line(kept ? `Everything is kept in ${workplace}:` : `Everything lay in ${workplace}, now removed:`);
  for (const [what, where] of rows) narrator.line(`   ${what.padEnd(17)} ${where}`);
  narrator.line();
  if (!kept) {
    narrator.line('To look around and repeat each step by hand: npm run demo -- --keep');
    return;
  }
  narrator.line('By hand (the servers are stopped):');
  if (userName !== undefined)
    narrator.command(`setpriv --reuid=${userName} --regid=${process.getgid?.()} --clear-groups sh`);
  for (const command of [
    `cd ${quote(workplace)} && . ./env.sh`,
    `pg_ctl -D original -l original.log -o '-p 5432' start`,
    'pgbackstop check',
    'pgbackstop backup --type=full',
    'pgbackstop info',
    `mkdir -m 700 again && pgbackstop --pg1-path=${quote(join(workplace, 'again'))} --type=immediate --target-action=promote --archive-mode=off restore`,
    `pg_ctl -D again -l again.log -o '-p 5434' start`,
    'pg_ctl -D again stop; pg_ctl -D original stop',
  ]) {
    narrator.command(command);
  }
  narrator.line(`Then: rm -r ${quote(workplace)}`);
}
