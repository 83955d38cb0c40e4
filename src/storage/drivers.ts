/** The list of storage drivers: from plain settings, which cross threads, to an open storage. */
import { BackstopError } from '../base/error.ts';
import type { CounterMemory } from './s3/requests.ts';
import type { GivenS3Settings } from './s3/settings.ts';
import type { Storage } from './storage.ts';

/** A repository as plain data. */
export interface RepoSettings {
  /** Number users know it by, from 1. */
  readonly key: number;
  readonly type: 'posix' | 'cifs' | 'azure' | 'gcs' | 's3' | 'sftp';
  readonly path: string;
  /** Passphrase of the info files; absent when the repository is not encrypted. */
  readonly cipherPass?: string;
  /** Host that holds the repository, when it is not this one. */
  readonly host?: string;
  /** The bucket, for type s3. */
  readonly s3?: GivenS3Settings;
  /** Where the requests to an object store are counted, over all threads. */
  readonly requests?: CounterMemory;
}

/** Who is told what an open storage finds out. */
export interface StorageContext {
  /** Told where the credentials of a bucket come from, and of failures to renew them that are not fatal yet. Never a secret. */
  readonly debug?: (message: string) => void;
}

/**
 * Opens a repository. Paths start with `/` below repo-path.
 * @throws feature-not-supported for a kind of storage that this version does not have
 */
export async function openRepoStorage(settings: RepoSettings, context: StorageContext = {}): Promise<Storage> {
  const label = `repo${settings.key}`;
  if (settings.host !== undefined) throw notBuilt(`${label}-host`, 'a repository on another host');
  switch (settings.type) {
    case 'posix':
    case 'cifs': {
      const { openPosixStorage } = await import('./posix/posix-storage.ts');
      return openPosixStorage({
        label,
        base: settings.path === '/' ? '' : settings.path,
        links: settings.type === 'posix',
      });
    }
    case 's3': {
      if (settings.s3 === undefined || settings.requests === undefined) {
        throw new BackstopError('assert', `${label} has no bucket`);
      }
      const [{ openS3Storage }, { RequestCounters }] = await Promise.all([
        import('./s3/s3-storage.ts'),
        import('./s3/requests.ts'),
      ]);
      return openS3Storage({
        label,
        base: settings.path.replace(/\/+$/, ''),
        bucket: settings.s3,
        counters: new RequestCounters(settings.requests),
        ...context,
      });
    }
    default:
      throw notBuilt(`${label}-type=${settings.type}`, `a repository of type '${settings.type}'`);
  }
}

/** Opens the storage of a cluster on this host. Paths are absolute. */
export async function openClusterStorage(settings: { readonly key: number; readonly host?: string }): Promise<Storage> {
  const label = `pg${settings.key}`;
  if (settings.host !== undefined) throw notBuilt(`${label}-host`, 'a cluster on another host');
  const { openPosixStorage } = await import('./posix/posix-storage.ts');
  return openPosixStorage({ label });
}

function notBuilt(option: string, what: string): BackstopError {
  return new BackstopError('feature-not-supported', `${what} is not supported by this version of pgbackstop`, {
    hint: `option '${option}' is accepted and checked, but its feature is not built yet.`,
  });
}
