/** Ways in which a command cannot do its work, with secrets at hand. */
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { LocalService, type Reply, type Request } from '../../support/s3/local-service.ts';
import type { SecretBed, SecretRun } from './secret-bed.ts';

/** Exit codes of defects: nothing that can go wrong outside is one. */
export const defects = [25, 124];

export interface Mishap {
  readonly what: string;
  readonly run: SecretRun;
  /** Undoes what was done to the bed. */
  readonly undo?: () => void;
}

/** The commands that look into a repository, and leave it as it is when they cannot. */
export const lookers: readonly (readonly [command: string, args: (bed: SecretBed) => readonly string[]])[] = [
  ['annotate', bed => [`--set=${bed.labels()[0]}`, '--annotation=a=b', '--repo=1']],
  ['archive-get', bed => ['000000010000000000000001', join(bed.root, 'work/got')]],
  ['archive-push', bed => [join(bed.cluster.data, 'pg_wal/000000010000000000000003')]],
  ['archive-push', bed => ['--archive-async', join(bed.cluster.data, 'pg_wal/000000010000000000000003')]],
  ['backup', () => ['--no-online', '--type=full', '--repo=1']],
  ['check', () => []],
  ['expire', () => []],
  ['info', () => []],
  ['info', () => ['--output=json']],
  ['manifest', () => []],
  // not an info file: it is asked for to see all that is in it
  ['repo-get', bed => [`backup/demo/${bed.labels()[0]}/pg_data/PG_VERSION.lz4`]],
  ['repo-ls', () => ['--recurse']],
  ['repo-put', () => ['archive/demo/note']],
  ['repo-rm', () => ['archive/demo/note']],
  [
    'restore',
    bed => [`--pg1-path=${bed.root}/restored/other`, `--tablespace-map-all=${bed.root}/restored/other-space`],
  ],
  ['stanza-create', () => ['--no-online']],
  ['stanza-upgrade', () => ['--no-online']],
  ['verify', () => []],
];

const only = (repo: Readonly<Record<string, string | number>>): Record<string, string | number | undefined> => ({
  'repo1-cipher-type': undefined,
  'repo2-cipher-type': undefined,
  'repo2-path': undefined,
  'repo2-retention-full': undefined,
  'io-timeout': '100ms',
  'archive-timeout': '1s',
  'job-retry': 0,
  ...repo,
});

/** The usual secrets of the second repository would make one of it. */
const withoutSecond = (
  bed: SecretBed,
  secrets: Readonly<Record<string, string>>,
): Record<string, string | undefined> => ({
  ...Object.fromEntries(Object.keys(bed.secrets).map(name => [name, undefined])),
  ...secrets,
});

/** A repository in a bucket, whose service is at this place. */
function bucket(bed: SecretBed, endpoint: string, more: Readonly<Record<string, string>> = {}): SecretRun {
  const { canaries } = bed;
  return {
    options: only({
      'repo1-type': 's3',
      'repo1-path': '/repo',
      'repo1-s3-bucket': 'bucket',
      'repo1-s3-region': 'us-east-1',
      'repo1-s3-endpoint': endpoint,
      'repo1-s3-uri-style': 'path',
    }),
    secrets: withoutSecond(bed, {
      'repo1-cipher-pass': canaries.make('passphrase for a bucket'),
      'repo1-s3-key': canaries.plain('key'),
      'repo1-s3-key-secret': canaries.make('secret of the key'),
      'repo1-s3-token': canaries.make('token', ['+', '/', '==']),
      ...more,
    }),
  };
}

