/**
 * The options that every command shares, given to every command: one by one through the life of a stanza, once by
 * `--config` and the environment, once by a folder of configuration. Each command tells at its begin what it understood;
 * what can be seen of it is looked at: logs, locks, modes, connections, places.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunCommand } from '../../src/config/command.ts';
import { type OptionName, optionIsValid } from '../../src/config/table.ts';
import { TestCluster } from '../support/cluster.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
let project: RunnableProject;
let cluster: TestCluster;
let wal: string;

beforeAll(async () => {
  project = runnableProject(user);
  cluster = await TestCluster.create({
    walSegmentSize: 1,
    settings: { archive_mode: 'on', archive_command: `sh ../pgbackrest-push %p`, log_connections: 'on' },
  });
  cluster.writeFile('pgbackrest-push', 'exit 1\n');
  await cluster.start();
  await cluster.sql('create role operator superuser login');
  await cluster.sql('create database other');
});
afterAll(async () => {
  await cluster?.dispose();
  project?.remove();
});

/** How a stanza's commands are told what to do. */
interface Way {
  readonly stanza: string;
  /** Folder of everything that is not the cluster's. */
  readonly folder: string;
  /** How the configuration is found. */
  readonly arguments: readonly string[];
  /** Options given by the environment, as the begin line shows them: to those commands that have them. */
  readonly environment: Readonly<Partial<Record<OptionName, string>>>;
  /** More of them in files, to be found in the begin line. */
  readonly files: Readonly<Partial<Record<OptionName, string>>>;
  /** The repository to work on, where it can be said. */
  readonly repo: number;
}

function makeWay(stanza: string, repo: number): Way {
  const folder = cluster.makeFolder(stanza);
  for (const name of ['more', 'conf', 'conf/conf.d', 'lock', 'log', 'spool']) cluster.makeFolder(join(stanza, name));
  const [major = ''] = cluster.binaries.version.split('.');
  const environment = {
    'allow-root': 'y',
    'buffer-size': '64KiB',
    'db-timeout': '61s',
    'exec-id': `7-${stanza}`,
    'job-retry': '0',
    'job-retry-interval': '1s',
    'log-level-console': 'debug',
    'log-level-stderr': 'warn',
    'log-timestamp': 'n',
    'neutral-umask': 'n',
    'pg-version-force': major,
    priority: '3',
    'process-max': '2',
  } as const;
  const files = {
    cmd: '/opt/pgbackrest',
    'compress-level': '2',
    'compress-type': 'lz4',
    'archive-timeout': '59s',
  } as const;
  const lines = [
    '[global]',
    `repo1-path=${folder}/repo1`,
    'repo1-cipher-type=aes-256-cbc',
    'repo1-cipher-pass=sekret',
    ...(repo === 1 ? [] : [`repo2-path=${folder}/repo2`, 'repo2-type=cifs']),
    `lock-path=${folder}/lock`,
    `spool-path=${folder}/spool`,
    'start-fast=y',
    ...Object.entries(files).map(([name, value]) => `${name}=${value}`),
  ];
  const included = [
    '[global]',
    `log-path=${folder}/log`,
    `[${stanza}]`,
    `pg1-path=${cluster.dataDirectory}`,
    `pg1-port=${cluster.port}`,
    `pg1-socket-path=${cluster.socketDirectory}`,
    'pg1-user=operator',
    'pg1-database=other',
  ];
  const [main, more] = repo === 1 ? ['conf/pgbackrest.conf', 'conf/conf.d/more.conf'] : ['main.conf', 'more/more.conf'];
  cluster.writeFile(join(stanza, main), `${lines.join('\n')}\n`);
  cluster.writeFile(join(stanza, more), `${included.join('\n')}\n`);
  const found =
    repo === 1
      ? [`--config-path=${folder}/conf`]
      : [`--config=${folder}/main.conf`, `--config-include-path=${folder}/more`];
  return { stanza, folder, arguments: found, environment, files, repo };
}

/** The words behind `command begin VERSION:` of a log. */
function begun(command: string, log: string): string {
  const [, words = ''] = new RegExp(`^P00 +(?:INFO|DEBUG): .*${command} command begin [^:]+:(.*)`, 'm').exec(log) ?? [];
  return words;
}

