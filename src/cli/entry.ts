/** What `bin/pgbackstop.cjs` loads: answers `version`, and starts the program for all else. */
import { join } from 'node:path';
import { writeAll } from '../base/log.ts';
import { isCommandName } from '../config/command.ts';
import type * as program from './main.ts';
import { formatVersion } from './version.ts';

declare const __VERSION__: string;
/** File name of the program, with a hash of its content; set at build time. */
declare const __PROGRAM__: string;

/** As `main.ts` has it. */
export async function main(argv: readonly string[], environment: NodeJS.ProcessEnv, called: string): Promise<number> {
  const [only, ...more] = argv;
  if (only === 'version' && more.length === 0) {
    writeAll(1, formatVersion(__VERSION__, 'text'));
    return 0;
  }
  const { loadProgram } = await import('../base/code-cache.ts');
  const { userCacheFolder } = await import('../base/user-cache.ts');
  // a value of an option may look like a command: then the code of that command serves, less well
  const kind = argv.find(isCommandName) ?? 'other';
  const loaded = loadProgram(join(__dirname, __PROGRAM__), userCacheFolder(environment), kind);
  const code = await (loaded.exports as typeof program).main(argv, environment, called);
  if (code === 0) loaded.keep();
  return code;
}
