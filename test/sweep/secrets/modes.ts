/** Modes of all that a command makes, as the real tool gives them. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** `0640 path` of all below the folder, with names that differ from run to run made alike. */
export function modesBelow(folder: string, alike: (name: string) => string): string[] {
  const names = ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })];
  const lines = names.flatMap(name => {
    const info = lstatSync(join(folder, name));
    return info.isSymbolicLink() ? [] : [`${(info.mode & 0o7777).toString(8).padStart(4, '0')} ${alike(name)}`];
  });
  return [...new Set(lines)].sort();
}