export const plainMishaps: readonly ((bed: SecretBed) => Mishap)[] = [
  bed => ({
    what: 'another passphrase',
    run: {
      secrets: {
        'repo1-cipher-pass': bed.canaries.make('another passphrase of repo1'),
        'repo2-cipher-pass': bed.canaries.make('another passphrase of repo2'),
      },
    },
  }),
  () => ({ what: 'no passphrase', run: { secrets: { 'repo1-cipher-pass': undefined } } }),
  () => ({
    what: 'not taken for encrypted',
    run: { options: { 'repo1-cipher-type': 'none', 'repo2-cipher-type': 'none' } },
  }),
  () => ({ what: 'no repository there', run: { options: { 'repo1-path': '/nowhere/1', 'repo2-path': '/nowhere/2' } } }),
  () => ({ what: 'no place for locks', run: { options: { 'lock-path': '/proc/none' } } }),
  () => ({ what: 'no place for logs', run: { options: { 'log-path': '/proc/none' } } }),
  () => ({ what: 'no spool', run: { options: { 'spool-path': '/proc/none' } } }),
  () => ({ what: 'a wrong value', run: { options: { 'process-max': 'many' } } }),
  () => ({ what: 'an unknown option', run: { options: { 'repo1-cypher': 'x' } } }),
  bed => ({ what: 'a service that is not there', run: bucket(bed, 'http://127.0.0.1:1') }),
  bed => ({ what: 'a service that has no address', run: bucket(bed, 'https://nowhere.invalid') }),
  bed => ({
    what: 'a customer key that is none',
    run: bucket(bed, 'http://127.0.0.1:1', { 'repo1-s3-sse-customer-key': bed.canaries.make('customer key') }),
  }),
  bed => ({
    what: 'a key that no header can have',
    run: bucket(bed, 'http://127.0.0.1:1', {
      'repo1-s3-key': `${bed.canaries.make('odd key')}\u20ac`,
      'repo1-s3-token': `${bed.canaries.make('odd token')}\u0007`,
    }),
  }),
  ...['azure', 'gcs', 'sftp'].map(type => (bed: SecretBed) => ({
    what: `a repository of type ${type}`,
    run: {
      options: only({
        'repo1-type': type,
        'repo1-azure-container': 'c',
        'repo1-gcs-bucket': 'b',
        'repo1-sftp-host': 'h',
        'repo1-sftp-host-user': 'u',
        'repo1-sftp-private-key-file': '/k',
        'repo1-sftp-host-key-hash-type': 'sha1',
      }),
      secrets: withoutSecond(bed, {
        'repo1-azure-account': bed.canaries.plain('azure account'),
        'repo1-azure-key': bed.canaries.make('azure key'),
        'repo1-gcs-key': bed.canaries.make('gcs key'),
        'repo1-sftp-private-key-passphrase': bed.canaries.make('sftp passphrase'),
      }),
    },
  })),
  bed => damaged(bed, 'archive/demo/archive.info'),
  bed => damaged(bed, 'backup/demo/backup.info'),
];

/** Both copies of an info file in both repositories, each with a block that became something else. */
function damaged(bed: SecretBed, path: string): Mishap {
  const files = ['repo1', 'repo2'].flatMap(repo => ['', '.copy'].map(suffix => join(bed.root, repo, path + suffix)));
  const turn = () => {
    for (const file of files) {
      const descriptor = openSync(file, 'r+');
      const byte = Buffer.alloc(1);
      readSync(descriptor, byte, 0, 1, 100);
      byte[0] = (byte[0] ?? 0) ^ 0x80;
      writeSync(descriptor, byte, 0, 1, 100);
      closeSync(descriptor);
    }
  };
  turn();
  return { what: `damage in ${path}`, run: {}, undo: turn };
}

/** What a service or a proxy in its place makes of a request that it repeats. */
const echoes: readonly (readonly [what: string, status: number, form: (seen: string) => string])[] = [
  ['an error of S3', 403, seen => `<Error><Code>AccessDenied</Code><Message>${escaped(seen)}</Message></Error>`],
  ['a code of S3', 400, seen => `<Error><Code>${escaped(seen)}</Code><Message>none</Message></Error>`],
  ['a page', 403, seen => `<html><body><pre>${escaped(seen)}</pre></body></html>`],
  ['a text', 400, seen => seen],
  ['JSON', 401, seen => JSON.stringify({ error: seen })],
  ['an answer that is none', 200, seen => `<a>${escaped(seen)}</b>`],
  ['a text in the place of a list', 200, seen => seen],
  ['a failure', 500, seen => `<Error><Code>InternalError</Code><Message>${escaped(seen)}</Message></Error>`],
];

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

export const echoMishaps = echoes.map(([what, status, form]) => async (bed: SecretBed) => {
  const reply = ({ headers, path }: Request): Reply => ({ status, body: form(`${path} ${JSON.stringify(headers)}`) });
  const service = await LocalService.start(reply);
  return {
    what: `a service that answers with what it was sent, as ${what}`,
    run: bucket(bed, service.url),
    undo: () => service.close(),
  };
});

/** A service that never answers: a command waits for it. */
export async function silentService(bed: SecretBed): Promise<Mishap & { readonly asked: () => number }> {
  const service = await LocalService.start(() => ({ silent: true }));
  const run = bucket(bed, service.url);
  return {
    what: 'a service that is silent',
    run: { ...run, options: { ...run.options, 'io-timeout': '3s' } },
    asked: () => service.requests.length,
    undo: () => service.close(),
  };
}

export function forgetRestored(bed: SecretBed): void {
  for (const name of ['other', 'other-space']) {
    rmSync(join(bed.root, 'restored', name), { recursive: true, force: true });
    bed.folder(`restored/${name}`);
  }
}
