import { describe, expect, test } from 'vitest';
import { exponent, lastExponent, type Point } from './exponent.ts';
import { grown, growthTables } from './report.ts';

const point = (size: number, cpu: number, largest = 50e6): Point => ({
  size,
  wall: 2 * cpu,
  cpu,
  largest,
  peak: largest,
});

describe('the power of growth', () => {
  const cases: [name: string, from: number, to: number, power: number][] = [
    ['the same at any size', 3, 3, 0],
    ['linear', 3, 12, 1],
    ['quadratic', 3, 48, 2],
    ['with the square root', 3, 6, 0.5],
  ];
  test.each(cases)('%s', (_name, from, to, power) => {
    expect(exponent({ size: 10, cost: from }, { size: 40, cost: to })).toBeCloseTo(power);
  });

  test('is that between the largest two sizes', () => {
    const points = [point(1600, 16), point(100, 8), point(400, 8)];
    expect(lastExponent(points, ({ cpu }) => cpu)).toBeCloseTo(0.5);
    expect(() => lastExponent(points.slice(1, 2), ({ cpu }) => cpu)).toThrow('two sizes');
  });
});

test('what grows faster than it may is named', () => {
  const axis = (command: string, tool: 'ours' | 'theirs', points: Point[]) => ({ command, tool, points });
  const axes = [
    {
      name: 'files',
      sizes: ['10 files', '40 files'],
      growths: [
        axis('flat', 'ours', [point(10, 1), point(40, 4)]),
        axis('quadratic', 'ours', [point(10, 1), point(40, 16)]),
        axis('short', 'ours', [point(10, 0.01), point(40, 0.4)]),
        axis('hungry', 'ours', [point(10, 1), point(40, 1, 90e6)]),
        axis('large', 'ours', [point(10, 1, 160e6), point(40, 1, 160e6)]),
        axis('quadratic', 'theirs', [point(10, 1), point(40, 16)]),
      ],
    },
  ];
  expect(grown(axes)).toEqual([
    'files, quadratic: processor time grows with the power 2.00',
    'files, hungry: largest process 50 MB to 90 MB',
    'files, large: largest process 160 MB to 160 MB',
  ]);
  expect(growthTables(axes).split('\n').slice(0, 5)).toEqual([
    '### files: 10 files; 40 files',
    '',
    '| command | tool | time | power | CPU | power | largest process | all processes |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    '| flat | ours | 2.00 s, 8.00 s | **1.00** | 1.00 s, 4.00 s | **1.00** | 50 MB, 50 MB | 50 MB, 50 MB |',
  ]);
});
