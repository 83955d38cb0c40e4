/** Names of users and groups. Node has no getpwuid: the local files are read, and `getent` asked for what they lack. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

interface Database {
  readonly byId: Map<number, string | undefined>;
  readonly byName: Map<string, number | undefined>;
}

/** Looks names up and remembers the answers, also that there is none. */
export class OwnerNames {
  readonly #users = readDatabase('/etc/passwd');
  readonly #groups = readDatabase('/etc/group');

  /** @returns undefined when the id has no name */
  userName(id: number): string | undefined {
    return nameOf(this.#users, 'passwd', id);
  }

  groupName(id: number): string | undefined {
    return nameOf(this.#groups, 'group', id);
  }

  /** @returns undefined when there is no such user on this host */
  userId(name: string): number | undefined {
    return idOf(this.#users, 'passwd', name);
  }

  groupId(name: string): number | undefined {
    return idOf(this.#groups, 'group', name);
  }
}

function readDatabase(file: string): Database {
  const database: Database = { byId: new Map(), byName: new Map() };
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // a system without the file keeps its names elsewhere: getent knows
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  for (const line of text.split('\n')) remember(database, line);
  return database;
}

/** Takes a line `name:x:id:...`; the first line of a name or id counts. */
function remember(database: Database, line: string): void {
  const [name, , id] = line.split(':');
  if (name === undefined || name === '' || id === undefined || !/^\d+$/.test(id)) return;
  const number = Number(id);
  if (database.byId.get(number) === undefined) database.byId.set(number, name);
  if (database.byName.get(name) === undefined) database.byName.set(name, number);
}

function nameOf(database: Database, kind: 'passwd' | 'group', id: number): string | undefined {
  if (!database.byId.has(id)) {
    ask(database, kind, String(id));
    if (!database.byId.has(id)) database.byId.set(id, undefined);
  }
  return database.byId.get(id);
}

function idOf(database: Database, kind: 'passwd' | 'group', name: string): number | undefined {
  if (!database.byName.has(name)) {
    // a name of digits would be taken for an id, and one with a dash for an option
    if (/^[a-zA-Z_][\w.@$-]*$/.test(name)) ask(database, kind, name);
    if (!database.byName.has(name)) database.byName.set(name, undefined);
  }
  return database.byName.get(name);
}

function ask(database: Database, kind: 'passwd' | 'group', key: string): void {
  const answer = spawnSync('getent', [kind, key], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
  });
  // no getent on this system: the files are all there is
  if (answer.status === 0) remember(database, answer.stdout.trim());
}
