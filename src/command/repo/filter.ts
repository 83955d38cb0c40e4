/** Filters on names: POSIX expressions as users of the real tool write them. */
import { BackstopError } from '../../base/error.ts';

/** Inside brackets; C's locale. */
const classes: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  blank: ' \\t',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '\\x21-\\x7e',
  lower: 'a-z',
  print: '\\x20-\\x7e',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\s',
  upper: 'A-Z',
  xdigit: 'A-Fa-f0-9',
};

/** @returns whether a name matches @throws format for what is no expression */
export function nameFilter(expression: string | undefined): (name: string) => boolean {
  if (expression === undefined) return () => true;
  try {
    const pattern = new RegExp(expression.replace(/\[:([a-z]+):\]/g, (all, name: string) => classes[name] ?? all));
    return name => pattern.test(name);
  } catch (cause) {
    throw new BackstopError('format', `invalid filter '${expression}': ${(cause as Error).message}`, { cause });
  }
}
