/** Looks whether secrets of the configuration files are open to every user of the machine. pgBackRest does not. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RunCommand } from './command.ts';
import type { ConfigPlaces } from './config-file.ts';
import { optionOf } from './quote.ts';
import type { Settings } from './settings.ts';
import { optionRule } from './table.ts';
import { withoutPassword } from './values.ts';

/**
 * The commands of people and their timers. Others run for each WAL segment, or their output is read by programs.
 */
const telling: readonly RunCommand[] = [
  'annotate',
  'backup',
  'check',
  'expire',
  'restore',
  'stanza-create',
  'stanza-delete',
  'stanza-upgrade',
  'start',
  'stop',
  'verify',
];

/** @returns one warning, or none: all is well, or this command does not tell */
export function exposureWarnings({ command, role, values }: Settings, places: ConfigPlaces): string[] {
  const prints = 'report' in values && values.report === true;
  if (role !== 'main' || !telling.includes(command) || prints) return [];
  const files = [...places].flatMap(([path, there]) => (there && isExposed(path) ? [path] : []));
  if (files.length === 0) return [];
  return [
    `every user of this host can read the secrets in configuration file ${files.map(file => `'${file}'`).join(' and ')}\n` +
      `HINT: chmod 640 ${files.join(' ')}\n` +
      'HINT: the user that runs pgbackrest must be the owner of the file, or in its group.',
  ];
}

function isExposed(path: string): boolean {
  try {
    const info = statSync(path);
    const isOpen = info.isFile() && (info.mode & 0o004) !== 0 && isReachable(realpathSync(path));
    return isOpen && readFileSync(path, 'utf8').split('\n').some(holdsSecret);
  } catch {
    return false; // gone since it was read
  }
}

/** Whether all users may enter the folders on the way to a file. */
function isReachable(path: string): boolean {
  const folder = dirname(path);
  return (statSync(folder).mode & 0o001) !== 0 && (folder === '/' || isReachable(folder));
}

function holdsSecret(line: string): boolean {
  const [, name = '', value = ''] = /^\s*([\w-]+)\s*=\s*(.*)$/.exec(line) ?? [];
  if (value === '') return false;
  const option = optionOf(name);
  return (option !== undefined && optionRule(option).secret === true) || withoutPassword(value) !== value;
}
