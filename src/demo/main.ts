/**
 * `npm run demo`: a backup, an accident and a restore on an embedded PostgreSQL, in a folder of its own.
 *
 * Started by root, it gives that folder to another user and starts itself again as that user.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Narrator } from './narrator.ts';
import { describe, play, type Stage } from './story.ts';
import { otherUser } from './user.ts';
import { giveTo, type Installation, installFor, makeWorkplace } from './workplace.ts';

const usage = `npm run demo [-- OPTION]

  --keep   leave the clusters, the repository and the logs where they are
  --help   this text

Shows a backup and a restore to the moment before an accident. Exit code 0 when the rows are back.
`;

const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    // For the second start, as another user.
    workplace: { type: 'string' },
    user: { type: 'string' },
  },
});

/** This program's own installation: the bundle lies in `dist/`. */
const here: Installation = { node: process.execPath, root: dirname(dirname(fileURLToPath(import.meta.url))) };

/** Signals end the story after the step that is being told, so that servers are stopped and the folder is removed. */
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interruption.abort(new Error(`interrupted by ${signal}`)));
}

async function playHere(workplace: string, installation: Installation): Promise<boolean> {
  const narrator = new Narrator(process.stdout, process.env, interruption.signal);
  const stage: Stage = { workplace, installation, narrator, env: process.env };
  const equal = await play(stage);
  describe(stage, values.keep, values.user);
  return equal;
}

async function playAs(workplace: string): Promise<boolean> {
  const user = otherUser();
  if (user === undefined) return await playHere(workplace, here);
  const { node, root } = installFor(user, here, workplace);
  giveTo(user, workplace);
  const keep = values.keep ? ['--keep'] : [];
  const child = spawn(node, [join(root, 'dist/demo.cjs'), `--workplace=${workplace}`, `--user=${user.name}`, ...keep], {
    cwd: workplace,
    env: { ...process.env, HOME: workplace, USER: user.name, LOGNAME: user.name },
    uid: user.uid,
    gid: user.gid,
    stdio: 'inherit',
  });
  interruption.signal.addEventListener('abort', () => child.kill('SIGTERM'));
  const [code] = await once(child, 'exit');
  return code === 0;
}

async function main(): Promise<boolean> {
  if (values.help) {
    process.stdout.write(usage);
    return true;
  }
  if (values.workplace !== undefined) return await playHere(values.workplace, here);
  const workplace = makeWorkplace(otherUser());
  try {
    return await playAs(workplace);
  } finally {
    if (!values.keep) rmSync(workplace, { recursive: true, force: true });
  }
}

main().then(
  equal => process.exit(equal ? 0 : 1),
  (error: unknown) => {
    // A failed command's message has what it wrote to stderr; what it wrote to stdout comes after it.
    const { message, stdout } = error as Error & { stdout?: string };
    process.stderr.write(`the demo failed: ${message}\n${stdout ?? ''}`);
    process.exit(1);
  },
);
