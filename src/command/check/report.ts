/** `check --report`: the configuration as JSON, for someone who helps from afar. Nothing is checked. */
import { formatJson } from '../../base/json.ts';
import { configReport, processArguments } from '../../config/index.ts';
import type { Settings } from '../../config/settings.ts';

/** One line without a newline, as the reference prints it; secrets are left out. */
export function formatReport(settings: Settings<'check'>, environment: NodeJS.ProcessEnv): string {
  const argv = processArguments(settings, { command: 'check', role: 'main', argumentsOnly: true });
  return formatJson({ cfg: configReport(argv, environment) });
}
