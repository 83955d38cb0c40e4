/** Commands as a shell shows them. */

/** Quotes one argument where a shell needs it. */
export function quote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** One command line. */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(' ');
}
