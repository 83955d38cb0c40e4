/**
 * What a crash may keep of what is not durable. Bytes of a file: all, none, up to some point with half of the last write,
 * zeros in their place (its length was saved, they were not), the last ones without the first, its new time alone. Names: those
 * of each directory up to some change (a journal keeps order, but not between directories), or, on a hostile file system, any.
 */
import type { Random } from '../random.ts';
import type { DataChange, DirectoryNode, Disk, FileNode, Kept, NameChange } from './disk.ts';
import type { Tree } from './tree.ts';

export interface Crash {
  readonly tree: Tree;
  /** What was kept, in words. */
  readonly how: string;
}

type DataFate = (changes: readonly DataChange[]) => readonly DataChange[];

const none: DataFate = () => [];

/** Ways to lose bytes. */
const dataFates: Readonly<Record<string, DataFate>> = {
  none,
  torn: changes => {
    const last = changes.findLastIndex(({ kind }) => kind === 'write');
    const change = changes[last];
    if (change?.kind !== 'write') return [];
    const half = { ...change, bytes: change.bytes.subarray(0, change.bytes.length >> 1) };
    return [...changes.slice(0, last), half];
  },
  zeros: changes =>
    changes.map(change => (change.kind === 'write' ? { ...change, bytes: Buffer.alloc(change.bytes.length) } : change)),
  holes: changes => changes.slice(1),
  times: changes => changes.filter(({ kind }) => kind === 'times'),
  'all but times': changes => changes.filter(({ kind }) => kind !== 'times'),
};

const everything: Kept = { names: ({ pending }) => pending, data: ({ pending }) => pending };

/**
 * States that a crash at this moment may leave, the plain ones first.
 * @param most how many of each kind that grows with what is pending
 */
export function* crashes(disk: Disk, random: Random, most: number): Generator<Crash> {
  const { files, directories } = disk;
  const crash = (how: string, kept: Partial<Kept>): Crash => ({ how, tree: disk.state({ ...everything, ...kept }) });
  yield crash('nothing that was not synced', { names: () => [], data: () => [] });
  yield crash('everything', {});
  if (files.length > 0) {
    for (const [how, fate] of Object.entries(dataFates))
      yield crash(`all names, of bytes: ${how}`, { data: ({ pending }) => fate(pending) });
  }
  for (const file of some(files, random, most)) {
    for (const [how, fate] of Object.entries(dataFates))
      yield crash(`everything, but of one file: ${how}`, dataOf(file, fate));
  }
  for (const directory of directories)
    yield crash('the names of one directory only, all bytes', {
      names: other => (other === directory ? other.pending : []),
    });
  const changes = directories.flatMap(directory => directory.pending.map(change => ({ directory, change })));
  for (const { directory, change } of some(changes, random, most)) {
    const index = directory.pending.indexOf(change);
    const but = (how: string, kept: readonly NameChange[]): Crash => crash(how, namesOf(directory, kept));
    yield but(`everything, but names from '${change.what}' on`, directory.pending.slice(0, index));
    yield but(`everything, but not '${change.what}'`, directory.pending.toSpliced(index, 1));
    yield crash(`of names '${change.what}' only, all bytes`, {
      names: other => (other === directory ? [change] : []),
    });
  }
  const fates = [...Object.values(dataFates), (all: readonly DataChange[]) => all];
  if (changes.length + files.length > 1) {
    for (let count = 0; count < most; count++) {
      const names = new Map(directories.map(directory => [directory, anyOf(directory.pending, random)]));
      const data = new Map(files.map(file => [file, random.pick(fates)(file.pending)]));
      yield crash(`what a throw of dice gave (${count})`, {
        names: directory => names.get(directory) ?? [],
        data: file => data.get(file) ?? [],
      });
    }
  }
}

const dataOf = (file: FileNode, fate: DataFate): Partial<Kept> => ({
  data: other => (other === file ? fate(other.pending) : other.pending),
});

const namesOf = (directory: DirectoryNode, kept: readonly NameChange[]): Partial<Kept> => ({
  names: other => (other === directory ? kept : other.pending),
});

/** Up to some change, or whichever. */
function anyOf(changes: readonly NameChange[], random: Random): readonly NameChange[] {
  if (random.chance(50)) return changes.slice(0, random.between(0, changes.length));
  return changes.filter(() => random.chance(50));
}

/** All, or so many of them: the newest, and others. */
function some<Value>(values: readonly Value[], random: Random, most: number): readonly Value[] {
  if (values.length <= most) return values;
  const chosen = new Set(values.slice(-2));
  while (chosen.size < most) chosen.add(random.pick(values));
  return [...chosen];
}
