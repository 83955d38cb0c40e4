/** Small files of a repository: read and written whole, decrypted and encrypted. */
import { openCodecs, type StepSpec } from '../codec/codecs.ts';
import { openPipeline } from '../codec/pipeline.ts';
import type { Emit } from '../codec/step.ts';
import { MemorySink, pump } from '../storage/pump.ts';
import type { ByteSink, Storage } from '../storage/storage.ts';

const decryptSteps = (passphrase: string | undefined): StepSpec[] =>
  passphrase === undefined ? [] : [{ step: 'decrypt', passphrase, raw: false }];

const encryptSteps = (passphrase: string | undefined): StepSpec[] =>
  passphrase === undefined ? [] : [{ step: 'encrypt', passphrase, raw: false }];

/**
 * Reads a whole file.
 * @param passphrase decrypts; absent for a repository that is not encrypted
 * @param limit most bytes that the content may have
 */
export async function readStored(
  storage: Storage,
  path: string,
  passphrase: string | undefined,
  limit: number,
): Promise<Buffer> {
  const sink = new MemorySink(limit);
  await readStoredThrough(storage, path, passphrase, chunk => sink.write(chunk));
  return sink.bytes();
}

/** Reads a file and hands its decrypted content on, piece by piece. */
export async function readStoredThrough(
  storage: Storage,
  path: string,
  passphrase: string | undefined,
  emit: Emit,
): Promise<void> {
  const codecs = openCodecs();
  const source = await storage.read(path);
  try {
    const open = (sink: Emit) => openPipeline(decryptSteps(passphrase), codecs, sink);
    await pump(source, open, { write: emit }, Buffer.allocUnsafe(256 * 1024));
  } finally {
    await source.close();
  }
}

/** Writes the same stored bytes to each path, in order, each durable before the next: the copy never is the newer one. */
export async function writeStored(
  storage: Storage,
  paths: readonly string[],
  passphrase: string | undefined,
  content: Uint8Array,
): Promise<void> {
  const bytes = encrypted(passphrase, content);
  for (const path of paths) await writeBytes(storage, path, bytes);
}

/** What is stored of a small file. @param passphrase absent for a repository that is not encrypted */
export function encrypted(passphrase: string | undefined, content: Uint8Array): Buffer {
  const parts: Buffer[] = [];
  const pipeline = openPipeline(encryptSteps(passphrase), openCodecs(), chunk => parts.push(Buffer.from(chunk)));
  try {
    pipeline.push(content);
    pipeline.end();
  } finally {
    pipeline.close();
  }
  return Buffer.concat(parts);
}

/** Writes a small file as it is given. */
export async function writeBytes(storage: Storage, path: string, bytes: Uint8Array): Promise<void> {
  const sink = await storage.write(path, { sizeHint: bytes.length });
  await finishSink(sink, async () => {
    await sink.write(bytes);
  });
}

/** Commits the sink when the work succeeds, aborts it when it fails. */
export async function finishSink(sink: ByteSink, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await sink.commit();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

/**
 * Copies a file as it is stored, without decoding it.
 * @returns nothing; the destination is durable
 */
export async function copyStored(storage: Storage, from: string, to: string): Promise<void> {
  const source = await storage.read(from);
  try {
    const sink = await storage.write(to);
    await finishSink(sink, () =>
      pump(source, emit => openPipeline([], openCodecs(), emit), sink, Buffer.allocUnsafe(256 * 1024)),
    );
  } finally {
    await source.close();
  }
}
