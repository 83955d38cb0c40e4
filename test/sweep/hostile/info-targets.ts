/** What a repository says of itself: info files, manifests, and the JSON in them. */
import { formatJson, parseJson } from '../../../src/base/json.ts';
import { type ArchiveInfo, decodeArchiveInfo, encodeArchiveInfo } from '../../../src/repo/archive-info.ts';
import { type BackupInfo, decodeBackupInfo, encodeBackupInfo } from '../../../src/repo/backup-info.ts';
import { archiveIdOf } from '../../../src/repo/history.ts';
import { InfoTextReader } from '../../../src/repo/info-text.ts';
import { isBackupLabel } from '../../../src/repo/label.ts';
import { archiveIdPath } from '../../../src/repo/layout.ts';
import { changedBytes } from './bytes.ts';
import { type Fuzz, must } from './fuzz.ts';
import { changedInfo, resealed } from './info-text.ts';
import { archiveInfos, backupInfos, manifests } from './seeds.ts';
import { readManifest, useManifest } from './use-manifest.ts';

const tokens = [
  ...[
    '=',
    '={',
    '={}',
    '="',
    '=1=1',
    '[',
    ']',
    '\n[backup:current]\n',
    '\n[db]\n',
    '\n[db:history]\n',
    '\n',
    '\r',
    '\0',
  ],
  ...[
    '{"',
    '":',
    '[[',
    '{"a":',
    '\\',
    '\\u',
    '"',
    '1e999',
    '18446744073709551616',
    '__proto__',
    '..',
    '/',
    '\u00e4',
    '-',
  ],
];

const kinds = ['format', 'checksum', 'json-format'] as const;

/** Most have the right checksum, so that what reads the entries meets them. */
const seal = (bytes: Buffer, choice: number): Buffer => (choice % 4 === 0 ? bytes : resealed(bytes));

/** Entries of a text, and how it ended. */
function textOf(input: Buffer, piece: number): string {
  const entries: string[] = [];
  const reader = new InfoTextReader((section, key, raw) => void entries.push(`${section}/${key}=${raw}`));
  for (let at = 0; at < input.length; at += piece) reader.push(input.subarray(at, at + piece));
  const { version } = reader.end();
  return `${version}\n${entries.join('\n')}`;
}

function useArchiveInfo(info: ArchiveInfo): void {
  for (const db of info.history) checkArchiveId(db);
  must(
    formatAgain(decodeArchiveInfo(encodeArchiveInfo(info, '1'))) === formatAgain(info),
    'archive.info stays the same',
  );
}

function useBackupInfo(info: BackupInfo): void {
  for (const db of info.history) checkArchiveId(db);
  for (const { label, reference, prior, archiveStart, archiveStop } of info.backups) {
    must([label, ...reference, ...(prior === undefined ? [] : [prior])].every(isBackupLabel), 'labels are labels');
    for (const segment of [archiveStart, archiveStop]) {
      must(segment === null || /^[0-9A-F]{24}$/.test(segment), `'${segment}' is the name of a segment`);
    }
  }
  must(formatAgain(decodeBackupInfo(encodeBackupInfo(info, '1'))) === formatAgain(info), 'backup.info stays the same');
}

/** Removed, listed, written into: it must be one directory of the stanza's. */
function checkArchiveId(db: { readonly id: number; readonly version: string }): void {
  must(
    /^\/archive\/demo\/\d{1,4}(\.\d{1,4})?-\d+$/.test(archiveIdPath('demo', archiveIdOf(db))),
    `archive id ${archiveIdOf(db)}`,
  );
}

const formatAgain = (value: object): string =>
  JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'bigint' ? `${item}n` : item instanceof Map ? [...item].sort() : item,
  );

/** A number between 1 and the size, that depends on the input only. */
const pieceOf = (input: Buffer): number => 1 + ((input.length * 7919) % Math.max(16, input.length));

export async function fuzzInfoFiles(fuzz: Fuzz): Promise<void> {
  const archive = (input: Buffer) => useArchiveInfo(decodeArchiveInfo(input));
  const backup = (input: Buffer) => useBackupInfo(decodeBackupInfo(input));
  const bytesOf = (texts: readonly string[]) => texts.map(text => Buffer.from(text));
  const all = [...archiveInfos(), ...backupInfos()];
  await fuzz.run({
    name: 'info text, bytes',
    inputs: changedBytes(bytesOf(all), { tokens, seal }),
    read(input) {
      must(textOf(input, pieceOf(input)) === textOf(input, input.length + 1), 'pieces make no difference');
    },
    kinds,
    cases: [700, 40_000],
  });
  await fuzz.run({
    name: 'archive.info, entries',
    inputs: changedInfo(archiveInfos()),
    read: archive,
    kinds,
    cases: [1500, 100_000],
  });
  await fuzz.run({
    name: 'backup.info, entries',
    inputs: changedInfo(backupInfos()),
    read: backup,
    kinds,
    cases: [2000, 100_000],
  });
}

export async function fuzzManifests(fuzz: Fuzz): Promise<void> {
  const texts = manifests();
  const read = (input: Buffer) => useManifest(readManifest(input, pieceOf(input)));
  await fuzz.run({
    name: 'manifest, entries',
    inputs: changedInfo(texts),
    read,
    // a version that we do not know is one
    kinds: [...kinds, 'version-not-supported', 'file-missing'],
    cases: [700, 30_000],
  });
  await fuzz.run({
    name: 'manifest, bytes',
    inputs: changedBytes(
      texts.map(text => Buffer.from(text)),
      { tokens, seal },
    ),
    read,
    kinds: [...kinds, 'version-not-supported'],
    cases: [200, 10_000],
  });
}

export async function fuzzJson(fuzz: Fuzz): Promise<void> {
  const seeds = [
    '{"a":[1,2,{"b":null}],"c":"d\\n\\u00e4","e":18446744073709551615,"f":true,"g":-1.5e3}',
    '[{"id":7710459850167362506},"\u0001\ud83d\ude00",[],{},"",0]',
    ...backupInfos().map(text => /={.*}/.exec(text)?.[0].slice(1) ?? ''),
  ].map(text => Buffer.from(text));
  await fuzz.run({
    name: 'json',
    inputs: changedBytes(seeds, {
      tokens: [...tokens, '[', '{"a":', '[['.repeat(40), '1.5', '\\ud800', '{"__proto__":'],
    }),
    read(input) {
      const value = parseJson(input.toString());
      let text: string;
      try {
        text = formatJson(value);
      } catch (error) {
        // only integers are ever written
        must(/cannot be written exactly/.test(String(error)), `it cannot be written: ${String(error)}`);
        return;
      }
      must(formatJson(parseJson(text)) === text, 'what is written is read as the same');
    },
    kinds: ['json-format'],
    cases: [4000, 150_000],
  });
}
