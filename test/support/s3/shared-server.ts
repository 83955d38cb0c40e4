/**
 * One S3 server for a whole run of tests: the first of its processes that needs it starts it, the others find it by the
 * process that the run belongs to (vitest.config.ts names that in PGBACKSTOP_S3_OWNER; else it is the caller itself).
 */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../unprivileged-project.ts';
import { readPlace, type S3Place } from './lab-file.ts';
import { ownerOf, serverFolder } from './run-owner.ts';

/** Milliseconds until a start is given up. */
const startLimit = 180_000;

/** The server of this run, started if need be. It ends, with all that is in it, when the run's process does. */
export async function sharedServer(env: NodeJS.ProcessEnv = process.env): Promise<S3Place> {
  const owner = ownerOf(Number(env.PGBACKSTOP_S3_OWNER ?? process.pid));
  if (owner === undefined) throw new Error(`PGBACKSTOP_S3_OWNER=${env.PGBACKSTOP_S3_OWNER} is no running process`);
  const folder = serverFolder(owner);
  if (makeOurs(folder)) startServer(folder, owner);
  const log = join(folder, 'server.log');
  for (const end = Date.now() + startLimit; Date.now() < end; await sleep(50)) {
    if (existsSync(join(folder, 'env.sh'))) return readPlace(join(folder, 'env.sh'));
    if (existsSync(join(folder, 'failed')))
      throw new Error(`the S3 server did not start: ${readFileSync(log, 'utf8')}`);
  }
  throw new Error(`the S3 server did not start in time, see ${log}`);
}

/** @returns false when another process of the run has made it before */
function makeOurs(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o755 });
    // whatever the umask: tests give up root's rights, and read the certificate here
    chmodSync(folder, 0o755);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (statSync(folder).uid !== process.getuid?.()) throw new Error(`${folder} belongs to somebody else`);
    return false;
  }
}

function startServer(folder: string, owner: string): void {
  const root = projectRoot();
  const program = join(folder, 'server.cjs');
  // Node 20 runs no TypeScript
  execFileSync(
    join(root, 'node_modules', '.bin', 'esbuild'),
    [
      join(root, 'test', 'support', 's3', 'server-main.ts'),
      ...['--bundle', '--platform=node', '--format=cjs', '--log-level=warning', `--outfile=${program}`],
    ],
    { stdio: 'inherit' },
  );
  const log = openSync(join(folder, 'server.log'), 'a');
  // Its own session: it outlives the process that happens to need it first, and Ctrl-C reaches the run, not it.
  spawn(process.execPath, [program, folder, owner], { detached: true, stdio: ['ignore', log, log] }).unref();
}
