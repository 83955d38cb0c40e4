/** Good files that cases begin with: those of test/fixture, which others wrote, and some that we write. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { withChecksum } from '../../support/info-checksum.ts';
import { projectRoot } from '../../support/unprivileged-project.ts';

const fixture = join(projectRoot(), 'test', 'fixture');

export const archiveInfos = (): string[] => [readFileSync(join(fixture, 'info-repo/archive.info'), 'utf8')];

export const backupInfos = (): string[] => [readFileSync(join(fixture, 'info-repo/backup.info'), 'utf8')];

/** Manifests with a dozen files each: what is read a million times should be small. */
export function manifests(): string[] {
  const folder = join(fixture, 'info-repo');
  const names = readdirSync(folder).filter(name => name.endsWith('.manifest.gz'));
  const texts = names.map(name => cut(gunzipSync(readFileSync(join(folder, name))).toString()));
  return [...texts, ...texts.slice(0, 1).map(withEverything)];
}

/** Without most of its files and paths. */
function cut(text: string): string {
  const wanted =
    /^(pg_data\/(PG_VERSION|backup_label|base\/1\/11[23]|base\/5\/1247|global\/pg_control|tablespace_map)|pg_tblspc\/)/;
  let section = '';
  const lines = text.split('\n').filter(line => {
    if (line.startsWith('[')) section = line;
    if (section === '[target:file]') return line === '' || line.startsWith('[') || wanted.test(line);
    return section !== '[target:path]' || !/^pg_data\/pg_.*=/.test(line) || line.startsWith('pg_data/pg_tblspc');
  });
  return withChecksum(lines.join('\n'));
}

/** Bundles, blocks, links, a cipher, annotations, page errors. */
function withEverything(text: string): string {
  const sum = 'a'.repeat(40);
  const files = [
    `pg_data/base/5/1={"bni":1,"bno":100,"checksum":"${sum}","repo-size":50,"size":8192,"timestamp":1795231333}`,
    `pg_data/base/5/2={"bi":1,"bic":7,"bim":90,"bni":1,"bno":150,"checksum":"${sum}","rck":"${sum}","repo-size":999,"size":16384,"szo":20000,"timestamp":1795231333}`,
    `pg_data/base/5/3={"checksum":"${sum}","checksum-page":false,"checksum-page-error":[0,[2,3]],"mode":"0644","repo-size":5,"size":40960,"timestamp":-5,"user":false}`,
    `pg_data/conf/pg_hba.conf={"checksum":"${sum}","group":"adm","size":5,"timestamp":1795231333}`,
  ];
  const targets = [
    'pg_data/conf={"path":"../conf","type":"link"}',
    'pg_data/postgresql.conf={"file":"pg.conf","path":"/etc/x","type":"link"}',
  ];
  return withChecksum(
    text
      .replace('backup-label=', 'backup-block-incr=true\nbackup-bundle=true\nbackup-bundle-raw=true\nbackup-label=')
      .replace(
        '[target:file]\n',
        `[cipher]\ncipher-pass="secret"\n\n[metadata]\nannotation={"a":"b","c":"d=e"}\n\n[target:file]\n${files.join('\n')}\n`,
      )
      .replace('\n[cipher]', `${targets.join('\n')}\n\n[cipher]`)
      .replace(
        '[target:path]\n',
        '[target:link]\npg_data/conf={"destination":"../conf"}\npg_data/postgresql.conf={"destination":"/etc/x/pg.conf","user":false}\n\n[target:link:default]\ngroup="postgres"\nuser="postgres"\n\n[target:path]\npg_data/conf={"mode":"0755"}\n',
      ),
  );
}

/** Control files and first pages of WAL, of several versions. */
export const controls = (): Buffer[] => ofKind('.control');
export const walHeaders = (): Buffer[] => ofKind('.wal');

function ofKind(ending: string): Buffer[] {
  const folder = join(fixture, 'pg_control');
  return readdirSync(folder)
    .filter(name => name.endsWith(ending))
    .map(name => readFileSync(join(folder, name)));
}

export const configFiles = (): Buffer[] => [
  readFileSync(join(projectRoot(), 'conf/pgbackrest.conf')),
  ...['plain-gz', 'block-none'].map(name => readFileSync(join(fixture, 'repo', name, 'pgbackrest.conf'))),
  Buffer.from(
    '[global]\nrepo1-path=/r\nrepo1-retention-full=2\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=x+y/z#1;2==\n' +
      'process-max=4\ncompress-type=zst\nbuffer-size=1MiB\nrepo2-type=s3\nrepo2-s3-bucket=b\n\n[global:backup]\nstart-fast=y\n' +
      'compress-level=3\n\n[demo]\npg1-path=/d\npg2-path=/e\npg2-port=5433\ndb-exclude=a\ndb-exclude=b\nlink-map=pg_wal=/w\n',
  ),
];
