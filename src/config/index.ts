/** The configuration layer: options and commands as a table, and settings found by its rules. */
export type { AfterBegin } from './check.ts';
export {
  type CommandName,
  type CommandRole,
  type CommandRule,
  commandNames,
  commandRoleName,
  commandRule,
  isCommandName,
  type LockKind,
  type RunCommand,
} from './command.ts';
export { ConfigError, type ConfigStage, configStage } from './config-error.ts';
export type { ConfigPlaces } from './config-file.ts';
export { deriveSettings } from './derive.ts';
export { takeSecrets } from './environment.ts';
export { exposureWarnings } from './exposed.ts';
export {
  type ArgumentsRequest,
  formatOptions,
  formatParams,
  optionArguments,
  processArguments,
  restoreCommandOptions,
} from './format.ts';
export { type HelpRequest, type Loaded, load } from './load.ts';
export { type ConfigReport, configReport, type ReportedOption, type ReportedOptions } from './report.ts';
export { isFor, type PlainSettings, settingsFromPlain, settingsToPlain } from './resolved-settings.ts';
export type { AnySettings, IndexedSettings, OptionSource, OptionValue, Settings, ValuesFor } from './settings.ts';
export type { OptionName } from './table.ts';
