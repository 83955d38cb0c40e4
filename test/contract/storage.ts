/**
 * What every storage driver promises, whatever is behind it. A driver's test calls this with a way to open an empty
 * storage. Capabilities that a driver does not have are not tested.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ErrorKind, isKind } from '../../src/base/error.ts';
import type { ByteSource, Storage } from '../../src/storage/storage.ts';

export interface OpenedStorage {
  readonly storage: Storage;
  /** Removes all that the tests made. */
  dispose(): Promise<void>;
}

export function testStorage(name: string, open: () => Promise<OpenedStorage>): void {
  describe(`storage contract: ${name}`, () => {
    let opened: OpenedStorage;
    let storage: Storage;
    beforeEach(async () => {
      opened = await open();
      storage = opened.storage;
    });
    afterEach(async () => {
      await storage.close();
      await opened.dispose();
    });

    describe('a file', () => {
      it('is read as it was written, in chunks of any size', async () => {
        const content = noise(300_000);
        const sink = await storage.write('/a/b/c');
        let at = 0;
        for (const end of [0, 1, 65536, 100_000, 300_000]) {
          const lent = Buffer.from(content.subarray(at, end));
          await sink.write(lent);
          // the buffer is ours again
          lent.fill(0xee);
          at = end;
        }
        await sink.commit();
        for (const buffer of [1000, 65536, 1 << 20])
          expect(await readAll(storage, '/a/b/c', {}, buffer)).toEqual(content);
      });

      it('has its chunks in order, also when they are given before there was room for the first', async () => {
        const content = noise(25 << 20);
        const sink = await storage.write('/long');
        const waiting: (void | Promise<void>)[] = [];
        for (let at = 0; at < content.length; at += 300_000) {
          const lent = Buffer.from(content.subarray(at, at + 300_000));
          waiting.push(sink.write(lent));
          lent.fill(0xee);
        }
        await Promise.all(waiting);
        await sink.commit();
        expect((await readAll(storage, '/long', {}, 1 << 20)).equals(content)).toBe(true);
      });

      it('that is empty is there', async () => {
        await put(storage, '/empty', '');
        expect(await storage.info('/empty')).toMatchObject({ name: 'empty', type: 'file', size: 0 });
        expect(await readAll(storage, '/empty')).toHaveLength(0);
      });

      it('is replaced as a whole', async () => {
        await put(storage, '/x', 'long enough');
        await put(storage, '/x', 'short');
        expect((await readAll(storage, '/x')).toString()).toBe('short');
      });

      it('is not seen before its commit, and never when it is aborted', async () => {
        const sink = await storage.write('/p/x');
        await sink.write(Buffer.from('part'));
        expect(await storage.info('/p/x')).toBeUndefined();
        await sink.abort();
        expect(await storage.info('/p/x')).toBeUndefined();
        expect(await storage.names('/p')).toEqual([]);
        await put(storage, '/p/x', 'old');
        const other = await storage.write('/p/x');
        await other.write(Buffer.from('new'));
        expect((await readAll(storage, '/p/x')).toString()).toBe('old');
        await other.abort();
        expect((await readAll(storage, '/p/x')).toString()).toBe('old');
      });

      it('that need not be atomic is there after its commit', async () => {
        const sink = await storage.write('/n/x', { atomic: false, sizeHint: 3 });
        await sink.write(Buffer.from('abc'));
        await sink.commit();
        expect((await readAll(storage, '/n/x')).toString()).toBe('abc');
      });

      it('can be read from an offset, and for a length', async () => {
        await put(storage, '/x', '0123456789');
        const cases: [number, number | undefined, string][] = [
          [0, 4, '0123'],
          [3, 4, '3456'],
          [3, undefined, '3456789'],
          [8, 100, '89'],
          [10, 1, ''],
          [0, 0, ''],
        ];
        for (const [offset, length, text] of cases) {
          const part = await readAll(storage, '/x', { offset, ...(length === undefined ? {} : { length }) }, 3);
          expect(part.toString()).toBe(text);
        }
      });

      it('that is not there is an error when it is read, and an answer when it is asked for', async () => {
        await expectKind('file-missing', () => storage.read('/nowhere'));
        await expectKind('file-missing', () => storage.read('/no/where'));
        expect(await storage.info('/nowhere')).toBeUndefined();
        expect(await storage.info('/no/where')).toBeUndefined();
        await put(storage, '/x', 'x');
        expect(await storage.info('/x/below')).toBeUndefined();
      });

      it('can have any name that PostgreSQL and people give', async () => {
        for (const name of ['with space', 'é😀', 'a=b', '%41', 'a+b', 'quo\'te"', '#x?y', '...']) {
          await put(storage, `/names/${name}`, name);
          expect((await readAll(storage, `/names/${name}`)).toString()).toBe(name);
          expect(await storage.names('/names')).toEqual([name]);
          await storage.remove(`/names/${name}`);
        }
      });

      it('that is removed is gone; to remove it again is no error', async () => {
        await put(storage, '/d/x', 'x');
        await storage.remove('/d/x');
        expect(await storage.info('/d/x')).toBeUndefined();
        await storage.remove('/d/x');
        await storage.remove('/no/where');
      });
    });

    describe('a folder', () => {
      it('is listed one level deep, with what each entry is', async () => {
        await put(storage, '/d/one', '1');
        await put(storage, '/d/two', '22');
        await put(storage, '/d/sub/three', '333');
        const list = (await storage.list('/d')).sort((a, b) => (a.name < b.name ? -1 : 1));
        expect(list.map(({ name, type, size }) => [name, type, size])).toEqual([
          ['one', 'file', 1],
          ['sub', 'path', 0],
          ['two', 'file', 2],
        ]);
        const [one] = list;
        const info = await storage.info('/d/one');
        expect(info).toEqual(one);
        expect(Math.abs((one?.mtime ?? 0) - Date.now() / 1000)).toBeLessThan(100);
        expect((await storage.names('/d')).sort()).toEqual(['one', 'sub', 'two']);
        expect(await storage.names('/d', { prefix: 't' })).toEqual(['two']);
        expect((await storage.list('/d', { prefix: 'o' })).map(({ name }) => name)).toEqual(['one']);
      });

      it('that is not there is empty', async () => {
        expect(await storage.list('/nowhere')).toEqual([]);
        expect(await storage.names('/no/where')).toEqual([]);
      });

      it('with more entries than a page of any service', async () => {
        const writeEvery = async (first: number, step: number) => {
          for (let at = first; at < 1100; at += step) {
            const sink = await storage.write(`/many/${at}`, { sync: false });
            await sink.commit();
          }
        };
        await Promise.all(Array.from({ length: 16 }, (_, first) => writeEvery(first, 16)));
        expect(new Set(await storage.names('/many')).size).toBe(1100);
        expect(await storage.list('/many')).toHaveLength(1100);
      });

      it('is removed with all it holds; to remove it again is no error', async () => {
        await put(storage, '/d/a/b/c', 'x');
        await put(storage, '/dd', 'neighbour');
        await storage.removeTree('/d');
        expect(await storage.names('/d')).toEqual([]);
        expect(await storage.info('/d/a/b/c')).toBeUndefined();
        await storage.removeTree('/d');
        expect((await readAll(storage, '/dd')).toString()).toBe('neighbour');
      });
    });

    describe('where there are paths', () => {
      it('are made with parents, synced, and moved onto others', async ({ skip }) => {
        const { paths } = storage;
        if (paths === undefined) return skip('the driver has no paths');
        await paths.create('/p/q');
        await paths.create('/p/q');
        expect(await storage.info('/p/q')).toMatchObject({ type: 'path' });
        await paths.sync('/p/q');
        await expectKind('path-missing', () => paths.sync('/p/none'));
        await put(storage, '/p/a', 'a');
        await put(storage, '/p/q/b', 'b');
        await paths.move('/p/a', '/p/q/b');
        expect((await readAll(storage, '/p/q/b')).toString()).toBe('a');
        expect(await storage.info('/p/a')).toBeUndefined();
        await expectKind('file-missing', () => paths.move('/p/none', '/p/x'));
      });

      it('a staged file gets its name at its end, and leaves nothing when it is aborted', async ({ skip }) => {
        const { paths } = storage;
        if (paths === undefined) return skip('the driver has no paths');
        const [one, two] = [await paths.stage('/s/x'), await paths.stage('/s/x')];
        await one.write(Buffer.from('one'));
        await two.write(Buffer.from('two'));
        await one.commit('/s/x-1');
        await two.abort();
        expect(await storage.names('/s')).toEqual(['x-1']);
        expect((await readAll(storage, '/s/x-1')).toString()).toBe('one');
      });
    });

    describe('where there are links', () => {
      it('a symbolic one is told by info, a hard one is the same file', async ({ skip }) => {
        const { links } = storage;
        if (links === undefined) return skip('the driver has no links');
        await put(storage, '/l/x', 'content');
        await links.symbolic('x', '/l/soft');
        expect(await storage.info('/l/soft')).toMatchObject({ type: 'link', destination: 'x' });
        await links.hard('/l/x', '/l/sub/hard');
        await storage.remove('/l/x');
        expect((await readAll(storage, '/l/sub/hard')).toString()).toBe('content');
      });
    });
  });
}

export async function put(storage: Storage, path: string, text: string): Promise<void> {
  const sink = await storage.write(path);
  await sink.write(Buffer.from(text));
  await sink.commit();
}

export async function readAll(
  storage: Storage,
  path: string,
  options: { offset?: number; length?: number } = {},
  size = 65536,
): Promise<Buffer> {
  const source: ByteSource = await storage.read(path, options);
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(size);
  try {
    for (;;) {
      const count = await source.read(buffer);
      if (count === 0) break;
      parts.push(Buffer.from(buffer.subarray(0, count)));
    }
    // the end stays the end
    expect(await source.read(buffer)).toBe(0);
  } finally {
    await source.close();
    await source.close();
  }
  return Buffer.concat(parts);
}

export async function expectKind(kind: ErrorKind, call: () => Promise<unknown>): Promise<void> {
  let thrown: unknown;
  try {
    await call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toSatisfy((error: unknown) => isKind(error, kind));
}

/** Bytes without a pattern, always the same. */
export function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0, state = 1; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
