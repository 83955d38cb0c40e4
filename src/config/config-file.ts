/** Finds and reads the configuration files, and takes from them what applies to a command. */

import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { BackstopError, systemError } from '../base/error.ts';
import type { CommandName, CommandRole } from './command.ts';
import { invalidOption, invalidValue } from './config-error.ts';
import type { GivenOptions } from './given.ts';
import { noKey } from './given.ts';
import { type Ini, parseIni } from './ini-file.ts';
import { type FoundOption, findOption } from './option-name.ts';
import { quoteLine, quoteName } from './quote.ts';
import { keyedName, optionIsValid, optionRepeats, optionRule } from './table.ts';

const defaultPath = '/etc/pgbackrest';
const fileName = 'pgbackrest.conf';
const includeName = 'conf.d';
/** Where the file was before it got a directory of its own. */
const formerFile = '/etc/pgbackrest.conf';

/** Where configuration was looked for: absolute or relative path of a file or directory, and whether it was there. */
export type ConfigPlaces = ReadonlyMap<string, boolean>;

/**
 * Reads the files that `config`, `config-path` and `config-include-path` select (command line or environment).
 * A file that was asked for must exist; a default one need not.
 * @param places told where was looked
 * @returns undefined when there is no file at all
 * @throws file-missing, file-open, file-read, path-missing, path-open, format
 */
export function readConfigFiles(given: GivenOptions, places = new Map<string, boolean>()): Ini | undefined {
  const config = given.get('config', noKey);
  const file = given.get('config', noKey)?.texts[0];
  const include = given.get('config-include-path', noKey)?.texts[0];
  const path = given.get('config-path', noKey)?.texts[0];
  const ini: Ini = new Map();
  let found = false;
  const look = <T>(place: string, read: (place: string) => T | undefined): T | undefined => {
    const content = read(place);
    places.set(place, content !== undefined);
    return content;
  };

  if (config?.negated !== true) {
    const content =
      file === undefined
        ? (look(`${path ?? defaultPath}/${fileName}`, readOptional) ??
          (path === undefined ? look(formerFile, readOptional) : undefined))
        : look(file, readRequired);
    if (content !== undefined) {
      found = true;
      parseIni(content, ini, quoteLine);
    }
  }

  const includes =
    include !== undefined
      ? look(include, place => listIncludes(place, true))
      : path !== undefined || config === undefined
        ? look(`${path ?? defaultPath}/${includeName}`, place => listIncludes(place, false))
        : undefined;
  for (const name of includes ?? []) {
    // a file may go away between listing and reading
    const content = look(name, readOptional);
    if (content === undefined) continue;
    found = true;
    parseIni(content, ini, quoteLine);
  }
  return found ? ini : undefined;
}

function readRequired(file: string): Buffer {
  const content = readOptional(file);
  if (content === undefined) {
    throw new BackstopError('file-missing', `unable to open missing file '${file}' for read`, {
      hint: 'is the path of --config right, and seen from the current directory?',
    });
  }
  return content;
}

function readOptional(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'EISDIR') throw new BackstopError('file-read', `unable to read '${file}': [21] Is a directory`);
    if (syscall === 'read') throw systemError(error, { other: 'file-read' }, `unable to read '${file}'`);
    throw systemError(error, { other: 'file-open' }, `unable to open file '${file}' for read`);
  }
}

/** The `*.conf` files of a directory in name order; undefined when there is no directory. */
function listIncludes(path: string, required: boolean): readonly string[] | undefined {
  let entries: Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      if (!required) return undefined;
      throw new BackstopError('path-missing', `unable to list file info for missing path '${path}'`, {
        hint: 'is the path of --config-include-path right?',
      });
    }
    throw systemError(error, { other: 'path-open' }, `unable to list file info for path '${path}'`);
  }
  return entries
    .filter(entry => entry.name.length > '.conf'.length && entry.name.endsWith('.conf'))
    .map(entry => `${path}/${entry.name}`)
    .sort();
}

/**
 * Adds what the files have for the command and stronger sources have not.
 * @param warn told of names that mean nothing where they stand; they are ignored
 * @throws option-invalid, option-invalid-value
 */
export function readSections(
  ini: Ini,
  command: CommandName,
  role: CommandRole,
  given: GivenOptions,
  warn: (message: string) => void,
): void {
  const stanza = given.get('stanza', noKey)?.texts[0];
  const sections = [`global:${command}`, 'global'];
  if (stanza !== undefined) sections.unshift(`${stanza}:${command}`, stanza);
  for (const name of sections) {
    const section = ini.get(name);
    if (section !== undefined) readSection(name, section, command, role, given, warn);
  }
}

function readSection(
  name: string,
  section: ReadonlyMap<string, readonly string[]>,
  command: CommandName,
  role: CommandRole,
  given: GivenOptions,
  warn: (message: string) => void,
): void {
  const global = name === 'global' || name.startsWith('global:');
  const seen = new Map<string, string>();
  for (const [written, texts] of section) {
    const found = findOption(written);
    if (found === undefined) {
      warn(`configuration file contains invalid option '${quoteName(written)}'`);
      continue;
    }
    if (found.negated || found.reset) {
      warn(`configuration file contains ${found.negated ? 'negate' : 'reset'} option '${written}'`);
      continue;
    }
    const rule = optionRule(found.name);
    if (rule.section === 'command-line') {
      warn(`configuration file contains command-line only option '${written}'`);
      continue;
    }
    const fullName = keyedName(found.name, found.key);
    const twin = seen.get(fullName);
    if (twin !== undefined) {
      throw invalidOption(
        `configuration file contains duplicate options ('${written}', '${twin}') in section '[${name}]'`,
      );
    }
    seen.set(fullName, written);
    if (!optionIsValid(found.name, command, role)) {
      if (name.endsWith(`:${command}`)) {
        warn(`configuration file contains option '${written}' invalid for section '${name}'`);
      }
      continue;
    }
    if (rule.section === 'stanza' && global) {
      warn(`configuration file contains stanza-only option '${written}' in global section '${name}'`);
      continue;
    }
    if (given.get(found.name, found.key) === undefined) take(found, written, name, texts, given);
  }
}

function take(
  found: FoundOption,
  written: string,
  section: string,
  texts: readonly string[],
  given: GivenOptions,
): void {
  const rule = optionRule(found.name);
  const [text = ''] = texts;
  if (texts.length > 1) {
    if (!optionRepeats(rule)) {
      throw invalidOption(`option '${keyedName(found.name, found.key)}' cannot be set multiple times`);
    }
  } else if (text === '') {
    throw invalidValue(`section '${section}', key '${written}' must have a value`);
  }
  const boolean = rule.type === 'boolean';
  if (boolean && text !== 'y' && text !== 'n') throw invalidValue(`boolean option '${written}' must be 'y' or 'n'`);
  given.set(found.name, found.key, {
    source: 'file',
    negated: boolean && text === 'n',
    reset: false,
    texts: boolean ? [] : texts,
  });
}

/** The stanzas that the configuration files name, in alphabetical order. */
export function stanzaNames(ini: Ini): readonly string[] {
  const names = new Set<string>();
  for (const section of ini.keys()) {
    if (section !== 'global' && !section.startsWith('global:')) names.add(section.split(':')[0] ?? section);
  }
  return [...names].sort();
}
