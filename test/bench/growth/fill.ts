/** What a data directory is filled with. No server has seen these files, and the tools need none. */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PageChecker } from '../../../src/postgres/page-checksum.ts';

const pageSize = 8192;
const checksumAt = 8;

/** Files of initdb's first database that are made of full pages. */
function relations(dataDirectory: string): Buffer[] {
  const folder = join(dataDirectory, 'base', '1');
  return readdirSync(folder)
    .filter(name => /^\d+$/.test(name) && statSync(join(folder, name)).size >= pageSize)
    .map(name => readFileSync(join(folder, name)));
}

/** Adds relations of one page each; the checksums are right. */
export function addSmallFiles(dataDirectory: string, count: number): void {
  const pages = relations(dataDirectory).map(relation => relation.subarray(0, pageSize));
  for (let file = 0; file < count; file++) {
    writeFileSync(join(dataDirectory, 'base', '1', String(1_000_000 + file)), pages[file % pages.length] ?? '', {
      mode: 0o600,
    });
  }
}

/** Over so many relations the bytes are spread, so that there is work for two processes, and as many files at any size. */
const largeFiles = 4;

/** Adds relations that have so many bytes together; the checksums are right. */
export function addBytes(dataDirectory: string, bytes: number): void {
  const pages = Buffer.concat(relations(dataDirectory));
  const checker = new PageChecker();
  const page = Buffer.alloc(pageSize);
  for (let relation = 0; relation < largeFiles; relation++) {
    const file = openSync(join(dataDirectory, 'base', '1', String(2_000_000 + relation)), 'wx', 0o600);
    for (let block = 0; block < bytes / largeFiles / pageSize; block++) {
      pages.copy(page, 0, (block * pageSize) % pages.length, ((block * pageSize) % pages.length) + pageSize);
      page.writeUInt16LE(0, checksumAt);
      page.writeUInt16LE(checker.checksum(page, block), checksumAt);
      writeSync(file, page);
    }
    closeSync(file);
  }
}

/** Adds files that are no relations, in folders of fifty thousand: three of four are empty, the fourth has some bytes. */
export function addTinyFiles(dataDirectory: string, count: number): void {
  const perFolder = 50_000;
  for (let file = 0; file < count; file++) {
    const folder = join(dataDirectory, 'base', String(100_000 + Math.floor(file / perFolder)));
    if (file % perFolder === 0) mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, `tiny-${file}`), file % 4 === 0 ? `${file}\n` : '', { mode: 0o600 });
  }
}
