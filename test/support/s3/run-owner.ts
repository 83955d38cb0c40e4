/** Which process a shared server lives for, told so that another process of the same number is not taken for it. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `PID-STARTED`: the process and the clock tick of its start. @returns undefined when there is no such process */
export function ownerOf(pid: number): string | undefined {
  try {
    // the name in parentheses may hold anything, the start is the 20th field after it
    const started = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
    return `${pid}-${started}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH')
      return undefined;
    throw error;
  }
}

/** Does the process still run? */
export function isAlive(owner: string): boolean {
  return ownerOf(Number.parseInt(owner, 10)) === owner;
}

/** Where all processes that work for the owner meet. */
export function serverFolder(owner: string): string {
  return join(tmpdir(), `pgbackstop-s3-${owner}`);
}
