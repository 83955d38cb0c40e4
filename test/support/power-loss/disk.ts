/**
 * A model of a file system: what is durable, and what is not yet. Names are of their directory, bytes of their file; each is
 * durable when a sync of that directory or file that began after the change has ended. A new file's name is not made durable
 * by a sync of the file: some file systems do, POSIX does not ask for it.
 */
import { basename, dirname } from 'node:path';
import type { DiskCall } from './trace.ts';
import type { Tree, TreeEntry } from './tree.ts';

export type DataChange =
  | { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'times'; readonly mtime: number };

/** A rename within a directory is one change: the old name, or the new one. */
export interface NameChange {
  readonly what: string;
  readonly remove?: string;
  readonly add?: { readonly name: string; readonly node: Node };
}

export interface FileNode {
  readonly kind: 'file';
  mode: number;
  durable: FileContent;
  pending: DataChange[];
  live: FileContent;
  /** Where descriptors are that write on and on. */
  readonly positions: Map<number, number>;
  readonly appending: Set<number>;
}

export interface FileContent {
  readonly bytes: Buffer;
  /** Seconds since the epoch; absent where it is that of the last write. */
  readonly mtime?: number;
}

export interface DirectoryNode {
  readonly kind: 'directory';
  mode: number;
  durable: Map<string, Node>;
  pending: NameChange[];
  readonly live: Map<string, Node>;
}

interface LinkNode {
  readonly kind: 'link';
  readonly to: string;
}

export type Node = FileNode | DirectoryNode | LinkNode;

/** What a crash keeps of what is not durable, in the order in which it was done. */
export interface Kept {
  names(directory: DirectoryNode): readonly NameChange[];
  data(file: FileNode): readonly DataChange[];
}

const empty: FileContent = { bytes: Buffer.alloc(0) };

export class Disk {
  readonly #root: string;
  readonly #ignored: (path: string) => boolean;
  readonly #top = newDirectory(0o755);
  readonly #files = new Set<FileNode>();
  readonly #directories = new Set<DirectoryNode>();
  /** Syncs under way: how many of the changes they save. */
  readonly #syncs = new Map<number, { readonly node: FileNode | DirectoryNode; readonly saved: ReadonlySet<object> }>();

  /** @param before is durable @param ignored paths below the root that the model knows nothing of */
  constructor(root: string, before: Tree, ignored: (path: string) => boolean) {
    this.#root = root;
    this.#ignored = ignored;
    for (const [path, entry] of before) {
      const { live, durable } = this.#directory(dirname(path));
      const node = durableNode(entry);
      live.set(basename(path), node);
      durable.set(basename(path), node);
    }
  }

