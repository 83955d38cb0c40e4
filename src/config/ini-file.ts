/**
 * The INI dialect of pgbackrest.conf.
 *
 * Own reader, because the npm packages read another language: `ini` cuts values at `;` and `#`, takes quotes and
 * backslashes for syntax, turns `true` into a boolean and `a[]` or `[a.b]` into structure. A passphrase such as
 * `x+y/z#1;2==` would be silently shortened and a backup encrypted with the wrong key. Here a line is trimmed, `#`
 * counts only as its first character, the first `=` splits, and a value is exactly what stands there.
 */
import { isUtf8 } from 'node:buffer';
import { BackstopError } from '../base/error.ts';

/** Section -> key -> texts in file order; a key given once has one text. */
export type Ini = Map<string, Map<string, string[]>>;

/**
 * Adds a file's content to `into`; sections of the same name join.
 * @param show how a line may be quoted in an error: it must take secrets out
 * @throws format with the line and its number
 */
export function parseIni(content: Buffer, into: Ini, show: (line: string) => string): void {
  const syntax = (problem: string): BackstopError =>
    new BackstopError('format', `${problem} at line ${number}: ${show(line)}`);
  const utf8 = isUtf8(content);
  let section: Map<string, string[]> | undefined;
  let number = 0;
  let line = '';
  for (const raw of content.toString('utf8').split('\n')) {
    number++;
    line = trim(raw);
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (!line.endsWith(']')) throw syntax('ini section should end with ]');
      if (line.length < 3) throw syntax('invalid empty section');
      section = openSection(line.slice(1, -1), into);
      continue;
    }
    if (section === undefined) throw syntax('key/value found outside of section');
    const equal = line.indexOf('=');
    if (equal < 0) throw syntax("missing '=' in key/value");
    const key = trim(line.slice(0, equal));
    const value = trim(line.slice(equal + 1));
    if (key === '') throw syntax('key is zero-length');
    // text in another encoding is fine in a comment, but a value (a passphrase, a path) would be read as another one
    if (!utf8 && line.includes('\ufffd')) throw syntax('text is not UTF-8');
    const texts = section.get(key);
    if (texts === undefined) section.set(key, [value]);
    else texts.push(value);
  }
}

function openSection(name: string, into: Ini): Map<string, string[]> {
  let section = into.get(name);
  if (section === undefined) {
    section = new Map();
    into.set(name, section);
  }
  return section;
}

/** Trims what C's isspace knows; String.trim would also take a byte order mark or a no-break space off a value. */
function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d);
