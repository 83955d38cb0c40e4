/**
 * A step is a synchronous transform of a stream of bytes. Observers (hash, size, page checksum) pass the bytes on,
 * transformers (gzip, cipher) change them. Steps know no promises: awaiting happens at the edges, in the pump.
 */

/**
 * Receives bytes. The chunk belongs to the step that emits it and is valid only during the call: take what you need
 * before returning.
 */
export type Emit = (chunk: Uint8Array) => void;

export interface Step {
  /** Takes the next bytes; the chunk may be reused by the caller as soon as push returns. */
  push(chunk: Uint8Array, emit: Emit): void;
  /** No more bytes come: emits what is left. Called exactly once, also for empty input. */
  end(emit: Emit): void;
  /** What was learned (a digest, a size), as plain data that can cross threads and hosts. Valid after end. */
  result?(): unknown;
  /** Frees what the garbage collector does not know of. Called once, also after an error. */
  close?(): void;
}
