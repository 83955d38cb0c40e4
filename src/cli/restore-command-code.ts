/** What exit codes of archive-get mean to the server that has started it as its restore_command. */
import { endsRecoveryOnFailure } from '../postgres/recovery-mode.ts';

/** A server in recovery takes exit codes of restore_command up to this one for the end of WAL, opens, and loses the rest. */
const lastPlainCode = 125;

/** Added to the code of an error, so that the server stops instead. */
const notTheEnd = 128;

/**
 * @param code of a call of archive-get
 * @param dataDirectories where the server's may be: it starts restore_command in its own, but a `cd` or a wrapper leaves it
 * @returns a code that does not end recovery, where an error would
 */
export function restoreCommandCode(code: number, dataDirectories: readonly (string | undefined)[]): number {
  // 1 is an answer: the archive does not have the file
  if (code < 2 || code > lastPlainCode) return code;
  const isAny = ['.', ...dataDirectories].some(path => path !== undefined && endsRecoveryOnFailure(path));
  return isAny ? code + notTheEnd : code;
}

/** What is said of data directories where the configuration cannot be read. */
export function unloadedDataDirectories(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): (string | undefined)[] {
  const option = '--pg1-path';
  const arguments_ = argv.flatMap((word, index) =>
    word.startsWith(`${option}=`) ? word.slice(option.length + 1) : word === option ? argv[index + 1] : [],
  );
  // pg_ctl sets PGDATA
  return [...arguments_, environment.PGBACKREST_PG1_PATH, environment.PGDATA];
}
