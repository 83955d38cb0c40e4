/** Text to value and back, without knowledge of options. A text that is no value of the type gives undefined. */

const maxInteger = 2n ** 63n - 1n;

/** Decimal integer of at most 64 bits. Beyond 2^53 the result is rounded: every option's range ends before. */
export function parseInteger(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  return withinInt64(BigInt(text.replace('+', '')));
}

const sizeUnits: Readonly<Record<string, bigint>> = {
  b: 1n,
  k: 1024n,
  m: 1024n ** 2n,
  g: 1024n ** 3n,
  t: 1024n ** 4n,
  p: 1024n ** 5n,
};

/** `16MiB`, `16mb`, `16m` or `16777216`: bytes; units are steps of 1024 in any case and spelling. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(?:(b)|([kmgtp])(?:i?b)?)?$/i.exec(text);
  if (match?.[1] === undefined) return undefined;
  const unit = sizeUnits[(match[2] ?? match[3] ?? 'b').toLowerCase()];
  return unit === undefined ? undefined : withinInt64(BigInt(match[1]) * unit);
}

const timeUnits: Readonly<Record<string, bigint>> = {
  ms: 1n,
  s: 1000n,
  m: 60_000n,
  h: 3_600_000n,
  d: 86_400_000n,
  w: 604_800_000n,
};

/** `30m` or `1800`: milliseconds; without unit the number counts seconds. Fractions are not accepted. */
export function parseTime(text: string): number | undefined {
  const match = /^([+-]?\d+)(ms|[smhdw])?$/i.exec(text);
  if (match?.[1] === undefined) return undefined;
  const unit = timeUnits[(match[2] ?? 's').toLowerCase()];
  return unit === undefined ? undefined : withinInt64(BigInt(match[1].replace('+', '')) * unit);
}

function withinInt64(value: bigint): number | undefined {
  return value > maxInteger || value < -maxInteger - 1n ? undefined : Number(value);
}

/** Splits `key=value` at the first `=`; undefined without one. */
export function parsePair(text: string): readonly [string, string] | undefined {
  const equal = text.indexOf('=');
  return equal < 0 ? undefined : [text.slice(0, equal), text.slice(equal + 1)];
}
