import { readFile } from 'node:fs/promises';
import { BackstopError, systemError } from '../../../base/error.ts';

/**
 * A token that someone else keeps fresh in a file: read again for each use.
 * @param variable environment variable that names the file
 * @throws file-missing, file-open, format for an empty file
 */
export async function readTokenFile(path: string, variable: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw systemError(
      error,
      { missing: 'file-missing', other: 'file-open' },
      `unable to read the token that ${variable} names, '${path}'`,
    );
  }
  const token = text.trim();
  if (token === '') throw new BackstopError('format', `token file '${path}' that ${variable} names is empty`);
  return token;
}