const hasOption = (command: RunCommand, option: OptionName): boolean => optionIsValid(option, command, 'main');

/** Runs a command under a mask that neutral-umask would have done away with, and looks at all that every command does. */
async function run(way: Way, command: RunCommand, args: readonly string[] = [], input = ''): Promise<RunResult> {
  const isSet = (name: string): boolean => hasOption(command, name as OptionName);
  const environment = Object.entries(way.environment)
    .filter(([name]) => isSet(name))
    .map(([name, value]) => [name, name === 'allow-root' && command === 'restore' ? 'n' : value] as const);
  const argv = [
    ...['sh', '-c', 'umask 077; exec "$@"', 'sh', ...project.command],
    ...way.arguments,
    `--stanza=${way.stanza}`,
    '--log-level-file=debug',
    ...(way.repo !== 1 && isSet('repo') ? [`--repo=${way.repo}`] : []),
    command,
    ...args,
  ];
  const env = Object.fromEntries(
    environment.map(([name, value]) => [`PGBACKREST_${name.toUpperCase().replaceAll('-', '_')}`, value]),
  );
  const connected = connections();
  let niceness = 0;
  let watch: NodeJS.Timeout | undefined;
  const result = await runAs(user, argv, {
    env,
    cwd: cluster.dataDirectory,
    input,
    onStart: pid => {
      watch = setInterval(() => {
        niceness = Math.max(niceness, nicenessOf(pid));
      }, 5);
    },
  });
  clearInterval(watch);
  expect(result.code, result.stdout + result.stderr).toBe(0);

  const words = begun(command, result.stdout);
  for (const [name, value] of [...environment, ...Object.entries(way.files).filter(([name]) => isSet(name))]) {
    expect(words).toContain(value === 'n' ? `--no-${name}` : value === 'y' ? `--${name}` : `--${name}=${value}`);
  }
  if (isSet('repo-path')) {
    expect(words).toContain(`--repo1-path=${way.folder}/repo1`);
    expect(words).toContain('--repo1-cipher-pass=<redacted>');
    if (way.repo === 2) expect(words).toContain('--repo2-type=cifs');
  }
  if (isSet('pg-path') && !args.some(arg => arg.startsWith('--pg1-path'))) {
    expect(words).toContain(`--pg1-path=${cluster.dataDirectory}`);
  }
  expect(result.stdout + result.stderr).not.toContain('sekret');
  // what goes to stderr is not repeated
  expect(result.stdout).not.toContain('WARN:');
  expect(result.stderr).not.toContain('INFO:');
  const log = join(way.folder, 'log', `${way.stanza}-${command}.log`);
  expect(readFileSync(log, 'utf8')).toMatch(/PROCESS START/);
  // the mask of the user counts only where nobody asked for a neutral one
  if (isSet('neutral-umask')) expect(statSync(log).mode & 0o777).toBe(0o600);
  // stanza-delete connects to nobody
  if (isSet('pg-user') && command !== 'stanza-delete') expect(connections()).toBeGreaterThan(connected);
  if (command === 'backup' || command === 'restore') expect(niceness).toBe(3);
  return result;
}

/** Nice value of a process of which nothing is known when it is gone. */
function nicenessOf(pid: number): number {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return 0;
  const fields = readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[16] ?? 0);
}

/** How often somebody has connected to the server as the options say. */
const connections = (): number =>
  cluster.log.match(/connection authorized: user=operator database=other/g)?.length ?? 0;

const json = async (way: Way): Promise<{ backup: { label: string; annotation?: object }[] }> => {
  const { stdout } = await runAs(user, [
    ...project.command,
    ...way.arguments,
    `--stanza=${way.stanza}`,
    'info',
    '--output=json',
    '--log-level-console=off',
  ]);
  return JSON.parse(stdout)[0];
};

