/** Typed access to parsed JSON objects: a missing or mistyped key is a format error that names it. */
import { BackstopError } from './error.ts';
import { type Json, type JsonObject, parseJson } from './json.ts';

/** A whole number from 0 that is exact. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/** @throws format when the JSON is anything but a string; `what` names it */
export function parseJsonString(raw: string, what: string): string {
  const value = parseJson(raw);
  if (typeof value !== 'string') throw new BackstopError('format', `${what} is not a string`);
  return value;
}

/** Reads the fields of one object; `what` names it in errors, such as `backup '20261121-020956F'`. */
export class JsonFields {
  readonly object: JsonObject;
  readonly #what: string;

  constructor(value: Json, what: string) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw new BackstopError('format', `${what} is not a JSON object`);
    }
    this.object = value as JsonObject;
    this.#what = what;
  }

  static parse(raw: string, what: string): JsonFields {
    return new JsonFields(parseJson(raw), what);
  }

  has(key: string): boolean {
    const value = this.object[key];
    return value !== undefined && value !== null;
  }

  string(key: string): string {
    const value = this.object[key];
    if (typeof value !== 'string') throw this.#wrong(key, 'a string');
    return value;
  }

  boolean(key: string): boolean {
    const value = this.object[key];
    if (typeof value !== 'boolean') throw this.#wrong(key, 'a boolean');
    return value;
  }

  /** An integer that a number holds exactly and that is not negative: sizes, times, ids. */
  count(key: string): number {
    const value = this.object[key];
    if (typeof value !== 'number' || value < 0 || !Number.isSafeInteger(value)) throw this.#wrong(key, 'a count');
    return value;
  }

  /** An integer that a number holds exactly, of either sign: the time of a file can be before 1970. */
  integer(key: string): number {
    const value = this.object[key];
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.#wrong(key, 'an integer');
    return value;
  }

  /** An integer of 64 bits, exact. */
  bigint(key: string): bigint {
    const value = this.object[key];
    if (typeof value === 'bigint') return value;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.#wrong(key, 'an integer');
    return BigInt(value);
  }

  strings(key: string): string[] {
    const value = this.object[key];
    if (!Array.isArray(value) || !value.every(item => typeof item === 'string')) {
      throw this.#wrong(key, 'a list of strings');
    }
    return value as string[];
  }

  /** Key/value strings, in file order. */
  map(key: string): Map<string, string> {
    const fields = new JsonFields(this.object[key] ?? null, `'${key}' of ${this.#what}`);
    return new Map(Object.keys(fields.object).map(name => [name, fields.string(name)]));
  }

  /** The value read by the given method when the key is there and not null. */
  optional<T>(key: string, read: (key: string) => T): T | undefined {
    return this.has(key) ? read.call(this, key) : undefined;
  }

  #wrong(key: string, wanted: string): BackstopError {
    const found = this.object[key] === undefined ? 'is missing' : `is not ${wanted}`;
    return new BackstopError('format', `'${key}' of ${this.#what} ${found}`);
  }
}
