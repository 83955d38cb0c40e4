import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseDrops, dropWarning, type HeldFile } from '../../../src/command/archive/queue-limit.ts';

const held = (states: string): HeldFile[] =>
  [...states].map((state, index) => ({
    name: String(index),
    size: 10,
    state: state === 'd' ? 'done' : state === 'b' ? 'busy' : 'waiting',
  }));
const dropped = (states: string, limit: number): string =>
  chooseDrops(held(states), limit)
    .map(({ name }) => name)
    .join('');

describe('what is let go', () => {
  test.each([
    ['wwww', 40, ''],
    ['wwww', 39, '0'],
    ['wwww', 20, '01'],
    ['wwww', 0, '0123'],
    // PostgreSQL lets go of what is done as soon as it gets there
    ['ddww', 20, ''],
    ['ddww', 19, '2'],
    // one that cannot be pushed holds all that are done behind it
    ['wddd', 30, '0'],
    ['wddw', 15, '0'],
    ['wddw', 5, '03'],
    // what is being read stays as it is
    ['bwww', 20, '1'],
    ['bbbb', 0, ''],
    ['', 0, ''],
  ])('of %j with a limit of %i: %j', (states, limit, expected) => {
    expect(dropped(states, limit)).toBe(expected);
  });

  test('is never more than needed, never done or busy, and what is left fits once the rest is through', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('w', 'd', 'b'), { maxLength: 30 }),
        fc.integer({ min: 0, max: 320 }),
        (states, limit) => {
          const files = held(states.join(''));
          const drops = chooseDrops(files, limit);
          expect(drops.every(({ state }) => state === 'waiting')).toBe(true);
          const names = new Set(drops.map(({ name }) => name));
          const next = files.findIndex(({ name, state }) => state === 'waiting' && !names.has(name));
          if (next >= 0) expect((files.length - next) * 10).toBeLessThanOrEqual(limit);
          const last = drops.at(-1);
          // without the last one too much would be left
          if (last !== undefined) expect((files.length - Number(last.name)) * 10).toBeGreaterThan(limit);
        },
      ),
    );
  });

  test('is named as pgBackRest names it', () => {
    expect(dropWarning('X', 1024 * 1024)).toBe("dropped WAL file 'X' because archive queue exceeded 1MB");
  });
});
