/** The files of the project that are printed from the tables. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bashCompletion } from './completion/bash.ts';
import { zshCompletion } from './completion/zsh.ts';
import { commandPage, configurationPage, sampleConfiguration } from './man.ts';

/**
 * Path from the project's root -> content.
 * @param root of the project
 */
export function generatedFiles(root: string): ReadonlyMap<string, string> {
  const frame = (name: string): string => readFileSync(join(root, 'src/cli/completion', name), 'utf8');
  return new Map([
    ['man/pgbackstop.1', commandPage()],
    ['man/pgbackstop.conf.5', configurationPage()],
    ['conf/pgbackrest.conf', sampleConfiguration()],
    ['conf/completion/pgbackstop.bash', bashCompletion(frame('frame.bash'))],
    ['conf/completion/_pgbackstop', zshCompletion(frame('frame.zsh'))],
  ]);
}
