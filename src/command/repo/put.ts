/** `repo-put`: standard input to one file, encrypted as its path demands. */
import { openCodecs, type StepSpec } from '../../codec/codecs.ts';
import { openPipeline } from '../../codec/pipeline.ts';
import { finishSink } from '../../repo/stored.ts';
import { pump } from '../../storage/pump.ts';
import type { Session } from '../session.ts';
import { withRepository } from './open.ts';
import { passphraseOf } from './passphrase.ts';
import { repoPath, requiredPath } from './path.ts';
import { standardInput } from './standard.ts';

export async function run(session: Session<'repo-put'>): Promise<undefined> {
  const { params, values } = session.settings;
  const given = requiredPath(params, 'destination file');
  await withRepository(session, async repo => {
    const path = repoPath(given, repo.settings.path);
    const passphrase =
      values.raw || repo.settings.cipherPass === undefined
        ? undefined
        : (values['cipher-pass'] ?? (await passphraseOf(repo, path, values.stanza)));
    const steps: StepSpec[] = passphrase === undefined ? [] : [{ step: 'encrypt', passphrase, raw: false }];
    const sink = await repo.storage.write(path);
    const buffer = Buffer.allocUnsafe(values['buffer-size']);
    await finishSink(sink, () => pump(standardInput, emit => openPipeline(steps, openCodecs(), emit), sink, buffer));
  });
}
