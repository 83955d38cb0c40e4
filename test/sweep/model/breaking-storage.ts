/**
 * A repository whose n-th change fails, or is the last thing that a process does: after a kill nothing of the command has
 * any effect any more, and what it had half written stays.
 */
import { BackstopError } from '../../../src/base/error.ts';
import type { ByteSink, Storage, WriteOptions } from '../../../src/storage/storage.ts';

export interface Break {
  /** From 1. */
  readonly at: number;
  /** A full disk, or a kill. */
  readonly how: 'fail' | 'kill';
}

/** What a killed command meets wherever it goes on. */
export class Killed extends Error {}

/** The changes of one command. */
export class Changes {
  readonly #break: Break | undefined;
  #count = 0;
  #open = 0;
  #isDead = false;

  constructor(at?: Break) {
    this.#break = at;
  }

  /** Whether the break came. */
  get isBroken(): boolean {
    return this.#break !== undefined && this.#count >= this.#break.at;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** @param torn what a kill in the middle leaves */
  async make<Result>(
    change: () => Promise<Result>,
    torn: () => Promise<void> = async () => undefined,
  ): Promise<Result> {
    this.check();
    this.#count++;
    if (this.#break?.at === this.#count) {
      if (this.#break.how === 'fail')
        throw new BackstopError('file-write', 'unable to write: [28] no space left on device');
      this.#isDead = true;
      await torn();
      throw new Killed('killed');
    }
    this.#open++;
    try {
      return await change();
    } finally {
      this.#open--;
    }
  }

  /** @throws when the process is gone */
  check(): void {
    if (this.#isDead) throw new Killed('killed');
  }

  /** Comes back when nothing is under way any more. */
  async settle(): Promise<void> {
    do await new Promise(resolve => setTimeout(resolve, 2));
    while (this.#open > 0);
  }
}

export function breaking(storage: Storage, changes: Changes): Storage {
  changes.check();
  const { paths, links } = storage;
  const guard = (sink: ByteSink, isAtomic: boolean): ByteSink => ({
    write: chunk => {
      changes.check();
      return sink.write(chunk);
    },
    commit: () => changes.make(() => sink.commit()),
    abort: async () => {
      // a killed process clears nothing away
      if (!changes.isDead || isAtomic) await sink.abort();
    },
  });
  return {
    label: storage.label,
    info: path => storage.info(path),
    list: (path, options) => storage.list(path, options),
    names: (path, options) => storage.names(path, options),
    read: (path, options) => storage.read(path, options),
    write: async (path: string, options: WriteOptions = {}) => {
      if (options.atomic === false) return guard(await changes.make(() => storage.write(path, options)), false);
      changes.check();
      return guard(await storage.write(path, options), true);
    },
    remove: path => changes.make(() => storage.remove(path)),
    removeTree: path =>
      changes.make(
        () => storage.removeTree(path),
        () => removeHalf(storage, path),
      ),
    close: () => storage.close(),
    ...(paths === undefined
      ? {}
      : {
          paths: {
            create: (path: string, mode?: number) => changes.make(() => paths.create(path, mode)),
            sync: (path: string) => paths.sync(path),
            move: (from: string, to: string) => changes.make(() => paths.move(from, to)),
            stage: async (path: string, options = {}) => {
              changes.check();
              const sink = await paths.stage(path, options);
              return {
                write: (chunk: Uint8Array) => {
                  changes.check();
                  return sink.write(chunk);
                },
                commit: (to: string) => changes.make(() => sink.commit(to)),
                abort: () => sink.abort(),
              };
            },
          },
        }),
    ...(links === undefined
      ? {}
      : {
          links: {
            symbolic: (to: string, path: string) => changes.make(() => links.symbolic(to, path)),
            hard: (from: string, to: string) => changes.make(() => links.hard(from, to)),
          },
        }),
  };
}

/** Every other entry of a directory goes. */
async function removeHalf(storage: Storage, path: string): Promise<void> {
  for (const [index, { name, type }] of (await storage.list(path)).entries()) {
    if (index % 2 > 0) continue;
    if (type === 'path') await storage.removeTree(`${path}/${name}`);
    else await storage.remove(`${path}/${name}`);
  }
}
