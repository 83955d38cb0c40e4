/** PostgreSQL refuses to run as root. When root starts the demo, another user of the machine carries it out. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Users of a usual Linux that may own a server; the first that exists is taken. */
const candidates = ['postgres', 'nobody'];

/** @returns the user to run PostgreSQL as, undefined when we are not root and may run it ourselves */
export function otherUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map(line => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
  for (const name of candidates) {
    const found = users.find(user => user.name === name && user.uid > 0);
    if (found) return found;
  }
  throw new Error(`PostgreSQL must not run as root, and there is none of the users ${candidates.join(', ')}`);
}

/** Does a shell's `test` as that user say yes? `permission` is `-r`, `-w` or `-x`. */
export function may(user: User, permission: '-r' | '-w' | '-x', path: string): boolean {
  const { uid, gid } = user;
  return spawnSync('/bin/sh', ['-c', `test ${permission} "$1"`, 'sh', path], { uid, gid, cwd: '/' }).status === 0;
}
