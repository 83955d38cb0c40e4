/** archive.info: which clusters the archive of a stanza belongs to (format, section 2.4). */

import { BackstopError } from '../base/error.ts';
import { formatJson, formatJsonString } from '../base/json.ts';
import { JsonFields, parseJsonString } from '../base/json-fields.ts';
import { type DbHistory, historyKeyOf } from './history.ts';
import { InfoTextReader, InfoTextWriter } from './info-text.ts';

export interface ArchiveInfo {
  /** Passphrase of everything else under the archive path; present in encrypted repositories. */
  readonly cipherPass?: string;
  readonly currentId: number;
  /** Oldest first. */
  readonly history: readonly DbHistory[];
}

/** @throws format, checksum or json-format when the bytes are not a sound archive.info */
export function decodeArchiveInfo(bytes: Uint8Array): ArchiveInfo {
  let cipherPass: string | undefined;
  let currentId: number | undefined;
  const history: DbHistory[] = [];
  const reader = new InfoTextReader((section, key, raw) => {
    if (section === 'cipher' && key === 'cipher-pass') cipherPass = parseJsonString(raw, `'${key}'`);
    if (section === 'db' && key === 'db-id') currentId = Number(raw);
    if (section === 'db:history') {
      const db = JsonFields.parse(raw, `history entry ${key}`);
      // a misnomer of the format: db-id holds the system id here
      history.push({ ...historyKeyOf(key, db.string('db-version')), systemId: db.bigint('db-id') });
    }
  });
  reader.push(bytes);
  reader.end();
  if (currentId === undefined || !history.some(db => db.id === currentId)) {
    throw new BackstopError('format', 'archive info has no current database');
  }
  return { currentId, history, ...(cipherPass === undefined ? {} : { cipherPass }) };
}

/** @param version version of this tool, recorded in the header */
export function encodeArchiveInfo(info: ArchiveInfo, version: string): Uint8Array {
  let text = '';
  const writer = new InfoTextWriter(version, part => {
    text += part;
  });
  const current = info.history.find(db => db.id === info.currentId);
  if (current === undefined) throw new BackstopError('assert', 'archive info without current database');
  if (info.cipherPass !== undefined) writer.entry('cipher', 'cipher-pass', formatJsonString(info.cipherPass));
  writer.entry('db', 'db-id', String(current.id));
  writer.entry('db', 'db-system-id', String(current.systemId));
  writer.entry('db', 'db-version', formatJsonString(current.version));
  for (const db of info.history) {
    writer.entry('db:history', String(db.id), formatJson({ 'db-id': db.systemId, 'db-version': db.version }));
  }
  writer.end();
  return Buffer.from(text);
}
