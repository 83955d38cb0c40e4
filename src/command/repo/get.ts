/** `repo-get`: one file to standard output, decrypted but not decompressed (behaviour, section 5.6). */
import { isKind } from '../../base/error.ts';
import { openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { openPipeline } from '../../codec/pipeline.ts';
import { pump } from '../../storage/pump.ts';
import type { ByteSource, Storage } from '../../storage/storage.ts';
import type { Session } from '../session.ts';
import { withRepository } from './open.ts';
import { passphraseOf } from './passphrase.ts';
import { repoPath, requiredPath } from './path.ts';
import { ReaderGone, writeOutput } from './standard.ts';

/** @returns 1 when the file is missing and that is to be ignored */
export async function run(session: Session<'repo-get'>): Promise<number | undefined> {
  const { params, values } = session.settings;
  const given = requiredPath(params, 'source file');
  return await withRepository(session, async repo => {
    const path = repoPath(given, repo.settings.path);
    const passphrase =
      values.raw || repo.settings.cipherPass === undefined
        ? undefined
        : (values['cipher-pass'] ?? (await passphraseOf(repo, path, values.stanza)));
    const source = await open(repo.storage, path, values['ignore-missing']);
    if (source === undefined) return 1;
    try {
      await send(source, passphrase, values['buffer-size']);
    } catch (error) {
      if (!(error instanceof ReaderGone)) throw error;
    } finally {
      await source.close();
    }
    return undefined;
  });
}

async function open(storage: Storage, path: string, ignoreMissing: boolean): Promise<ByteSource | undefined> {
  try {
    return await storage.read(path);
  } catch (error) {
    if (ignoreMissing && isKind(error, 'file-missing')) return undefined;
    throw error;
  }
}

async function send(source: ByteSource, passphrase: string | undefined, bufferSize: number): Promise<void> {
  const steps: StepSpec[] = passphrase === undefined ? [] : [{ step: 'decrypt', passphrase, raw: false }];
  // a write that waits must not be overtaken by the next one
  let before: Promise<void> = Promise.resolve();
  const sink = {
    write(chunk: Uint8Array): Promise<void> {
      const bytes = Uint8Array.from(chunk);
      before = before.then(() => writeOutput(bytes));
      return before;
    },
  };
  await pump(source, emit => openPipeline(steps, openCodecs(), emit), sink, Buffer.allocUnsafe(bufferSize));
}
