/**
 * Writes the hint by which the shell half of bin/pgbackstop.cjs gives the next answer from the spool. It says what the
 * answer depends on; that half looks whether all of it still holds, and starts the whole program where it does not. Both
 * have to agree on the lines below, and on the name of the file.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { keepInCache, userCacheFolder } from '../base/user-cache.ts';
import { lockPaths } from '../command/lock-paths.ts';
import type { SpoolAnswer } from '../command/session.ts';
import { environmentPrefix } from '../config/environment.ts';
import type { ConfigPlaces, Settings } from '../config/index.ts';
import { segmentsPerLog } from '../postgres/wal.ts';

/** How this process was called, and what it has read. */
export interface Call {
  /** Without program. */
  readonly argv: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** The file that holds the program: another build has another one. */
  readonly file: string;
  /** When the process began, before it read anything: milliseconds since the epoch. */
  readonly began: number;
  readonly places: ConfigPlaces;
}

const firstLine = 'pgbackstop first step 1';

/** What the shell can read, compare and use as a path without fail. */
const plain = /^[\x20-\x7e]+$/;

/** Remembers how a call was answered, for the next one that differs in its segment only. Never throws. */
export function keepFirstStep(settings: Settings, answer: SpoolAnswer, call: Call): void {
  const cache = userCacheFolder(call.environment);
  // root is a user who is asked for leave each time (allow-root)
  if (cache === undefined || process.geteuid?.() === 0 || !canMove(settings, answer)) return;
  const hint = hintOf(settings, answer, call);
  if (hint === undefined) return;
  // older than all that this process has read: what changed since then is newer than the hint
  keepInCache(cache, `first-step/${hint.name}`, () => [Buffer.from(hint.text)], { modified: call.began });
}

/** A hint and the name of its file. */
export interface Hint {
  readonly name: string;
  readonly text: string;
}

/** @returns undefined where the answer is not a matter of the spool alone, or where a shell had trouble with it */
export function hintOf(settings: Settings, answer: SpoolAnswer, call: Call): Hint | undefined {
  const { command, values, params } = settings;
  const { argv, environment, places } = call;
  const { stanza = '', 'lock-path': lockPath = '' } = values;
  const at = argv.indexOf(command);
  const options = argv.slice(0, at);
  const asExpected =
    at >= 0 &&
    // PostgreSQL's words stand at the end
    argv.slice(at + 1).join('\0') === params.join('\0') &&
    options.filter(word => word.startsWith('--stanza=')).join('\0') === `--stanza=${stanza}` &&
    /^[\w.-]+$/.test(stanza) &&
    !Object.keys(environment).some(name => name.startsWith(environmentPrefix)) &&
    isQuiet(settings);
  if (!asExpected) return undefined;

  const words = [...options, command];
  const key = words.map(word => `\t${word}`).join('');
  const found = [...places].filter(([, there]) => there).map(([path]) => path);
  const missing = [...places].filter(([, there]) => !there).map(([path]) => path);
  // a file that is moved to its place is as old as it was, but its folder changes
  const unchanged = new Set([...found, ...found.map(path => dirname(path))]);
  const marker = `${dirname(answer.folder)}/cluster`;
  if (existsSync(marker)) unchanged.add(marker);
  else missing.push(marker);
  const [busy = ''] = lockPaths(settings, 'archive');
  const paths = [call.file, answer.clusterPath, answer.folder, lockPath, busy];
  const { queue } = answer;
  const lines = [
    ...paths,
    String(queue?.ahead ?? 0),
    String(queue === undefined ? 0 : segmentsPerLog(queue.segmentSize)),
    ...[...unchanged].map(path => `+${path}`),
    ...missing.map(path => `-${path}`),
  ];
  const canBeRead = [...words, ...lines].every(text => plain.test(text));
  if (!canBeRead || ![...paths, ...places.keys()].every(path => path.startsWith('/'))) return undefined;
  return {
    name: `${command}-${stanza}-${words.length}-${key.length}`,
    text: [firstLine, key, ...lines, 'end', ''].join('\n'),
  };
}

/** Whether nothing was said, and nothing would be the next time. */
function isQuiet(settings: Settings): boolean {
  const { values } = settings;
  const quiet: readonly unknown[] = ['off', 'assert', 'error', 'warn'];
  return (
    quiet.includes(values['log-level-console']) &&
    quiet.includes(values['log-level-stderr']) &&
    settings.source('log-level-file') !== 'argument'
  );
}

/** Whether what archive-get has found need only be renamed. */
function canMove({ params }: Settings, { queue, folder, clusterPath }: SpoolAnswer): boolean {
  if (queue === undefined) return true;
  try {
    return statSync(folder).dev === statSync(dirname(resolve(clusterPath, params[1] ?? ''))).dev;
  } catch {
    return false; // gone meanwhile: whoever needs it will say so
  }
}
