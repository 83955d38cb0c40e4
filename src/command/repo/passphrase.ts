/** Which passphrase a file of an encrypted repository has, by its path (format, section 5). */
import { BackstopError } from '../../base/error.ts';
import type { BackupLabel } from '../../repo/label.ts';
import { archivePath, backupPath, copySuffix, historyPath } from '../../repo/layout.ts';
import { StanzaRepo } from '../../repo/stanza-repo.ts';
import type { OpenRepository } from './open.ts';

/**
 * @param path within the repository
 * @param stanza the option: when it is given, the path must be of that stanza
 * @throws option-invalid-value when the path is of another stanza, or of none; what loading the file with the key throws
 */
export async function passphraseOf(
  { settings, storage }: OpenRepository,
  path: string,
  stanza: string | undefined,
): Promise<string> {
  const { cipherPass } = settings;
  if (cipherPass === undefined) throw new BackstopError('assert', 'repository is not encrypted');
  const [, kind, name = '', third = '', ...rest] = path.split('/');
  const isArchive = kind !== undefined && archivePath(name) === `/${kind}/${name}`;
  const isBackup = kind !== undefined && backupPath(name) === `/${kind}/${name}`;
  if (third === '' || (!isArchive && !isBackup)) {
    throw new BackstopError('option-invalid-value', `unable to determine cipher passphrase for '${path.slice(1)}'`, {
      hint: 'files of an encrypted repository are those of a stanza; use --raw for the bytes as they are stored.',
    });
  }
  if (stanza !== undefined && stanza !== name) {
    throw new BackstopError(
      'option-invalid-value',
      `stanza name '${stanza}' given in option doesn't match the given path`,
    );
  }
  const isCopyOf = (file: string, wanted: string) => file === wanted || file === wanted + copySuffix;
  const repo = new StanzaRepo(settings, storage, name);
  if (isArchive) {
    if (rest.length === 0 && isCopyOf(third, 'archive.info')) return cipherPass;
    return required((await repo.loadArchiveInfo()).cipherPass, path);
  }
  if (rest.length === 0 && isCopyOf(third, 'backup.info')) return cipherPass;
  const manifestPass = required((await repo.loadBackupInfo()).cipherPass, path);
  const isHistory = `${backupPath(name)}/${third}` === historyPath(name);
  if (isHistory || (rest.length === 1 && isCopyOf(rest[0] ?? '', 'backup.manifest'))) return manifestPass;
  const manifest = await repo.loadManifest(third as BackupLabel, manifestPass);
  return required(manifest.header.cipherPass, path);
}

function required(passphrase: string | undefined, path: string): string {
  if (passphrase !== undefined) return passphrase;
  throw new BackstopError('crypto', `the file with the passphrase for '${path.slice(1)}' holds none`, {
    hint: 'was the repository encrypted after the stanza was created?',
  });
}
