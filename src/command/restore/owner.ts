/** Who owns what is restored: the manifest's owners when root restores, ourselves otherwise. */
import { lstatSync } from 'node:fs';
import { OwnerNames } from '../../base/owner.ts';
import type { Manifest } from '../../repo/manifest/manifest.ts';

export interface Owner {
  readonly userId: number;
  readonly groupId: number;
}

export class RestoreOwners {
  readonly isRoot = process.geteuid?.() === 0;
  readonly #names = new OwnerNames();
  readonly #fallback: Owner;

  /** @param pgPath its owner stands in for owners that this host does not know, when root restores */
  constructor(pgPath: string) {
    const own: Owner = { userId: process.geteuid?.() ?? 0, groupId: process.getegid?.() ?? 0 };
    const info = this.isRoot ? lstatSync(pgPath, { throwIfNoEntry: false }) : undefined;
    this.#fallback = info === undefined ? own : { userId: info.uid, groupId: info.gid };
  }

  /** Undefined when what we create is ours and stays so. */
  of(entry: { readonly user: string | false; readonly group: string | false }): Owner {
    if (!this.isRoot) return this.#fallback;
    return {
      userId: (entry.user === false ? undefined : this.#names.userId(entry.user)) ?? this.#fallback.userId,
      groupId: (entry.group === false ? undefined : this.#names.groupId(entry.group)) ?? this.#fallback.groupId,
    };
  }

  /** Warns once for every owner of the manifest that cannot be given. */
  warnUnknown(manifest: Manifest, warn: (message: string) => void): void {
    const users = new Set<string>();
    const groups = new Set<string>();
    const note = ({ user, group }: { user: string | false; group: string | false }) => {
      if (user !== false) users.add(user);
      if (group !== false) groups.add(group);
    };
    for (const path of manifest.paths) note(path);
    for (const link of manifest.links) note(link);
    for (let index = 0; index < manifest.files.length; index++) note(manifest.files.owner(index));
    for (const user of [...users].sort()) {
      const id = this.#names.userId(user);
      if (this.isRoot ? id === undefined : id !== this.#fallback.userId) {
        warn(
          `unknown user '${user}' in backup manifest mapped to ${this.isRoot ? `'${this.#names.userName(this.#fallback.userId)}'` : 'current user'}`,
        );
      }
    }
    for (const group of [...groups].sort()) {
      const id = this.#names.groupId(group);
      if (this.isRoot ? id === undefined : id !== this.#fallback.groupId) {
        warn(
          `unknown group '${group}' in backup manifest mapped to ${this.isRoot ? `'${this.#names.groupName(this.#fallback.groupId)}'` : 'current group'}`,
        );
      }
    }
  }
}
