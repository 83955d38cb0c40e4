/**
 * What must hold for a repository after a crash, whatever the command was, told from bytes alone: so that thousands of states
 * can be looked at. The programs themselves judge some of these (`judge.ts`).
 */
import { basename } from 'node:path';
import { openCodecs } from '../../../src/codec/codecs.ts';
import { openPipeline } from '../../../src/codec/pipeline.ts';
import { decodeArchiveInfo } from '../../../src/repo/archive-info.ts';
import { type BackupInfo, decodeBackupInfo } from '../../../src/repo/backup-info.ts';
import { diskAt, type Recording, type Rules } from '../../support/power-loss/replay.ts';
import { checksum, type Tree, type TreeEntry, wordOf } from '../../support/power-loss/tree.ts';

export interface RepoRules {
  /** Of the repository, within what was recorded. */
  readonly repo: string;
  readonly cipherPass?: string;
  /** `delete`: the stanza goes as a whole, so that nothing of it need be there. */
  readonly kind?: 'delete';
}

const label = '\\d{8}-\\d{6}F(?:_\\d{8}-\\d{6}[DI])?';

/** Makes the rules for one run of a command. */
export function repoRules(recording: Recording, { repo, cipherPass, kind }: RepoRules): Rules {
  const { before, after } = recording;
  const backups = `${repo}/backup/demo`;
  const labelOf = (path: string): string | undefined =>
    path.startsWith(`${backups}/`) ? new RegExp(`^(${label})/`).exec(path.slice(backups.length + 1))?.[1] : undefined;
  // a backup is whole as it was first seen: before the command, or as the command left it
  const whole = new Map<string, Map<string, TreeEntry>>();
  const infos = new InfoFiles(repo, cipherPass);
  for (const tree of [after, before]) {
    const complete = new Set([...(infos.backups(tree)?.backups ?? [])].map(entry => String(entry.label)));
    const found = new Map<string, Map<string, TreeEntry>>();
    for (const [path, entry] of tree) {
      const of = labelOf(path);
      if (of === undefined || !complete.has(of)) continue;
      found.set(of, (found.get(of) ?? new Map()).set(path, entry));
    }
    for (const [of, entries] of found) whole.set(of, entries);
  }
  const listedBefore = infos.backups(before)?.backups.map(entry => String(entry.label)) ?? [];
  const listedAfter = new Set(infos.backups(after)?.backups.map(entry => String(entry.label)) ?? []);
  const references = new Map(
    [...(infos.backups(after)?.backups ?? []), ...(infos.backups(before)?.backups ?? [])].map(entry => [
      String(entry.label),
      entry.reference,
    ]),
  );
  const versions = versionsOf(recording, path => labelOf(path) === undefined);

  return ({ tree, done }) => {
    const broken: string[] = [];
    const expect = (holds: boolean, what: () => string): void => {
      if (!holds) broken.push(what());
    };
    const info = infos.backups(tree);
    const hadStanza = before.has(`${backups}/backup.info`);
    if (kind === 'delete') {
      if (done)
        for (const name of ['archive', 'backup']) expect(!tree.has(`${repo}/${name}/demo`), () => `${name} is back`);
    } else if (hadStanza || done) {
      expect(info !== undefined, () => 'there is no good copy of backup.info');
      expect(infos.archive(tree), () => 'there is no good copy of archive.info');
      const kept = done ? [...listedAfter] : listedBefore.filter(name => listedAfter.has(name));
      for (const name of kept)
        expect(info?.backups.some(entry => entry.label === name) === true, () => `backup ${name} is not listed`);
    }
    // both tools take a directory with a manifest into backup.info
    const visible = new Set(info?.backups.map(entry => String(entry.label)));
    const canList = info !== undefined;
    for (const path of tree.keys())
      if (canList && basename(path) === 'backup.manifest') visible.add(labelOf(path) ?? '');
    visible.delete('');
    // expire takes the manifests away first: the next run drops what has none
    for (const name of visible)
      if (!listedAfter.has(name) && !tree.has(`${backups}/${name}/backup.manifest`)) visible.delete(name);
    // what a backup refers to are files, not manifests
    for (const name of visible)
      for (const needed of [name, ...(references.get(name) ?? [])])
        for (const [path, entry] of whole.get(needed) ?? [])
          if (needed === name || basename(path) !== 'backup.manifest')
            expect(isAsGood(path, tree, entry), () => `backup ${name} lacks ${path}: ${wordOf(tree.get(path))}`);
    for (const [path, entry] of before) {
      if (entry.kind !== 'file' || wordOf(after.get(path)) !== wordOf(entry)) continue;
      expect(wordOf(tree.get(path)) === wordOf(entry), () => `${path} was to stay and is ${wordOf(tree.get(path))}`);
    }
    for (const [path, entry] of tree) {
      if (entry.kind !== 'file' || isTemporary(path) || labelOf(path) !== undefined) continue;
      expect(
        versions.get(path)?.has(checksum(entry.bytes)) === true,
        () => `${path} is half written: ${wordOf(entry)}`,
      );
    }
    if (!done) return broken;
    for (const [path, entry] of after) {
      if (path === `${backups}/latest` || isTemporary(path)) continue;
      expect(
        wordOf(tree.get(path)) === wordOf(entry),
        () => `success was told, and ${path} is ${wordOf(tree.get(path))}`,
      );
    }
    return broken;
  };
}

