import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPosixStorage, removeEmptyPath, temporarySuffix } from '../../../src/storage/posix/posix-storage.ts';
import { readAgain } from '../../../src/storage/posix/read-again.ts';
import { expectKind, put, readAll, testStorage } from '../../contract/storage.ts';

const isRoot = process.geteuid?.() === 0;

for (const [name, settings] of [
  ['posix', {}],
  ['cifs, without links', { links: false }],
] as const) {
  testStorage(name, async () => {
    const base = mkdtempSync(join(tmpdir(), 'pgbackstop-storage-'));
    return {
      storage: openPosixStorage({ label: 'repo1', base, ...settings }),
      dispose: async () => rmSync(base, { recursive: true, force: true }),
    };
  });
}

describe('files on this host', () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'pgbackstop-posix-'));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));
  const open = (settings = {}) => openPosixStorage({ label: 'repo1', base, ...settings });

  it('without a base have absolute paths', async () => {
    await put(openPosixStorage({ label: 'pg1' }), `${base}/x`, 'x');
    expect((await readAll(open(), '/x')).toString()).toBe('x');
    expect(await openPosixStorage({ label: 'pg1' }).info('/')).toMatchObject({ type: 'path' });
  });

  it('that are pipes cannot be read: nobody waits for the writer', async () => {
    execFileSync('mkfifo', [join(base, 'pipe')]);
    await expectKind('file-read', () => readAll(open(), '/pipe'));
  });

  it('have the modes that were asked for', async () => {
    const mask = process.umask(0);
    try {
      await put(open(), '/d/x', 'x');
      expect([statSync(join(base, 'd')).mode & 0o7777, statSync(join(base, 'd/x')).mode & 0o7777]).toEqual([
        0o750, 0o640,
      ]);
      const sink = await open().write('/y', { mode: 0o600, mtime: 1795226996 });
      await sink.commit();
      expect(await open().info('/y')).toMatchObject({ mode: 0o600, mtime: 1795226996 });
    } finally {
      process.umask(mask);
    }
  });

  it("hold what was written, in pieces of whatever size, which are the caller's again at once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0, 1, 7, 4096, 65_535, 65_536, 65_537, 200_000), { maxLength: 12 }),
        async sizes => {
          const sink = await open().write('/pieces', { atomic: false });
          const written: Buffer[] = [];
          for (const [at, size] of sizes.entries()) {
            const piece = Buffer.alloc(size, at + 1);
            written.push(Buffer.from(piece));
            sink.write(piece);
            piece.fill(0);
          }
          await sink.commit();
          expect((await readAll(open(), '/pieces')).equals(Buffer.concat(written))).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('that cannot be committed are dropped, and the failure is told', async () => {
    mkdirSync(join(base, 'taken/inside'), { recursive: true });
    const sink = await open().write('/taken');
    sink.write(Buffer.from('x'));
    await expectKind('file-move', () => sink.commit());
    await sink.abort();
    expect(readdirSync(base)).toEqual(['taken']);
  });

  it('have a temporary name while they are written', async () => {
    const sink = await open().write('/x');
    expect(readdirSync(base)).toEqual([`x${temporarySuffix}`]);
    await sink.commit();
    expect(readdirSync(base)).toEqual(['x']);
  });

  it('left over from a crash are written over', async () => {
    writeFileSync(join(base, `x${temporarySuffix}`), 'rubbish of a longer attempt');
    await put(open(), '/x', 'new');
    expect((await readAll(open(), '/x')).toString()).toBe('new');
    expect(readdirSync(base)).toEqual(['x']);
  });

  it('are never written through a link', async () => {
    writeFileSync(join(base, 'victim'), 'precious');
    symlinkSync('victim', join(base, 'x'));
    symlinkSync('victim', join(base, `y${temporarySuffix}`));
    await expectKind('file-open', () => open().write('/x', { atomic: false }));
    await expectKind('file-open', () => open().write('/y'));
    // a link under the final name is replaced
    await put(open(), '/x', 'new');
    expect((await readAll(open(), '/victim')).toString()).toBe('precious');
    expect(await open().info('/x')).toMatchObject({ type: 'file' });
  });

  it('of other kinds are told', async () => {
    mkdirSync(join(base, 'd'));
    symlinkSync('/nowhere', join(base, 'l'));
    const types = (await open().list('')).map(({ name, type }) => [name, type]).sort();
    expect(types).toEqual([
      ['d', 'path'],
      ['l', 'link'],
    ]);
    expect(await open().info('/l')).toMatchObject({ destination: '/nowhere' });
    expect(await openPosixStorage({ label: 'x' }).info('/dev/null')).toMatchObject({ type: 'special' });
  });

  it('errors name the whole path and say why', async () => {
    writeFileSync(join(base, 'plain'), '');
    await expect(open().read('/none')).rejects.toThrow(`unable to open missing file '${base}/none' for read`);
    await expectKind('path-open', () => open().list('/plain'));
    await expect(open().names('/plain')).rejects.toThrow(`'${base}/plain': [20] Not a directory`);
    await expect(open().write('/plain/x')).rejects.toThrow(`'${base}/plain`);
    await expect(open().remove('')).rejects.toThrow(base);
    mkdirSync(join(base, 'd'));
    const source = await open().read('/d');
    expect(() => source.read(Buffer.alloc(10))).toThrow(`unable to read '${base}/d'`);
    await source.close();
    const { paths } = open();
    await expectKind('path-create', () => paths.create('/plain/x'));
  });

  it.skipIf(isRoot)('that we may not read say so', async () => {
    writeFileSync(join(base, 'x'), '');
    chmodSync(join(base, 'x'), 0);
    await expect(open().read('/x')).rejects.toThrow('[13] Permission denied');
  });

  it('an empty folder can be removed, a full one not', () => {
    mkdirSync(join(base, 'd/e'), { recursive: true });
    expect(() => removeEmptyPath(join(base, 'd'))).toThrow(`unable to remove path '${base}/d'`);
    removeEmptyPath(join(base, 'd/e'));
    removeEmptyPath(join(base, 'd'));
    removeEmptyPath(join(base, 'd'));
  });

  it('a piece can be read again, unless the file has shrunk or is gone', () => {
    writeFileSync(join(base, 'x'), '0123456789');
    const into = Buffer.alloc(4);
    expect(readAgain(join(base, 'x'), 4, into)).toBe(true);
    expect(into.toString()).toBe('4567');
    expect(readAgain(join(base, 'x'), 8, into)).toBe(false);
    expect(readAgain(join(base, 'none'), 0, into)).toBe(false);
  });
});
