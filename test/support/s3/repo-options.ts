/** Options of a repository in the lab's buckets, as our tool and the real one (2.45 and later) take them. */
import type { S3Place } from './lab-file.ts';

export interface RepoOptions {
  readonly bucket: string;
  /** Folder in the bucket, `/` when absent. */
  readonly path?: string;
  /** Number of the repository, 1 when absent. */
  readonly index?: number;
  /** `path` when absent. */
  readonly uriStyle?: 'path' | 'host';
  /** Port of 127.0.0.1 where TLS is spoken: a proxy's; the lab's own when absent. */
  readonly port?: number;
  /** Other keys than those of the lab's owner. */
  readonly key?: string;
  readonly secret?: string;
  readonly token?: string;
}

/**
 * Over TLS, with the certificate checked: sockets go to 127.0.0.1, the name is the lab's.
 * @returns option names with values, ready for `TestStanza`
 */
export function repoOptions(lab: S3Place, options: RepoOptions): Record<string, string | number> {
  const values = {
    type: 's3',
    path: options.path ?? '/',
    's3-bucket': options.bucket,
    's3-endpoint': lab.dnsName,
    's3-region': lab.region,
    's3-uri-style': options.uriStyle ?? 'path',
    's3-key': options.key ?? lab.key,
    's3-key-secret': options.secret ?? lab.secret,
    ...(options.token === undefined ? {} : { 's3-token': options.token }),
    'storage-host': '127.0.0.1',
    'storage-port': options.port ?? Number(new URL(lab.https).port),
    'storage-ca-file': lab.caFile,
  };
  const repo = `repo${options.index ?? 1}`;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${repo}-${name}`, value]));
}

/** The same as lines of a configuration file, each with its newline. */
export function repoLines(lab: S3Place, options: RepoOptions): string {
  return Object.entries(repoOptions(lab, options))
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
