import { findRealPgbackrest, isSince } from './real-pgbackrest.ts';

type InfoObject = { [key: string]: unknown };

/** Keys that `info` of level 2.59.1 has, and the release that they came with. */
const newerKeys = [['status.lock.restore', '2.56']] as const;

/** What `info --output=json` says, without what the real tool here does not know of, and without what only ours says. */
export function comparableInfo(text: string, real = findRealPgbackrest()): unknown {
  const stanzas = JSON.parse(text) as InfoObject[];
  for (const stanza of stanzas) {
    for (const [key, release] of newerKeys) if (!isSince(real, release)) remove(stanza, key.split('.'));
    if (Array.isArray(stanza.repo))
      for (const repo of stanza.repo) for (const key of ['lag', 'dropped']) delete repo[key];
  }
  return stanzas;
}

function remove(from: unknown, [key = '', ...rest]: readonly string[]): void {
  if (typeof from !== 'object' || from === null) return;
  const object = from as InfoObject;
  if (rest.length === 0) delete object[key];
  else remove(object[key], rest);
}