describe.each([
  ['by --config, --config-include-path and the environment, on the second repository', 'second', 2],
  ['by --config-path, on an encrypted repository', 'only', 1],
])('every command, told %s', (_, stanza, repo) => {
  let way: Way;
  const backups = (): string => join(way.folder, `repo${repo}`, 'backup', stanza);
  let label: string;
  beforeAll(() => {
    way = makeWay(stanza, repo);
    const push = [...project.command, ...way.arguments, `--stanza=${stanza}`, 'archive-push'];
    cluster.writeFile('pgbackrest-push', `exec ${push.map(word => `'${word}'`).join(' ')} "$1"\n`);
  });

  it('stanza-create, check, archive-push', async () => {
    await run(way, 'stanza-create');
    expect(existsSync(join(backups(), 'backup.info'))).toBe(true);
    await run(way, 'check');
    wal = String(await cluster.value('select last_archived_wal from pg_stat_archiver'));
    const { stderr } = await run(way, 'archive-push', [join('pg_wal', wal)]);
    expect(stderr).toContain(`'${wal}' already exists in the repo1 archive with the same checksum`);
  });

  it('backup, annotate, info, manifest', async () => {
    await run(way, 'backup', ['--type=full']);
    [label = ''] = readdirSync(backups()).filter(name => /^\d{8}-\d{6}F$/.test(name));
    expect(existsSync(join(backups(), label, 'pg_data/PG_VERSION.lz4'))).toBe(true);
    expect(readdirSync(join(way.folder, 'repo1/backup', stanza)).includes(label)).toBe(repo === 1);
    // links are no matter of cifs
    expect(existsSync(join(backups(), 'latest'))).toBe(repo === 1);
    expect(statSync(join(backups(), label, 'backup.manifest')).mode & 0o777).toBe(0o600);
    const magic = readFileSync(join(backups(), label, 'backup.manifest'))
      .subarray(0, 8)
      .toString('latin1');
    expect(magic === 'Salted__').toBe(repo === 1);
    await run(way, 'annotate', [`--set=${label}`, '--annotation=by=options']);
    expect((await json(way)).backup).toMatchObject([{ label, annotation: { by: 'options' } }]);
    expect((await run(way, 'info')).stdout).toContain(`full backup: ${label}`);
    expect((await run(way, 'manifest')).stdout).toContain(label);
  });

  it('repo-put, repo-get, repo-ls, repo-rm', async () => {
    const name = `archive/${stanza}/note`;
    await run(way, 'repo-put', [name], 'a note\n');
    expect(statSync(join(way.folder, `repo${repo}`, name)).mode & 0o777).toBe(0o600);
    expect((await run(way, 'repo-get', [name])).stdout).toMatch(/^a note$/m);
    expect((await run(way, 'repo-ls', [`archive/${stanza}`])).stdout).toMatch(/^note$/m);
    await run(way, 'repo-rm', [name]);
    expect(existsSync(join(way.folder, `repo${repo}`, name))).toBe(false);
  });

  it('verify, expire', async () => {
    expect((await run(way, 'verify')).stdout).not.toMatch(/ERROR|invalid/);
    await run(way, 'expire');
    expect(readdirSync(backups())).toContain(label);
  });

  it('archive-get, restore', async () => {
    const destination = join(way.folder, 'got');
    await run(way, 'archive-get', [wal, destination]);
    expect(readFileSync(destination).length).toBe(1024 * 1024);
    const ahead = join(way.folder, 'spool/archive', stanza, 'in');
    mkdirSync(ahead, { recursive: true });
    const data = join(way.folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    giveTo(user, data);
    for (const path of [data, join(way.folder, 'spool/archive'), join(way.folder, 'spool/archive', stanza), ahead])
      giveTo(user, path);
    await run(way, 'restore', [`--pg1-path=${data}`]);
    expect(existsSync(ahead)).toBe(false);
    expect(readFileSync(join(data, 'postgresql.auto.conf'), 'utf8')).toMatch(
      /^restore_command = '\/opt\/pgbackrest .*archive-get %f "%p"'$/m,
    );
  });

  it('stanza-upgrade, stop, start, stanza-delete', async () => {
    await run(way, 'stanza-upgrade');
    const stop = join(way.folder, 'lock', `${stanza}.stop`);
    await run(way, 'stop');
    expect(lstatSync(stop).mode & 0o777).toBe(0o600);
    await run(way, 'start');
    expect(existsSync(stop)).toBe(false);
    await run(way, 'stop');
    await run(way, 'stanza-delete', ['--force']);
    expect(existsSync(backups())).toBe(false);
  });
});
