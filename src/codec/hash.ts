import { createHash } from 'node:crypto';
import type { StepKind } from './pipeline.ts';

/** Observes: the result is the digest in lower-case hex. */
export interface HashSpec {
  readonly step: 'hash';
  readonly algorithm: 'sha1' | 'sha256' | 'md5';
  readonly id: string;
}

export const hashKind: StepKind<HashSpec> = {
  open({ algorithm }) {
    const hash = createHash(algorithm);
    let digest: string | undefined;
    return {
      push(chunk, emit) {
        hash.update(chunk);
        emit(chunk);
      },
      end() {
        digest = hash.digest('hex');
      },
      result: () => digest,
    };
  },
};
