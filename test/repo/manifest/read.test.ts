/** Manifests with the right checksum, altered by somebody who knows the format: each is refused as what it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { isKind } from '../../../src/base/error.ts';
import type { Manifest } from '../../../src/repo/manifest/manifest.ts';
import { ManifestReader } from '../../../src/repo/manifest/read.ts';
import { withChecksum } from '../../support/info-checksum.ts';

const file = join(import.meta.dirname, '../../fixture/info-repo/20261121-032210F.manifest.gz');
const good = gunzipSync(readFileSync(file)).toString();

function read(text: string): Manifest {
  const reader = new ManifestReader();
  reader.push(Buffer.from(withChecksum(text)));
  return reader.end();
}

const version = /^pg_data\/PG_VERSION=\{/m;
const huge = Number.MAX_SAFE_INTEGER;

it.each<[what: string, from: string | RegExp, to: string]>([
  ['a tablespace id that is no number', /"tablespace-id":"16384"/, '"tablespace-id":"NaN"'],
  ['a tablespace id that is no oid', /"tablespace-id":"16384"/, '"tablespace-id":"0x4000"'],
  ['blocks of an impossible size', version, 'pg_data/PG_VERSION={"bi":9007199254740991,'],
  ['checksums of blocks of no bytes', version, 'pg_data/PG_VERSION={"bi":1,"bic":0,'],
  ['checksums of blocks of more bytes than a digest has', version, 'pg_data/PG_VERSION={"bi":1,"bic":262,'],
  ['a compression level that no number holds', 'compress-level=6', 'compress-level=99999999999999999999'],
  [
    'files of an impossible size together',
    version,
    `pg_data/a={"checksum":"${'a'.repeat(40)}","size":${huge},"timestamp":1}\npg_data/PG_VERSION={`,
  ],
  ['a file twice', version, 'pg_data/PG_VERSION={"size":0,"timestamp":1}\npg_data/PG_VERSION={'],
  ['WAL that begins with what is no segment', /backup-archive-start="\w+"/, 'backup-archive-start="../../x"'],
  ['a passphrase that is an object', '[backup:db]\n', '[cipher]\ncipher-pass={"a":1}\n\n[backup:db]\n'],
  ['WAL that ends with what is no segment', /backup-archive-stop="\w+"/, 'backup-archive-stop=""'],
  [
    'a version of the tool that is an object',
    'backrest-version="2.59.1"',
    'backrest-version={"valueOf":1,"toString":2}',
  ],
])('a manifest with %s is refused', (_, from, to) => {
  const text = good.replace(from, to);
  expect(text).not.toBe(good);
  let error: unknown;
  try {
    read(text);
  } catch (thrown) {
    error = thrown;
  }
  expect(isKind(error, 'format'), String(error)).toBe(true);
});

it('a manifest of which nothing was altered is read, whatever the order of its files', () => {
  const files = read(good).files.length;
  const lines = good.split('\n');
  const first = lines.findIndex(line => version.test(line));
  const shuffled = lines.with(first, lines[first + 1] ?? '').with(first + 1, lines[first] ?? '');
  expect(read(shuffled.join('\n')).files.length).toBe(files);
});
