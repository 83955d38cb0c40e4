/** The steps between the content of a backup's file and the bytes that are stored of it (format, sections 4 to 6). */
import type { StepSpec } from '../codec/codecs.ts';
import type { CompressType } from './manifest/manifest.ts';

export interface StoredForm {
  readonly compressType: CompressType;
  /** Passphrase of the backup set, in encrypted repositories. */
  readonly cipherPass?: string | undefined;
  /** The smaller framing of bundle members, super blocks and maps. */
  readonly raw: boolean;
}

/** From content to stored bytes: compressed, then encrypted. */
export function storeSteps(form: StoredForm & { readonly compressLevel: number }): StepSpec[] {
  const { compressType: type, compressLevel: level, cipherPass, raw } = form;
  const steps: StepSpec[] = [];
  if (type !== 'none') steps.push({ step: 'compress', type, level, raw });
  if (cipherPass !== undefined) steps.push({ step: 'encrypt', passphrase: cipherPass, raw });
  return steps;
}

/** From stored bytes to content. */
export function loadSteps({ compressType: type, cipherPass, raw }: StoredForm): StepSpec[] {
  const steps: StepSpec[] = [];
  if (cipherPass !== undefined) steps.push({ step: 'decrypt', passphrase: cipherPass, raw });
  if (type !== 'none') steps.push({ step: 'decompress', type, raw });
  return steps;
}
