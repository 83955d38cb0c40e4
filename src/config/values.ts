/** Text to value and back, without knowledge of options. A text that is no value of the type gives undefined. */
import { redacted } from './option.ts';

/** Decimal integer of at most 64 bits. Beyond 2^53 the result is rounded: every option's range ends before. */
export function parseInteger(text: string): number | undefined {
  return /^[+-]?\d+$/.test(text) ? scaled(text, 1) : undefined;
}

const sizeUnits: Readonly<Record<string, number>> = {
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** `16MiB`, `16mb`, `16m` or `16777216`: bytes; units are steps of 1024 in any case and spelling. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(?:(b)|([kmgtp])(?:i?b)?)?$/i.exec(text);
  if (match?.[1] === undefined) return undefined;
  return scaled(match[1], sizeUnits[(match[2] ?? match[3] ?? 'b').toLowerCase()] ?? 1);
}

const timeUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** `30m` or `1800`: milliseconds; without unit the number counts seconds. Fractions are not accepted. */
export function parseTime(text: string): number | undefined {
  const match = /^([+-]?\d+)(ms|[smhdw])?$/i.exec(text);
  if (match?.[1] === undefined) return undefined;
  return scaled(match[1], timeUnits[(match[2] ?? 's').toLowerCase()] ?? 1);
}

const maxInteger = 2n ** 63n - 1n;

/** Digits times unit, undefined beyond 64 bits. */
function scaled(digits: string, unit: number): number | undefined {
  const value = Number(digits) * unit;
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  const exact = BigInt(digits.replace('+', '')) * BigInt(unit);
  return exact > maxInteger || exact < -maxInteger - 1n ? undefined : Number(exact);
}

/** Splits `key=value` at the first `=`; undefined without one. */
export function parsePair(text: string): readonly [string, string] | undefined {
  const equal = text.indexOf('=');
  return equal < 0 ? undefined : [text.slice(0, equal), text.slice(equal + 1)];
}

/**
 * For logs: a text in which the password of a connection cannot be read, as recovery-option=primary_conninfo or the URL of a
 * service may have it. libpq takes `password=word`, `password = 'more words'` and `postgresql://user:password@host`. What is
 * no clear quote goes to the next `name=`: in postgresql.auto.conf quotes may be doubled, and a word may have quotes in it.
 */
export function withoutPassword(text: string): string {
  return text
    .replace(/(password\s*=\s*)(?:'(?:[^'\\]|\\.|'')*'(?=\s|$)|.*?(?=\s+\w+\s*=|$))/gis, `$1${redacted}`)
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^:@/\s]*:)(?!\d+\/)[^@\s]*@/gi, `$1${redacted}@`);
}
