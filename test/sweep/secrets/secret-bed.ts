/**
 * Our command line with secrets in all places that it takes them from, on a data directory without a server. Whatever a
 * command says, writes or starts is looked through.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemId } from '../../command/archive/archive-bed.ts';
import { makeTemporaryFolder } from '../../support/cluster.ts';
import type { OptionValues } from '../../support/stanza.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { TinyCluster } from '../../support/tiny-cluster.ts';
import { giveTo, type RunOptions, runAs, unprivilegedUser } from '../../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../../support/unprivileged-project.ts';
import { Canaries, describeSightings } from './canary.ts';
import { runWatched, type WatchedResult } from './watched-run.ts';

/** How a command gets its secrets: a configuration file, one of a folder of further files, the environment. */
export const ways = ['file', 'include', 'environment'] as const;
export type Way = (typeof ways)[number];

export interface SecretRun {
  readonly way?: Way;
  /** Options that are none of a command line: added to the usual ones, and without those that are undefined. */
  readonly options?: Readonly<Record<string, string | number | undefined>>;
  readonly secrets?: Readonly<Record<string, string | undefined>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** A log that only says what is wrong, as archive_command has it, in place of one that says everything. */
  readonly quiet?: boolean;
  /** Goes without the configuration's options and secrets. */
  readonly bare?: boolean;
  readonly onStart?: (pid: number) => void;
  /** Starts the program in another way. */
  readonly tool?: readonly string[];
  /** The programs that it starts are not looked at; then `onStart` is told the process of the program. */
  readonly alone?: boolean;
}

export interface Outcome extends WatchedResult {
  readonly output: string;
}

/** A place where something could be seen. */
interface Seen {
  readonly where: string;
  readonly text: Buffer;
}

export class SecretBed {
  readonly user = unprivilegedUser();
  readonly root: string;
  readonly cluster: TinyCluster;
  readonly canaries: Canaries;
  /** The usual secrets. */
  readonly secrets: Record<string, string> = {};
  readonly tool: readonly string[];
  readonly #sweep: Sweep;
  readonly #project: RunnableProject;
  readonly #seen: Seen[] = [];
  /** Paths that hold secrets because the test has put them there. */
  readonly #exempt = new Set<string>();
  #runs = 0;

  constructor(sweep: Sweep) {
    this.#sweep = sweep;
    this.root = makeTemporaryFolder(this.user, 'secrets-');
    this.#project = runnableProject(this.user);
    this.tool = this.#project.command;
    this.canaries = new Canaries(sweep.random);
    this.cluster = new TinyCluster(join(this.root, 'pg'), this.user, systemId);
    for (const name of ['conf', 'conf/more', 'home', 'log', 'lock', 'spool', 'work']) this.folder(name);
    for (const repo of ['repo1', 'repo2']) {
      this.secrets[`${repo}-cipher-pass`] = this.canaries.make(`${repo}-cipher-pass`);
      // of no use to a repository on disk; read they are all the same
      for (const name of ['azure-key', 's3-key-secret', 's3-token', 'sftp-private-key-passphrase'])
        this.secrets[`${repo}-${name}`] = this.canaries.make(`${repo}-${name}`);
    }
  }

  get options(): OptionValues {
    return {
      'repo1-path': join(this.root, 'repo1'),
      'repo2-path': join(this.root, 'repo2'),
      'repo1-cipher-type': 'aes-256-cbc',
      'repo2-cipher-type': 'aes-256-cbc',
      'repo1-retention-full': 9,
      'repo2-retention-full': 9,
      'lock-path': join(this.root, 'lock'),
      'log-path': join(this.root, 'log'),
      'spool-path': join(this.root, 'spool'),
      'process-max': 2,
      'compress-type': 'lz4',
    };
  }

