import { BackstopError, type BackstopErrorOptions, type ErrorKind } from '../base/error.ts';

/**
 * When a configuration problem was found, which decides how it is printed:
 * - `syntax`: on the command line, before logging exists: stderr, `ERROR: [031]: ...`
 * - `validate`: in the sources or values: stdout, `P00  ERROR: [031]: ...`, no timestamp whatever `log-timestamp` says
 */
export type ConfigStage = 'syntax' | 'validate';

/** A configuration that cannot be used. */
export class ConfigError extends BackstopError {
  readonly stage: ConfigStage;
  /** Warnings found before the error; they are printed first (at stage `validate` only). */
  readonly warnings: readonly string[];

  constructor(
    stage: ConfigStage,
    kind: ErrorKind,
    message: string,
    options: BackstopErrorOptions & { readonly warnings?: readonly string[] } = {},
  ) {
    super(kind, message, options);
    this.stage = stage;
    this.warnings = options.warnings ?? [];
  }

  /** The same error, found at another stage. */
  at(stage: ConfigStage, warnings: readonly string[]): ConfigError {
    return new ConfigError(stage, this.kind, this.message, { hint: this.hints, cause: this.cause, warnings });
  }
}

export const invalidOption = (message: string, hint?: string | readonly string[]): ConfigError =>
  new ConfigError('validate', 'option-invalid', message, hint === undefined ? {} : { hint });

export const invalidValue = (message: string, hint?: string | readonly string[]): ConfigError =>
  new ConfigError('validate', 'option-invalid-value', message, hint === undefined ? {} : { hint });

/** The stage of any thrown value, undefined when it did not come from loading a configuration. */
export function configStage(error: unknown): ConfigStage | undefined {
  // by field, not by class: the error may have been made by another bundle's copy of this module
  const stage = (error as { readonly stage?: unknown } | null | undefined)?.stage;
  return stage === 'syntax' || stage === 'validate' ? stage : undefined;
}
