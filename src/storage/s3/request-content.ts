/** What a request carries: bytes in pieces, as they lie in memory. */
import { createHash } from 'node:crypto';
import type { ClientRequest } from 'node:http';

export interface RequestContent {
  /** Not touched by anybody before the answer. */
  readonly pieces: readonly Uint8Array[];
  /** Bytes of all pieces. */
  readonly length: number;
}

export const noContent: RequestContent = { pieces: [], length: 0 };

export function digestOf(algorithm: 'md5' | 'sha256', { pieces }: RequestContent): Buffer {
  const hash = createHash(algorithm);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

/**
 * Sends the content and ends the request. Over TLS piece by piece: Node encrypts at once all that it is given, into memory
 * that it takes for it.
 */
export function sendContent(request: ClientRequest, { pieces }: RequestContent, encrypted: boolean): void {
  if (pieces.length <= 1) {
    request.end(pieces[0]);
    return;
  }
  if (!encrypted) {
    request.cork();
    for (const piece of pieces) request.write(piece);
    request.end();
    request.uncork();
    return;
  }
  let next = 0;
  const send = (): void => {
    while (next < pieces.length) {
      // whoever listens to the request learns of its failure
      if (request.destroyed) return;
      if (!request.write(pieces[next++]) && next < pieces.length) return void request.once('drain', send);
    }
    request.end();
  };
  send();
}
