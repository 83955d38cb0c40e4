/** What help, man page and sample configuration say about a command or an option. */
export interface Prose {
  /** One sentence with its full stop. */
  readonly summary: string;
  /** A paragraph or a few, separated by an empty line; lines are wrapped when printed. */
  readonly help: string;
}

export interface OptionProse extends Prose {
  /** What is different for single commands. */
  readonly for?: Readonly<Record<string, Prose>>;
}
