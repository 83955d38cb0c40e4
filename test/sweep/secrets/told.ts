/** All that the configuration layer can say of a command line, its environment and files: without a process, in no time. */
import { isBackstopError } from '../../../src/base/error.ts';
import { formatHelp } from '../../../src/cli/help.ts';
import { configReport, formatOptions, formatParams, load } from '../../../src/config/index.ts';

export function told(argv: readonly string[], environment: NodeJS.ProcessEnv): string {
  return [loaded(argv, environment), guarded(() => JSON.stringify(configReport(argv, environment)))].join('\n');
}

function loaded(argv: readonly string[], environment: NodeJS.ProcessEnv): string {
  return guarded(() => {
    const found = load(argv, environment, '/usr/bin/pgbackrest');
    if (found.kind === 'version') return '';
    if (found.kind === 'help') return [...found.warnings, formatHelp(found.request, 'title')].join('\n');
    const { warnings, error } = found.afterBegin;
    return [
      ...found.warnings,
      formatParams(found.settings) + formatOptions(found.settings, '1-abc'),
      ...warnings,
      error?.text,
    ].join('\n');
  });
}

function guarded(say: () => string): string {
  try {
    return say();
  } catch (error) {
    if (!isBackstopError(error)) throw error;
    const { warnings = [] } = error as { readonly warnings?: readonly string[] };
    return [...warnings, error.text, error.stack].join('\n');
  }
}
