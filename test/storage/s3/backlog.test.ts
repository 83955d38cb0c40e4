import { describe, expect, test } from 'vitest';
import { Backlog, Backlogs } from '../../../src/storage/s3/backlog.ts';

const kibibyte = 1024;

/** Bytes that differ from their neighbours. */
const bytes = (length: number, seed: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed * 7) % 251));

describe('a backlog', () => {
  test('gives what came, in order, whatever the sizes, and keeps no hold of what it was given', () => {
    const backlog = new Backlog(new Backlogs(kibibyte));
    const came: Buffer[] = [];
    const taken: Buffer[] = [];
    for (let round = 1; round < 40; round++) {
      const chunk = bytes((round * 7919) % 90_000, round);
      came.push(Buffer.from(chunk));
      backlog.push(chunk);
      chunk.fill(0);
      const into = Buffer.alloc((round * 5003) % 100_000);
      taken.push(into.subarray(0, backlog.take(into)));
    }
    const rest = Buffer.alloc(backlog.size + 1);
    taken.push(rest.subarray(0, backlog.take(rest)));
    expect(backlog.size).toBe(0);
    expect(Buffer.concat(taken).equals(Buffer.concat(came))).toBe(true);
  });

  test('is full sooner when others have much, and empty when it was cleared', () => {
    const all = new Backlogs(1024 * kibibyte);
    const [one, other] = [new Backlog(all), new Backlog(all)];
    one.push(bytes(512 * kibibyte, 1));
    expect(one.isFull).toBe(false);
    other.push(bytes(1024 * kibibyte, 2));
    expect(one.isFull).toBe(true);
    other.clear();
    expect(one.isFull).toBe(false);
    expect(other.take(Buffer.alloc(10))).toBe(0);
  });
});
