/** `repo-ls`: names, or all that is known, of what is in a directory of the repository (behaviour, section 5.6). */
import { compareBytes, formatJsonString } from '../../base/json.ts';
import type { FileInfo, Storage } from '../../storage/storage.ts';
import type { Session } from '../session.ts';
import { nameFilter } from './filter.ts';
import { withRepository } from './open.ts';
import { onePath, repoPath } from './path.ts';

export async function run(session: Session<'repo-ls'>): Promise<undefined> {
  const { params, values } = session.settings;
  const given = onePath(params);
  const matches = nameFilter(values.filter);
  await withRepository(session, async ({ settings, storage }) => {
    const path = given === undefined ? '' : repoPath(given, settings.path);
    const list = new ListPrinter(values.output, session.print);
    const info = await storage.info(path);
    if (info?.type === 'file') {
      if (matches(`${settings.path === '/' ? '' : settings.path}${path}`)) list.add('.', info);
    } else {
      // some storages have no directories: one that is not there looks like an empty one on all of them
      if (values.output === 'json' && matches('.')) list.add('.', { type: 'path' });
      for await (const [name, found] of walk(storage, path, values)) if (matches(name)) list.add(name, found);
    }
    list.end();
  });
}

interface Order {
  readonly sort: 'none' | 'asc' | 'desc';
  readonly recurse: boolean;
}

/** What is below a path, with names relative to it. Each directory is read when its turn comes. */
async function* walk(
  storage: Storage,
  path: string,
  order: Order,
  prefix = '',
): AsyncGenerator<readonly [name: string, info: FileInfo]> {
  const entries = await storage.list(path);
  if (order.sort !== 'none') entries.sort((a, b) => compareBytes(a.name, b.name));
  if (order.sort === 'desc') entries.reverse();
  for (const info of entries) {
    const name = prefix + info.name;
    const below = info.type === 'path' && order.recurse ? walk(storage, `${path}/${info.name}`, order, `${name}/`) : [];
    if (order.sort === 'desc') yield* below;
    yield [name, info];
    if (order.sort !== 'desc') yield* below;
  }
}

/** Prints as it goes: a repository may have millions of files. */
class ListPrinter {
  readonly #json: boolean;
  readonly #print: (text: string) => void;
  #pending = '';
  #first = true;

  constructor(output: 'text' | 'json', print: (text: string) => void) {
    this.#json = output === 'json';
    this.#print = print;
    if (this.#json) this.#pending = '{';
  }

  add(name: string, info: Pick<FileInfo, 'type'> & Partial<FileInfo>): void {
    if (this.#json) {
      this.#pending += `${this.#first ? '' : ','}${formatName(name)}:${formatInfo(info)}`;
      this.#first = false;
    } else {
      this.#pending += `${name}\n`;
    }
    if (this.#pending.length > 65536) this.#flush();
  }

  end(): void {
    if (this.#json) this.#pending += '}\n';
    this.#flush();
  }

  #flush(): void {
    if (this.#pending !== '') this.#print(this.#pending);
    this.#pending = '';
  }
}

function formatInfo({ type, size, mtime, destination }: Pick<FileInfo, 'type'> & Partial<FileInfo>): string {
  if (type === 'file') return `{"type":"file","size":${size},"time":${mtime}}`;
  if (type === 'link') return `{"type":"link","destination":${formatName(destination ?? '')}}`;
  return `{"type":"${type}"}`;
}

/** The format of repositories keeps control characters as they are, other readers of JSON refuse them. */
const formatName = (name: string): string =>
  formatJsonString(name).replace(control, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the point
const control = /[\u0000-\u001f]/g;
