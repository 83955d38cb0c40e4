/**
 * Commands of ours in this thread, on a tiny cluster and repositories in memory: hundreds of them take seconds. A test that
 * uses it has the worker pool in this thread, too:
 *
 *     vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandModules } from '../../../src/command/index.ts';
import type { CommandModule } from '../../../src/command/session.ts';
import type { RunCommand } from '../../../src/config/command.ts';
import { systemId } from '../../command/archive/archive-bed.ts';
import { type CommandResult, type RunHooks, runCommand } from '../command-run.ts';
import type { OptionValues } from '../stanza.ts';
import { TinyCluster } from '../tiny-cluster.ts';

/** Where no disk is waited for, if this host has such a place. */
function memoryFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

/** How a program that is not ours has ended. */
export interface ForeignResult {
  readonly code: number;
  readonly output: string;
}

export class CommandBed {
  readonly root: string;
  readonly cluster: TinyCluster;
  readonly config: string;
  #folders = 0;

  constructor(name: string) {
    this.root = mkdtempSync(join(memoryFolder(), `pgbackstop-${name}-`));
    const { uid = 0, gid = 0 } = { uid: process.getuid?.(), gid: process.getgid?.() };
    this.cluster = new TinyCluster(join(this.root, 'pg'), { name: '', home: '', uid, gid, foreign: false }, systemId);
    this.config = join(this.root, 'pgbackrest.conf');
  }

  /** Takes these options from here on, but for where things lie. @param repos how many repositories there are */
  configure(options: OptionValues, repos = 1): void {
    const keys = Array.from({ length: repos }, (_, index) => index + 1);
    const all = {
      ...Object.fromEntries(keys.map(key => [`repo${key}-path`, this.repoPath(key)])),
      'lock-path': join(this.root, 'lock'),
      'log-path': join(this.root, 'log'),
      'spool-path': join(this.root, 'spool'),
      'log-level-file': 'off',
      ...options,
    };
    const lines = Object.entries(all).map(([option, value]) => `${option}=${value}\n`);
    writeFileSync(this.config, `[global]\n${lines.join('')}[demo]\npg1-path=${this.cluster.data}\n`);
  }

  repoPath(key = 1): string {
    return join(this.root, `repo${key}`);
  }

  /** What ends a command is part of the answer, unless it is no error of ours. */
  async attempt(command: RunCommand, args: readonly string[] = [], hooks: RunHooks = {}): Promise<CommandResult> {
    const load = commandModules[command] as (() => Promise<CommandModule<RunCommand>>) | undefined;
    if (load === undefined) throw new TypeError(`there is no ${command}`);
    return await runCommand(await load(), [command, `--config=${this.config}`, '--stanza=demo', ...args], {}, hooks);
  }

  /** @throws what kept the command from ending well */
  async run(command: RunCommand, args: readonly string[] = [], hooks: RunHooks = {}): Promise<CommandResult> {
    const result = await this.attempt(command, args, hooks);
    if (result.error !== undefined) throw result.error;
    return result;
  }

  /** Runs another tool with the same configuration. */
  foreign(program: string, command: string, args: readonly string[], seconds = 120): Promise<ForeignResult> {
    // newer releases refuse to be run by root, and 2.45 does not know the option: it may be in the environment all the same
    const env = { ...process.env, PGBACKREST_ALLOW_ROOT: 'y' };
    const all = [command, `--config=${this.config}`, '--stanza=demo', '--log-timestamp=n', ...args];
    return new Promise(resolve => {
      execFile(program, all, { env, timeout: seconds * 1000 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, output: stdout + stderr });
      });
    });
  }

  /** A new, empty folder. */
  newFolder(): string {
    const folder = join(this.root, `folder-${++this.#folders}`);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }

  dispose(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
