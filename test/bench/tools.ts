/** The programs that are compared, and what they are started with. */
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findRealPgbackrest } from '../support/real-pgbackrest.ts';
import { runAsOrThrow, unprivilegedUser } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';
import type { Tool } from './bed.ts';
import type { Runner } from './measure.ts';

export interface ToolOptions {
  /** Executable of the Node that ours runs on; the bench's own when absent. */
  readonly node?: string;
  /** Another executable in place of this pgbackstop. */
  readonly ours?: string;
  /** The real tool; the one on PATH when absent. */
  readonly theirs?: string;
}

export interface Workshop {
  readonly runner: Runner;
  /** Ours first; without the real one ours alone. */
  readonly tools: readonly [Tool, ...Tool[]];
  /** Of Node (that ours runs on), Linux, and the tools as `ours` and `theirs`. */
  readonly versions: Readonly<Record<string, string>>;
  /** Removes what was copied to where the user of the tools can reach it. */
  close(): void;
}

/** Finds the programs. */
export async function openWorkshop(options: ToolOptions): Promise<Workshop> {
  const user = unprivilegedUser();
  const project = runnableProject(user);
  // our launcher takes the `node` that it finds first
  const folder = mkdtempSync(join(tmpdir(), 'bench-node-'));
  chmodSync(folder, 0o755);
  const close = () => {
    rmSync(folder, { recursive: true, force: true });
    project.remove();
  };
  try {
    symlinkSync(options.node ?? project.command[0], join(folder, 'node'));
    const runner: Runner = { user, env: environment(folder) };
    const ours = await toolOf('ours', options.ours ?? project.command[1], runner);
    const path = options.theirs ?? findRealPgbackrest()?.path;
    if (path === undefined) console.error('the real pgbackrest is not on PATH: only pgbackstop is measured');
    const theirs = path === undefined ? [] : [await toolOf('theirs', path, runner)];
    const node = (await runAsOrThrow(user, ['node', '--version'], { env: runner.env })).stdout;
    const tools = [ours, ...theirs] as const;
    const versions = {
      Node: node.trim().replace(/^v/, ''),
      Linux: release(),
      ...Object.fromEntries(tools.map(({ name, version }) => [name, version])),
    };
    return { runner, tools, versions, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Nothing of the caller's settings reaches the tools; certificates to load would slow Node's start. */
function environment(node: string): Record<string, string | undefined> {
  const cleared = Object.keys(process.env).map(name => [name, undefined] as const);
  const path = [node, '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
  return { ...Object.fromEntries(cleared), PATH: path, LC_ALL: 'C' };
}

async function toolOf(name: Tool['name'], path: string, runner: Runner): Promise<Tool> {
  const { stdout } = await runAsOrThrow(runner.user, [path, 'version'], { env: runner.env });
  return { name, command: [path], version: stdout.trim() };
}
