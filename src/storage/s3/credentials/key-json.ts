/** Reads the JSON in which the metadata service, containers and credential processes give credentials. */
import { BackstopError } from '../../../base/error.ts';
import type { AccessKey } from './source.ts';

export type JsonFields = Readonly<Record<string, unknown>>;

/**
 * @param origin who gave it, for messages, which never repeat the text
 * @throws format
 */
export function parseFields(text: string, origin: string): JsonFields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // the parser's own message would repeat a piece of the text
    throw new BackstopError('format', `${origin} gave no valid JSON`, { hint: formHint });
  }
  if (typeof value !== 'object' || value === null) throw new BackstopError('format', `${origin} gave no JSON object`);
  return value as JsonFields;
}

/**
 * @param tokenField what the token is called; it may be absent, as may Expiration
 * @throws format when something else is absent or is not what it should be
 */
export function accessKeyIn(fields: JsonFields, tokenField: 'Token' | 'SessionToken', origin: string): AccessKey {
  const optional = (name: string): string | undefined => {
    const value = fields[name] ?? undefined;
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw new BackstopError('format', `${origin} gave a ${name} that is no text`);
    }
    return value;
  };
  const required = (name: string): string => {
    const value = optional(name);
    if (value === undefined) throw new BackstopError('format', `${origin} gave no ${name}`, { hint: formHint });
    return value;
  };
  const sessionToken = optional(tokenField);
  const expiration = optional('Expiration');
  return {
    accessKeyId: required('AccessKeyId'),
    secretAccessKey: required('SecretAccessKey'),
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(expiration === undefined ? {} : { expiration: parseExpiration(expiration, origin) }),
  };
}

/** @throws format */
export function parseExpiration(text: string, origin: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new BackstopError('format', `${origin} gave an Expiration that is no time`);
  return at;
}

const formHint =
  'expected is JSON with AccessKeyId, SecretAccessKey, and for temporary credentials a token and Expiration.';
