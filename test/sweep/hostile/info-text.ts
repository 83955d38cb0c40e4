/**
 * Info files and manifests that were changed by one who knows them: entry by entry and field by field, with the right
 * checksum, so that what reads the entries meets them.
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { formatJson, formatJsonString, type JsonObject, parseJson } from '../../../src/base/json.ts';
import type { Inputs } from './fuzz.ts';
import { hostileName, hostileRaw } from './values.ts';

interface Entry {
  readonly section: string;
  readonly key: string;
  readonly raw: string;
}

/** What is done to which entry, with what. */
type Change = readonly [how: number, at: number, raw: string, name: string];

const ways = 16;

/** @param seeds texts of good files */
export function changedInfo(seeds: readonly string[]): Inputs<[number, number, Change[]]> {
  const parsed = seeds.map(entriesOf);
  const change: fc.Arbitrary<Change> = fc.tuple(fc.nat(ways - 1), fc.nat(0xffff), hostileRaw, hostileName);
  return {
    arbitrary: fc.tuple(fc.nat(seeds.length - 1), fc.nat(39), fc.array(change, { minLength: 1, maxLength: 4 })),
    build([which, ending, changes]) {
      let entries: readonly Entry[] = parsed[which] ?? [];
      for (const change of changes) entries = changed(entries, change);
      // few have another checksum, or bytes that are no UTF-8
      const bytes = sealed(entries, ending === 0);
      if (ending !== 1) return bytes;
      const at = bytes.indexOf('pg_data/');
      if (at >= 0) bytes[at + 3] = 0xff;
      return bytes;
    },
  };
}

/** Entries of all sections but the last one. */
function entriesOf(text: string): Entry[] {
  const entries: Entry[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (/^\[.*\]$/.test(line)) {
      section = line.slice(1, -1);
      continue;
    }
    const [, key = '', raw = ''] = /^(.*?)=(.*)$/.exec(line) ?? [];
    if (key !== 'backrest-checksum') entries.push({ section, key, raw });
  }
  return entries;
}

function changed(entries: readonly Entry[], [how, place, raw, name]: Change): readonly Entry[] {
  const at = place % Math.max(1, entries.length);
  const entry = entries[at];
  if (entry === undefined) return [{ section: 'backrest', key: name, raw }];
  const put = (...inside: readonly Entry[]): Entry[] => [...entries.slice(0, at), ...inside, ...entries.slice(at + 1)];
  const fields = fieldsOf(entry.raw);
  const field = fields[place % Math.max(1, fields.length)];
  const withFields = (list: readonly (readonly [string, string])[]): Entry[] =>
    put({ ...entry, raw: `{${list.map(([key, value]) => `${formatJsonString(key)}:${value}`).join(',')}}` });
  switch (how) {
    case 0:
      return put({ ...entry, raw });
    case 1:
      return put();
    case 2:
      return put(entry, { ...entry, raw });
    case 3:
      return put(entry, entry);
    case 4:
      return put({ ...entry, key: name });
    case 5:
      return put(entry, { ...entry, key: name });
    case 6:
      return put({ ...entry, section: entries[(place * 7) % entries.length]?.section ?? name });
    case 7:
      return put(entry, { section: name, key: 'key', raw });
    case 8:
      // many of them
      return put(...Array.from({ length: 300 }, (_, index) => ({ ...entry, key: `${entry.key}${index}` })));
    case 9:
      return [...entries.slice(at), ...entries.slice(0, at)];
    case 10:
      return withFields([...fields, [name, raw]]);
    default:
      // one field of an entry that has some, else the entry
      if (field === undefined) return put({ ...entry, raw });
      if (how === 11) return withFields(fields.filter(other => other !== field));
      if (how === 12) return withFields([...fields, [field[0], raw]]);
      return withFields(fields.map(other => (other === field ? [field[0], raw] : other)));
  }
}

/** Fields of an entry, as text. */
function fieldsOf(raw: string): (readonly [string, string])[] {
  if (!raw.startsWith('{') || !isJson(raw)) return [];
  return Object.entries(parseJson(raw) as JsonObject).map(([key, value]) => [key, JSON.stringify(value, replaceBig)]);
}

const replaceBig = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

function isJson(raw: string): boolean {
  try {
    formatJson(parseJson(raw));
    return true;
  } catch {
    return false;
  }
}

/** Bytes that were changed, with the checksum that the entries now have, if they have any. */
export function resealed(bytes: Buffer): Buffer {
  return sealed(entriesOf(bytes.toString('latin1')), false, 'latin1');
}

/** The text with the checksum that its entries have. */
function sealed(entries: readonly Entry[], isWrong: boolean, encoding: 'utf8' | 'latin1' = 'utf8'): Buffer {
  let text = '';
  let hashed = '{';
  let section: string | undefined;
  for (const entry of entries) {
    if (entry.section !== section) {
      text += `${section === undefined ? '' : '\n'}[${entry.section}]\n`;
      hashed += `${section === undefined ? '' : '},'}"${entry.section}":{`;
      section = entry.section;
    } else hashed += ',';
    text += `${entry.key}=${entry.raw}\n`;
    hashed += `${formatJsonString(entry.key)}:${entry.raw}`;
  }
  hashed += section === undefined ? '}' : '}}';
  const checksum = createHash('sha1')
    .update(isWrong ? 'x' : hashed, encoding)
    .digest('hex');
  return Buffer.from(`${text}\n[backrest]\nbackrest-checksum="${checksum}"\n`, encoding);
}
