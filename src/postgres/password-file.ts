/**
 * Passwords as libpq finds them: PGPASSWORD, else the first line that fits in the file that PGPASSFILE names, else in
 * ~/.pgpass. Lines are `host:port:database:user:password`; `*` fits everything, `\` takes the next character as it is.
 */
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { systemError } from '../base/error.ts';

export interface PasswordQuestion {
  /** Host name, or directory of the socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * @param warn told of a file that cannot be used as it is
 * @returns undefined when there is no password for this connection
 */
export async function findPassword(
  question: PasswordQuestion,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): Promise<string | undefined> {
  if (environment.PGPASSWORD !== undefined && environment.PGPASSWORD !== '') return environment.PGPASSWORD;
  const path = environment.PGPASSFILE || join(environment.HOME || userInfo().homedir, '.pgpass');
  let text: string;
  try {
    const { mode } = await stat(path);
    if ((mode & 0o170000) !== 0o100000) {
      warn(`password file '${path}' is not a plain file`);
      return undefined;
    }
    if ((mode & 0o077) !== 0) {
      warn(`password file '${path}' has group or world access; permissions should be u=rw (0600) or less`);
      return undefined;
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    // most users have none
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    warn(systemError(error, { other: 'file-read' }, `unable to read password file '${path}'`).message);
    return undefined;
  }
  return choosePassword(text, question);
}

/** The password that a file's text has for a connection. */
export function choosePassword(text: string, question: PasswordQuestion): string | undefined {
  // the file knows sockets in one of the usual directories as localhost
  const host = defaultSocketDirectories.includes(question.host) ? 'localhost' : question.host;
  const wanted = [host, String(question.port), question.database, question.user];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const fields = splitLine(line);
    const password = fields[4];
    if (password === undefined || password === '') continue;
    if (wanted.every((value, index) => fields[index] === '*' || withoutEscapes(fields[index] ?? '') === value)) {
      return withoutEscapes(password);
    }
  }
  return undefined;
}

/** Where libpq is built to look for a server's socket: Debian's choice and PostgreSQL's own. */
export const defaultSocketDirectories: readonly string[] = ['/var/run/postgresql', '/tmp'];

/** Five fields, still escaped; colons in the password need no escape. */
function splitLine(line: string): string[] {
  const fields: string[] = [];
  let start = 0;
  for (let i = 0; i < line.length && fields.length < 4; i++) {
    if (line[i] === '\\') i++;
    else if (line[i] === ':') {
      fields.push(line.slice(start, i));
      start = i + 1;
    }
  }
  fields.push(line.slice(start));
  return fields;
}

const withoutEscapes = (field: string): string => field.replace(/\\(.)/g, '$1');
