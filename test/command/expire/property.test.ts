/** Whatever happened and whatever is asked for: what stays can be restored, and expire is done after one run. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKind } from '../../../src/base/error.ts';
import type { RetentionOptions } from '../../../src/command/expire/retention.ts';
import { archiveIdOf } from '../../../src/repo/history.ts';
import {
  type Event,
  type ExpireOptions,
  expire,
  happen,
  type Stanza,
  segmentsOf,
  timelinesOf,
} from './history-model.ts';

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('backup' as const),
      type: fc.constantFrom('full' as const, 'diff' as const, 'incr' as const),
      online: fc.integer({ min: 0, max: 9 }).map(dice => dice > 0),
      segments: fc.integer({ min: 0, max: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wal' as const), segments: fc.integer({ min: 1, max: 300 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('promote' as const), back: fc.integer({ min: 0, max: 20 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'upgrade' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'return' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), hours: fc.integer({ min: 1, max: 100 }) }) },
);

const retention: fc.Arbitrary<RetentionOptions> = fc.record({
  full: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  fullType: fc.constantFrom('count' as const, 'time' as const),
  diff: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  archive: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  archiveType: fc.constantFrom('full' as const, 'diff' as const, 'incr' as const),
});

const stanzas = fc.array(event, { minLength: 1, maxLength: 25 }).map(happen);

const cases = fc
  .tuple(stanzas, retention, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 5 }))
  .map(([stanza, options, pick, segment, dice]): [Stanza, ExpireOptions] => {
    const set = dice === 0 ? stanza.backups[pick % Math.max(1, stanza.backups.length)]?.label : undefined;
    const all = [...stanza.archive.keys()].flatMap(id => segmentsOf(stanza, id));
    const expireBefore = dice === 1 ? all[segment % Math.max(1, all.length)] : undefined;
    // a backup that is being made on another host may need a backup of any set
    const used = stanza.backups[pick % Math.max(1, stanza.backups.length)];
    const inUse = new Map(
      dice === 2 && used !== undefined ? [...used.reference, used.label].map(label => [label, used.label]) : [],
    );
    return [stanza, { retention: options, set, expireBefore, inUse }];
  });

/** @returns undefined when the plan refuses, which it may only for a set that was asked for */
function tryExpire(stanza: Stanza, options: ExpireOptions): Stanza | undefined {
  try {
    return expire(stanza, options);
  } catch (error) {
    if (options.set !== undefined && isKind(error, 'backup-set-invalid')) return undefined;
    throw error;
  }
}

function check(property: (before: Stanza, after: Stanza, options: ExpireOptions) => void): void {
  fc.assert(
    fc.property(cases, ([stanza, options]) => {
      const after = tryExpire(stanza, options);
      if (after !== undefined) property(stanza, after, options);
    }),
    { numRuns: 1500 },
  );
}

describe('a backup that stays', () => {
  it('keeps every backup that it needs', () => {
    check((_before, after) => {
      const labels = new Set(after.backups.map(({ label }) => label));
      for (const { label, prior, reference } of after.backups) {
        expect(
          [...reference, ...(prior === undefined ? [] : [prior])].filter(needed => !labels.has(needed)),
          label,
        ).toEqual([]);
      }
    });
  });

  it('keeps the WAL that makes it consistent', () => {
    check((before, after) => {
      for (const { label, dbId, archiveStart, archiveStop } of after.backups) {
        if (archiveStart === null || archiveStop === null) continue;
        const needed = (stanza: Stanza): string[] =>
          segmentsOf(stanza, idOf(stanza, dbId)).filter(name => name >= archiveStart && name <= archiveStop);
        expect(needed(after), label).toEqual(needed(before));
      }
    });
  });

  it('can be restored to any later moment when it is the newest of its cluster', () => {
    check((before, after) => {
      for (const db of before.history) {
        const newest = after.backups.filter(backup => backup.dbId === db.id && backup.archiveStart !== null).at(-1);
        if (newest?.archiveStart === null || newest === undefined) continue;
        const start = newest.archiveStart;
        const later = (stanza: Stanza): string[] => [
          ...segmentsOf(stanza, archiveIdOf(db)).filter(name => name >= start),
          ...timelinesOf(stanza, archiveIdOf(db)).filter(name => name.slice(0, 8) > start.slice(0, 8)),
        ];
        expect(later(after), newest.label).toEqual(later(before));
      }
    });
  });

  it('can be restored to any later moment when retention of WAL says so', () => {
    check((before, after, { retention: { archive, archiveType } }) => {
      if (archive === undefined) return;
      const types = ['full', 'diff', 'incr'];
      const counted = after.backups.filter(({ type }) => types.indexOf(type) <= types.indexOf(archiveType));
      for (const { label, dbId, archiveStart } of counted.slice(-archive)) {
        if (archiveStart === null) continue;
        const later = (stanza: Stanza): string[] =>
          segmentsOf(stanza, idOf(stanza, dbId)).filter(name => name >= archiveStart);
        expect(later(after), label).toEqual(later(before));
      }
    });
  });

  it('is there when it is the newest full one, or in use by another host', () => {
    check((before, after, { set, inUse }) => {
      const labels = after.backups.map(({ label }) => label);
      const newest = before.backups.findLast(({ type }) => type === 'full');
      if (newest !== undefined && set === undefined) expect(labels).toContain(newest.label);
      for (const label of inUse?.keys() ?? []) expect(labels).toContain(label);
    });
  });
});

describe('expire', () => {
  it('changes nothing when it runs again', () => {
    check((_before, after, { set, ...options }) => {
      if (set === undefined) expect(expire(after, options)).toEqual(after);
    });
  });

  it('never touches the WAL directory of the current cluster as a whole', () => {
    check((before, after) => {
      const id = archiveIdOf(before.history.at(-1) ?? { id: 0, version: '' });
      expect(after.archive.has(id)).toBe(before.archive.has(id));
    });
  });

  it('removes nothing from a given segment on', () => {
    check((before, after, { expireBefore }) => {
      if (expireBefore === undefined) return;
      for (const db of before.history) {
        // an old cluster without backups goes whole
        if (!after.archive.has(archiveIdOf(db))) continue;
        const later = (stanza: Stanza): string[] =>
          segmentsOf(stanza, archiveIdOf(db)).filter(name => name >= expireBefore);
        expect(later(after)).toEqual(later(before));
      }
    });
  });

  it('does remove something now and then', () => {
    let backups = 0;
    let segments = 0;
    check((before, after) => {
      backups += before.backups.length - after.backups.length;
      for (const id of before.archive.keys()) segments += segmentsOf(before, id).length - segmentsOf(after, id).length;
    });
    expect(backups).toBeGreaterThan(100);
    expect(segments).toBeGreaterThan(1000);
  });
});

const idOf = (stanza: Stanza, dbId: number): string => {
  const db = stanza.history.find(({ id }) => id === dbId);
  return db === undefined ? '' : archiveIdOf(db);
};
