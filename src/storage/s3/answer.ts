/** Reads answers that are no content of a file. */
import { FalseAnswer } from './retry.ts';

/** Most bytes of such an answer: a list of a thousand names of a kilobyte has less. */
const answerLimit = 16 * 1024 * 1024;

/** The content of an answer: as it comes, or when somebody has read it. */
export type AnswerBody = AsyncIterable<Uint8Array> | Uint8Array;

/** Reads an answer to its end. @throws FalseAnswer when it has none */
export async function collect(body: AnswerBody): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > answerLimit) throw new FalseAnswer('the answer does not end');
  }
  return Buffer.concat(chunks);
}
