/** Pushing to storage that must know the name of a file before its content, as object stores do. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openCodecs } from '../../../src/codec/codecs.ts';
import { pushFile } from '../../../src/command/archive/push-file.ts';
import type { PushTarget } from '../../../src/command/archive/push-target.ts';
import type { ArchiveId } from '../../../src/repo/history.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openPosixStorage } from '../../../src/storage/posix/posix-storage.ts';
import type { ByteSink, ByteSource, Storage } from '../../../src/storage/storage.ts';
import { forgeSegment, sha1, systemId } from './archive-bed.ts';

const segment = '000000010000000000000004';
let root: string;
let source: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgbackstop-push-'));
  source = join(root, segment);
  writeFileSync(source, forgeSegment(1));
});
afterEach(() => rmSync(root, { recursive: true }));

const files = openPosixStorage({ label: 'pg1' });
const options = {
  codecs: openCodecs(),
  bufferSize: 100_000,
  compression: { type: 'gz', level: 1 },
  cluster: { version: '15', systemId },
} as const;

/** The storage with other functions in place of its own. */
function changed(storage: Storage, changes: { readonly [K in keyof Storage]?: Storage[K] | undefined }): Storage {
  return new Proxy(storage, {
    get(target, property) {
      if (Object.hasOwn(changes, property)) return Reflect.get(changes, property);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Sinks that take each chunk a turn later, as a network does. */
function waiting(storage: Storage): Storage {
  return changed(storage, {
    paths: undefined,
    write: async (path, writeOptions) => {
      const sink = await storage.write(path, writeOptions);
      let last = Promise.resolve();
      return {
        write(chunk) {
          const copy = Buffer.from(chunk);
          last = last.then(() => new Promise(resolve => setTimeout(resolve, 1))).then(() => sink.write(copy));
          return last;
        },
        commit: () => last.then(() => sink.commit()),
        abort: () => last.then(() => sink.abort()),
      } satisfies ByteSink;
    },
  });
}

function target(key: number, change: (storage: Storage) => Storage, passphrase?: string): PushTarget {
  const path = join(root, `repo${key}`);
  const storage = change(openPosixStorage({ label: `repo${key}`, base: path }));
  return {
    repo: new StanzaRepo({ key, type: 'posix', path }, storage, 'demo'),
    archiveId: '15-1' as ArchiveId,
    ...(passphrase === undefined ? {} : { passphrase }),
  };
}

const stored = (key: number): string[] => {
  const path = join(root, `repo${key}/archive/demo/15-1/${segment.slice(0, 16)}`);
  return readdirSync(path).map(name => join(path, name));
};

test('the name is known before the first byte is written', async () => {
  const targets = [target(1, waiting), target(2, storage => storage), target(3, waiting, 'sekret')];
  expect(await pushFile(files, source, segment, targets, options)).toEqual({ existing: [], errors: [] });
  const expected = `${segment}-${sha1(forgeSegment(1))}.gz`;
  for (const key of [1, 2, 3]) expect(stored(key).map(path => path.replace(/.*\//, ''))).toEqual([expected]);
  for (const key of [1, 2]) expect(sha1(gunzipSync(readFileSync(stored(key)[0] ?? '')))).toBe(sha1(forgeSegment(1)));
  expect(
    readFileSync(stored(3)[0] ?? '')
      .subarray(0, 8)
      .toString(),
  ).toBe('Salted__');
});

test('a file that changes between the two readings is refused', async () => {
  let readings = 0;
  const moving = changed(files, {
    read: (path, readOptions): Promise<ByteSource> => {
      // the first reading is that of the header
      if (++readings === 3) writeFileSync(source, forgeSegment(2));
      return files.read(path, readOptions);
    },
  });
  await expect(pushFile(moving, source, segment, [target(1, waiting)], options)).rejects.toMatchObject({
    kind: 'file-read',
    message: `WAL file '${source}' changed while it was pushed`,
  });
  expect(stored(1)).toEqual([]);
});

test('a write that fails later counts against its repository only', async () => {
  const failing = (storage: Storage): Storage =>
    changed(storage, {
      paths: undefined,
      write: async path => {
        const sink = await storage.write(path);
        return {
          write: () => new Promise((_resolve, reject) => setTimeout(() => reject(new Error('connection lost')), 2)),
          commit: () => sink.commit(),
          abort: () => sink.abort(),
        };
      },
    });
  const result = await pushFile(files, source, segment, [target(1, failing), target(2, waiting)], options);
  expect(result.errors.map(({ repo, error }) => [repo, error.message])).toEqual([['repo1', 'connection lost']]);
  expect(stored(1)).toEqual([]);
  expect(stored(2)).toHaveLength(1);
});

test('a segment that is there and cannot be made durable counts against its repository only', async () => {
  await pushFile(files, source, segment, [target(1, storage => storage)], options);
  const failing = (storage: Storage): Storage => {
    if (storage.paths === undefined) throw new Error('no paths');
    return changed(storage, { paths: { ...storage.paths, sync: () => Promise.reject(new Error('disk lost')) } });
  };
  const result = await pushFile(files, source, segment, [target(1, failing), target(2, storage => storage)], options);
  expect(result.errors.map(({ repo, error }) => [repo, error.message])).toEqual([['repo1', 'disk lost']]);
  expect(stored(2)).toHaveLength(1);
});
