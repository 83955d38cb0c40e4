/** Reads what block-delta.ts works on: the map of a stored file, and the blocks of the file on disk. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { openPipeline } from '../../codec/pipeline.ts';
import { loadXxh128 } from '../../codec/xxhash.ts';
import { type BlockItem, decodeBlockMap } from '../../repo/block/map.ts';
import { backupFile } from '../../repo/layout.ts';
import type { ManifestFile } from '../../repo/manifest/file-table.ts';
import { type Manifest, pgDataTarget, storedIn } from '../../repo/manifest/manifest.ts';
import type { StanzaRepo } from '../../repo/stanza-repo.ts';
import { MemorySink, pump } from '../../storage/pump.ts';
import type { Storage } from '../../storage/storage.ts';

/** A map of 2^31 blocks would be larger: what is larger is no map. */
const mapLimit = 1024 * 1024 * 1024;

/** @throws format for what is no map, file-missing */
export async function readBlockMap(repo: StanzaRepo, manifest: Manifest, file: ManifestFile): Promise<BlockItem[]> {
  const { cipherPass } = manifest.header;
  const steps: StepSpec[] = cipherPass === undefined ? [] : [{ step: 'decrypt', passphrase: cipherPass, raw: true }];
  const path = backupFile(repo.stanza, storedIn(manifest, file), file, '');
  const sink = new MemorySink(mapLimit);
  const source = await repo.storage.read(path, {
    offset: file.bundleOffset + file.sizeRepo - file.blockMapSize,
    length: file.blockMapSize,
  });
  try {
    await pump(source, emit => openPipeline(steps, openCodecs(), emit), sink, Buffer.allocUnsafe(64 * 1024));
  } finally {
    await source.close();
  }
  return decodeBlockMap(sink.bytes(), file.blockSize, file.blockChecksumSize);
}

export interface FileOnDisk {
  /** SHA-1 of the whole file. */
  readonly checksum: string;
  /** Hashes of its blocks. */
  readonly blocks: readonly Uint8Array[];
}

/** @param dataPath PGDATA @throws file-missing */
export async function hashFileOnDisk(files: Storage, dataPath: string, file: ManifestFile): Promise<FileOnDisk> {
  const hashBlock = await loadXxh128();
  const hash = createHash('sha1');
  const blocks: Uint8Array[] = [];
  const relative = file.name.startsWith(`${pgDataTarget}/`) ? file.name.slice(pgDataTarget.length + 1) : file.name;
  const source = await files.read(posix.join(dataPath, relative));
  const buffer = Buffer.allocUnsafe(file.blockSize);
  try {
    for (;;) {
      const count = await source.read(buffer);
      if (count === 0) break;
      const block = buffer.subarray(0, count);
      hash.update(block);
      const checksum = new Uint8Array(file.blockChecksumSize);
      hashBlock(block, checksum);
      blocks.push(checksum);
    }
  } finally {
    await source.close();
  }
  return { checksum: hash.digest('hex'), blocks };
}
