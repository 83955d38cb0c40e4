import { describe, expect, test } from 'vitest';
import {
  checkTimelineReachable,
  chooseTargetTimeline,
  historyFileName,
  parseTimelineHistory,
} from '../../src/postgres/timeline.ts';
import { versionOf } from '../../src/postgres/versions.ts';

describe('history files', () => {
  test('as a server writes them', () => {
    const text =
      '1\t0/3000000\tno recovery target specified\n\n2\t0/5000148\tbefore 2026-11-21 02:09:56.074+00\n\n3\t16/B374D848\tat restore point "a\tb"\n';
    expect(parseTimelineHistory(text)).toEqual([
      { timeline: 1, lsn: 0x3000000n },
      { timeline: 2, lsn: 0x5000148n },
      { timeline: 3, lsn: 0x16_b374_d848n },
    ]);
  });

  test('with comments, carriage returns and nothing after the position', () => {
    expect(parseTimelineHistory('# made by hand\r\n1\t0/3000000\r\n')).toEqual([{ timeline: 1, lsn: 0x3000000n }]);
    expect(parseTimelineHistory('')).toEqual([]);
  });

  test.each(['1', 'x\t0/1', '1\t0/0\tr', '0\t0/1', '1\t0/1x', '1 \t', '9999999999\t0/1', '-1\t0/1'])(
    '%j is none',
    text => {
      expect(() => parseTimelineHistory(text)).toThrow(
        expect.objectContaining({ kind: 'format', message: expect.stringContaining('invalid history line') }),
      );
    },
  );

  test('names', () => {
    expect(historyFileName(10)).toBe('0000000A.history');
    expect(historyFileName(0xffffffff)).toBe('FFFFFFFF.history');
  });
});

describe('the timeline that recovery follows', () => {
  const ask = (option: string | undefined, version = '15', immediate = false): number =>
    chooseTargetTimeline({
      option,
      version: versionOf(version),
      immediate,
      backupTimeline: 3,
      historyFiles: ['00000002.history', '0000001A.history', 'FFFFFFFG.history', '0000FFFF.history.tmp', '15-1'],
    });

  test.each([
    [undefined, '15', false, 26],
    [undefined, '12', false, 26],
    [undefined, '11', false, 3],
    [undefined, '9.4', false, 3],
    [undefined, '15', true, 3],
    ['latest', '11', false, 26],
    ['latest', '15', true, 26],
    ['current', '15', false, 3],
    ['7', '15', false, 7],
    ['0x1F', '15', false, 31],
    ['4294967295', '15', false, 4294967295],
  ])('option %s on %s, immediate %s: %i', (option, version, immediate, timeline) => {
    expect(ask(option, version, immediate)).toBe(timeline);
  });

  test('latest is the backup own when the archive has no later one', () => {
    const question = { option: 'latest', version: versionOf('15'), immediate: false, backupTimeline: 3 };
    expect(chooseTargetTimeline({ ...question, historyFiles: [] })).toBe(3);
    expect(chooseTargetTimeline({ ...question, historyFiles: ['00000002.history'] })).toBe(3);
  });

  test.each(['', '0', 'newest', '1F', '0x', '0x100000000', '4294967296', '-1', '1.5', ' 1'])('%j is none', option => {
    expect(() => ask(option)).toThrow(expect.objectContaining({ kind: 'db-mismatch' }));
  });
});

describe('whether it can be reached', () => {
  const history = parseTimelineHistory('1\t0/3000000\n2\t0/5000000\n');

  test.each([
    ['the own timeline needs no history', 5, { timeline: 5, lsn: 9n }],
    ['before the fork', 3, { timeline: 2, lsn: 0x4ffffffn }],
    ['grandchild', 3, { timeline: 1, lsn: 0x2000028n }],
  ])('%s', (_name, target, backup) => {
    expect(() => checkTimelineReachable(target, history, backup)).not.toThrow();
  });

  test('a backup made after the fork is on another branch', () => {
    for (const lsn of [0x5000000n, 0x6000000n]) {
      expect(() => checkTimelineReachable(26, history, { timeline: 2, lsn })).toThrow(
        expect.objectContaining({
          kind: 'db-mismatch',
          message: expect.stringMatching(
            /^target timeline 1A forked from backup timeline 2 at 0\/5000000 which is before/,
          ),
        }),
      );
    }
  });

  test('a backup made after the point to which a later timeline went back is on another branch', () => {
    // PITR to a point on timeline 1 while timeline 2 was the latest
    const back = parseTimelineHistory('1\t0/4003930\tno reason\n\n2\t0/3016A20\tbefore the fork\n');
    const check = (timeline: number, lsn: bigint) => () => checkTimelineReachable(3, back, { timeline, lsn });
    expect(check(1, 0x3000028n)).not.toThrow();
    expect(check(1, 0x3016a20n)).toThrow(
      /forked from backup timeline 1 at 0\/3016A20 which is before backup lsn of 0\/3016A20/,
    );
    expect(check(2, 0x4003940n)).toThrow(/forked from backup timeline 2 at 0\/3016A20/);
  });

  test('a timeline that the history does not know', () => {
    expect(() => checkTimelineReachable(7, history, { timeline: 5, lsn: 1n })).toThrow(
      /backup timeline 5, lsn 0\/1 is not in the history of target timeline 7/,
    );
  });
});