  /** Runs a command, and looks at all that it says and starts. @throws when there is a secret in it */
  async run(command: string, args: readonly string[] = [], run: SecretRun = {}): Promise<Outcome> {
    const { way = 'file', bare = false } = run;
    const number = ++this.#runs;
    const variables = this.#configure(way, run);
    const of = command === 'help' ? args[0] : command;
    const stanza = /^(server|server-ping|version)$/.test(of ?? '') ? [] : ['--stanza=demo'];
    const found = [`--config=${this.root}/conf/main.conf`, `--config-include-path=${this.root}/conf/more`];
    const argv = [
      ...(bare ? [] : [...found, ...stanza]),
      ...(run.quiet || bare ? [] : this.#levels()),
      command,
      ...args,
    ];
    return await this.start(`${number} ${way}: ${command} ${args.join(' ')}`, argv, {
      ...run,
      env: { ...variables, ...run.env },
    });
  }

  /** Runs the program with these words only. */
  async start(what: string, argv: readonly string[], run: SecretRun = {}): Promise<Outcome> {
    const trace = join(this.root, 'work', 'strace');
    const command = [...(run.tool ?? this.tool), ...argv];
    const options: RunOptions = {
      env: { HOME: join(this.root, 'home'), ...run.env },
      cwd: join(this.root, 'work'),
      ...(run.input === undefined ? {} : { input: run.input }),
      ...(run.onStart === undefined ? {} : { onStart: run.onStart }),
    };
    const result =
      run.alone === true
        ? { ...(await runAs(this.user, command, options)), started: undefined }
        : await runWatched(this.user, trace, command, options);
    const places: [string, string][] = [
      ['standard output', result.stdout],
      ['standard error', result.stderr],
    ];
    for (const program of result.started ?? []) {
      places.push(['arguments of a program', program.arguments]);
      if (!program.isBackground) places.push(['environment of a program', program.environment]);
    }
    const seen = places.map(([place, text]) => ({ where: `${what}: ${place}`, text: Buffer.from(text) }));
    this.#seen.push(...seen);
    this.#judge(seen);
    return { ...result, output: result.stdout + result.stderr };
  }

  /** @returns what it said @throws when it does not end well */
  async expectOk(command: string, args: readonly string[] = [], run: SecretRun = {}): Promise<Outcome> {
    const outcome = await this.run(command, args, run);
    if (outcome.code === 0) return outcome;
    throw new Error(`${command} ${args.join(' ')} ended with ${outcome.code ?? outcome.signal}\n${outcome.output}`);
  }

  /** Looks through all files that there are now, and once more at what was said: by now more secrets may be known. */
  lookAtAll(): void {
    const files = readdirSync(this.root, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      .filter(path => !this.#exempt.has(path))
      .flatMap(path => {
        const text = readIfThere(path);
        return text === undefined ? [] : [{ where: path.slice(this.root.length + 1), text }];
      });
    this.#sweep.tried('files looked through', files.length);
    this.#judge([...files, ...this.#seen]);
  }

  #judge(places: readonly Seen[]): void {
    const found = places.flatMap(({ where, text }) => describeSightings(where, this.canaries.find(text)));
    if (found.length > 0) throw new Error(`secrets were seen\n${found.join('\n')}`);
  }

  /** Sub-passphrases that a file of the repository carries: from here on they are looked for, too. */
  async learn(path: string): Promise<void> {
    const argv = [`--config=${this.root}/conf/main.conf`, '--stanza=demo', '--repo=1', '--log-level-file=off'];
    this.#configure('file', {});
    const result = await runWatched(
      this.user,
      join(this.root, 'work', 'strace'),
      [...this.tool, ...argv, 'repo-get', path],
      {
        env: { HOME: join(this.root, 'home') },
      },
    );
    const [, pass] = /^cipher-pass="(.*)"$/m.exec(result.stdout) ?? [];
    if (pass === undefined) throw new Error(`no passphrase in '${path}'\n${result.stdout}${result.stderr}`);
    this.canaries.add(`passphrase in ${path}`, pass);
  }

  /** Writes a file that holds secrets, below the root. @returns its path */
  secretFile(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.root, name);
    rmSync(path, { force: true });
    writeFileSync(path, content, { mode });
    giveTo(this.user, path);
    this.#exempt.add(path);
    return path;
  }

  /** Makes a folder below the root. */
  folder(name: string): string {
    let path = this.root;
    for (const part of name.split('/')) {
      path = join(path, part);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      giveTo(this.user, path);
    }
    return path;
  }

  /** Labels of the backups in a repository, oldest first. */
  labels(repo = 1): string[] {
    const folder = join(this.root, `repo${repo}/backup/demo`);
    return existsSync(folder)
      ? readdirSync(folder)
          .filter(name => /^\d{8}-/.test(name))
          .sort()
      : [];
  }

  #levels(): string[] {
    const [console, stderr] = this.#sweep.random.pick([
      ['trace', 'off'],
      ['off', 'trace'],
      ['trace', 'warn'],
    ]);
    return [`--log-level-console=${console}`, `--log-level-stderr=${stderr}`, '--log-level-file=trace'];
  }

  /** @returns variables of the environment */
  #configure(way: Way, { options = {}, secrets = {}, bare = false }: SecretRun): Record<string, string> {
    const given = (values: object): [string, string][] =>
      Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
    const lines = (values: readonly (readonly [string, string])[]): string =>
      values.map(([name, value]) => `${name}=${value}\n`).join('');
    const plain = given({ ...this.options, ...options });
    const secret = given({ ...this.secrets, ...secrets });
    const own = `[global]\n${lines(plain)}[demo]\npg1-path=${this.cluster.data}\npg1-socket-path=${this.root}\n`;
    this.secretFile('conf/main.conf', way === 'file' ? `${own}[global]\n${lines(secret)}` : own);
    this.secretFile('conf/more/secrets.conf', way === 'include' ? `[global]\n${lines(secret)}` : '');
    if (way !== 'environment' || bare) return {};
    return Object.fromEntries(
      secret.map(([name, value]) => [`PGBACKREST_${name.toUpperCase().replaceAll('-', '_')}`, value]),
    );
  }

  /** Gives all of a folder to the user, after the test has changed it. */
  own(path: string): void {
    if (this.user.foreign) execFileSync('chown', ['-hR', `${this.user.uid}:${this.user.gid}`, path]);
  }

  dispose(): void {
    this.#project.remove();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The server's archiver goes on while we look. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