const isTemporary = (path: string): boolean => path.endsWith('.pgbackrest.tmp');

/** One of two manifests is enough. */
function isAsGood(path: string, tree: Tree, entry: TreeEntry): boolean {
  if (wordOf(tree.get(path)) === wordOf(entry)) return true;
  return path.endsWith('/backup.manifest.copy');
}

/** Every content that a file outside of backups had when it got its name. */
function versionsOf(recording: Recording, wanted: (path: string) => boolean): Map<string, Set<string>> {
  const versions = new Map<string, Set<string>>();
  const note = (path: string, entry: TreeEntry | undefined): void => {
    if (entry?.kind !== 'file' || !wanted(path)) return;
    versions.set(path, (versions.get(path) ?? new Set()).add(checksum(entry.bytes)));
  };
  for (const [path, entry] of recording.before) note(path, entry);
  const disk = diskAt(recording, 0);
  for (const call of recording.calls) {
    disk.apply(call);
    if (call.call === 'rename') note(call.path, disk.live().get(call.path));
  }
  return versions;
}

/** The info files of a tree. What was decoded once is known. */
class InfoFiles {
  readonly #repo: string;
  readonly #cipherPass: string | undefined;
  readonly #known = new Map<string, BackupInfo | boolean>();

  constructor(repo: string, cipherPass: string | undefined) {
    this.#repo = repo;
    this.#cipherPass = cipherPass;
  }

  backups(tree: Tree): BackupInfo | undefined {
    const found = this.#either(tree, 'backup', bytes => decodeBackupInfo(bytes));
    return typeof found === 'object' ? found : undefined;
  }

  archive(tree: Tree): boolean {
    return this.#either(tree, 'archive', bytes => decodeArchiveInfo(bytes) !== undefined) !== false;
  }

  #either(tree: Tree, name: string, decode: (bytes: Buffer) => BackupInfo | boolean): BackupInfo | boolean {
    for (const suffix of ['', '.copy']) {
      const entry = tree.get(`${this.#repo}/${name}/demo/${name}.info${suffix}`);
      if (entry?.kind !== 'file') continue;
      const sum = checksum(entry.bytes);
      let known = this.#known.get(sum);
      if (known === undefined) {
        known = sound(() => decode(this.#plain(entry.bytes)));
        this.#known.set(sum, known);
      }
      if (known !== false) return known;
    }
    return false;
  }

  #plain(bytes: Buffer): Buffer {
    if (this.#cipherPass === undefined) return bytes;
    const parts: Buffer[] = [];
    const spec = [{ step: 'decrypt', passphrase: this.#cipherPass, raw: false } as const];
    const pipeline = openPipeline(spec, openCodecs(), chunk => parts.push(Buffer.from(chunk)));
    try {
      pipeline.push(bytes);
      pipeline.end();
    } finally {
      pipeline.close();
    }
    return Buffer.concat(parts);
  }
}

/** False for bytes that cannot be understood: that is what is asked. */
function sound<Value>(decode: () => Value): Value | false {
  try {
    return decode();
  } catch {
    return false;
  }
}