  /** Files with bytes or times that are not durable. */
  get files(): FileNode[] {
    return [...this.#files];
  }

  /** Directories with names that are not durable. */
  get directories(): DirectoryNode[] {
    return [...this.#directories];
  }

  /** @returns whether a crash could leave something else than before the call */
  apply(call: DiskCall): boolean {
    if (!('path' in call) || !this.#isIn(call.path)) return false;
    switch (call.call) {
      case 'open':
        return this.#open(call);
      case 'write':
        return this.#write(call);
      case 'truncate':
      case 'times': {
        const node = this.#find(call.path);
        if (node?.kind === 'file')
          this.#change(node, call.call === 'times' ? timesTo(call.mtime) : { kind: 'truncate', size: call.size });
        return node?.kind === 'file';
      }
      case 'mode': {
        const node = this.#find(call.path);
        if (node !== undefined && node.kind !== 'link') node.mode = call.mode;
        return false;
      }
      case 'mkdir':
        return this.#name(call.path, { kind: 'add', node: newDirectory(call.mode) });
      case 'symlink':
        return this.#name(call.path, { kind: 'add', node: { kind: 'link', to: call.to } });
      case 'link':
        return this.#name(call.path, { kind: 'add', node: this.#need(call.from) });
      case 'rename':
        return this.#name(call.path, { kind: 'add', node: this.#need(call.from), from: call.from });
      case 'unlink':
      case 'rmdir':
        return this.#name(call.path, { kind: 'remove' });
      case 'sync-begin': {
        const node = this.#find(call.path);
        if (node !== undefined && node.kind !== 'link')
          this.#syncs.set(call.number, { node, saved: new Set<object>(node.pending) });
        return false;
      }
      case 'sync-end':
        return this.#save(call.number);
    }
  }

  /** The tree that a crash leaves. */
  state(kept: Kept): Tree {
    const tree = new Map<string, TreeEntry>();
    const visit = (directory: DirectoryNode, path: string): void => {
      const names = withNames(directory.durable, kept.names(directory));
      for (const [name, node] of names) {
        const child = `${path}/${name}`;
        if (node.kind === 'link') tree.set(child, { kind: 'link', to: node.to });
        else if (node.kind === 'file')
          tree.set(child, { kind: 'file', mode: node.mode, ...withData(node, kept.data(node)) });
        else {
          tree.set(child, { kind: 'directory', mode: node.mode });
          visit(node, child);
        }
      }
    };
    visit(this.#top, this.#root);
    return tree;
  }

  /** What programs see while the power is on. */
  live(): Tree {
    return this.state({ names: ({ pending }) => pending, data: ({ pending }) => pending });
  }

  #open({ path, descriptor, create, truncate, append, mode }: DiskCall & { call: 'open' }): boolean {
    const found = this.#find(path);
    if (found !== undefined && found.kind !== 'file') return false;
    if (found === undefined && !create) throw new Error(`the model does not have ${path}`);
    const file = found ?? newFile(mode);
    file.positions.set(descriptor, 0);
    if (append) file.appending.add(descriptor);
    else file.appending.delete(descriptor);
    if (found === undefined) return this.#name(path, { kind: 'add', node: file });
    if (!truncate || file.live.bytes.length === 0) return false;
    this.#change(file, { kind: 'truncate', size: 0 });
    return true;
  }

  #write({ path, descriptor, bytes, at }: DiskCall & { call: 'write' }): boolean {
    const file = this.#find(path);
    if (file?.kind !== 'file') return false;
    const position = file.appending.has(descriptor) ? file.live.bytes.length : (file.positions.get(descriptor) ?? 0);
    this.#change(file, { kind: 'write', at: at ?? position, bytes });
    if (at === undefined) file.positions.set(descriptor, position + bytes.length);
    return true;
  }

  #change(file: FileNode, change: DataChange): void {
    file.pending.push(change);
    file.live = changed(file.live, [change]);
    this.#files.add(file);
  }

  #name(
    path: string,
    change: { readonly kind: 'remove' } | { readonly kind: 'add'; readonly node: Node; readonly from?: string },
  ): boolean {
    const directory = this.#directory(dirname(path));
    const name = basename(path);
    const short = path.slice(this.#root.length + 1);
    if (change.kind === 'remove') this.#rename(directory, { what: `remove ${short}`, remove: name });
    else if (change.from === undefined) this.#rename(directory, { what: short, add: { name, node: change.node } });
    else {
      if (dirname(change.from) !== dirname(path)) throw new Error('the model knows renames within a directory only');
      this.#rename(directory, {
        what: `rename to ${short}`,
        remove: basename(change.from),
        add: { name, node: change.node },
      });
    }
    return true;
  }

  #rename(directory: DirectoryNode, change: NameChange): void {
    directory.pending.push(change);
    applyName(directory.live, change);
    this.#directories.add(directory);
  }

  #save(number: number): boolean {
    const sync = this.#syncs.get(number);
    this.#syncs.delete(number);
    if (sync === undefined) return false;
    const { node, saved } = sync;
    if (node.kind === 'file') {
      node.durable = changed(
        node.durable,
        node.pending.filter(change => saved.has(change)),
      );
      node.pending = node.pending.filter(change => !saved.has(change));
      if (node.pending.length === 0) {
        node.live = node.durable;
        this.#files.delete(node);
      }
    } else {
      node.durable = withNames(
        node.durable,
        node.pending.filter(change => saved.has(change)),
      );
      node.pending = node.pending.filter(change => !saved.has(change));
      if (node.pending.length === 0) this.#directories.delete(node);
    }
    return saved.size > 0;
  }

  #isIn(path: string): boolean {
    return path.startsWith(`${this.#root}/`) ? !this.#ignored(path) : path === this.#root;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#top;
    if (path === this.#root) return node;
    for (const name of path.slice(this.#root.length + 1).split('/'))
      node = node?.kind === 'directory' ? node.live.get(name) : undefined;
    return node;
  }

  #need(path: string): Node {
    const node = this.#find(path);
    if (node === undefined) throw new Error(`the model does not have ${path}`);
    return node;
  }

  #directory(path: string): DirectoryNode {
    const node = this.#need(path);
    if (node.kind !== 'directory') throw new Error(`the model has no directory ${path}`);
    return node;
  }
}

function newDirectory(mode: number): DirectoryNode {
  return { kind: 'directory', mode: mode & 0o7755, durable: new Map(), pending: [], live: new Map() };
}

function newFile(mode: number): FileNode {
  const bare = { mode: mode & 0o7755, durable: empty, pending: [], live: empty };
  return { kind: 'file', ...bare, positions: new Map(), appending: new Set() };
}

function durableNode(entry: TreeEntry): Node {
  if (entry.kind === 'link') return { kind: 'link', to: entry.to };
  if (entry.kind === 'directory') return newDirectory(entry.mode);
  const { bytes, mtime } = entry;
  const content: FileContent = { bytes, ...(mtime === undefined ? {} : { mtime }) };
  return { ...newFile(entry.mode), mode: entry.mode, durable: content, live: content };
}

const timesTo = (mtime: number): DataChange => ({ kind: 'times', mtime });

function withNames(durable: ReadonlyMap<string, Node>, changes: readonly NameChange[]): Map<string, Node> {
  const names = new Map(durable);
  for (const change of changes) applyName(names, change);
  return names;
}

function applyName(names: Map<string, Node>, { remove, add }: NameChange): void {
  if (remove !== undefined) names.delete(remove);
  if (add !== undefined) names.set(add.name, add.node);
}

/** One content has one buffer: checksums are kept with it. */
const contents = new WeakMap<DataChange, { readonly of: FileContent; readonly content: FileContent }>();

function withData(file: FileNode, changes: readonly DataChange[]): FileContent {
  if (changes === file.pending) return file.live;
  return changed(file.durable, changes);
}

function changed(content: FileContent, changes: readonly DataChange[]): FileContent {
  return changes.reduce((before, change) => {
    const known = contents.get(change);
    if (known?.of === before) return known.content;
    const after = changedOnce(before, change);
    contents.set(change, { of: before, content: after });
    return after;
  }, content);
}

function changedOnce({ bytes }: FileContent, change: DataChange): FileContent {
  if (change.kind === 'times') return { bytes, mtime: change.mtime };
  const size = change.kind === 'truncate' ? change.size : Math.max(bytes.length, change.at + change.bytes.length);
  const after = Buffer.alloc(size);
  bytes.copy(after);
  if (change.kind === 'write') change.bytes.copy(after, change.at);
  return { bytes: after };
}
