/** The list of steps that codec has. Layers above add theirs to it. */
import { type DecryptSpec, decryptKind, type EncryptSpec, encryptKind } from './cipher.ts';
import { type CompressSpec, compressKinds, type DecompressSpec } from './compress.ts';
import { type CountSpec, countKind, type LimitSpec, limitKind } from './count.ts';
import { type HashSpec, hashKind } from './hash.ts';
import type { StepKinds } from './pipeline.ts';

export type StepSpec = HashSpec | CountSpec | LimitSpec | CompressSpec | DecompressSpec | EncryptSpec | DecryptSpec;

export type PipelineSpec = readonly StepSpec[];

export type Codecs = StepKinds<StepSpec>;

/** Makes codec's step kinds. They hold loaded libraries and idle buffers: one object per thread, passed down. */
export function openCodecs(): Codecs {
  return {
    hash: hashKind,
    count: countKind,
    limit: limitKind,
    ...compressKinds(),
    encrypt: encryptKind(),
    decrypt: decryptKind,
  };
}
