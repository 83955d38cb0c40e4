/**
 * Truth of results: whatever bit is turned in a repository, verify tells of the file it is in, and what is restored is
 * right or is not restored.
 */
import { afterAll, describe, test, vi } from 'vitest';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { makes, nameOf, turnBits } from './rounds.ts';

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));

const sweep = new Sweep('truth', 'ours');
afterAll(() => sweep.report());

describe('a turned bit is told of, and nothing wrong is restored', () => {
  test.each(fewOrAll(makes, 8).map(make => [nameOf(make), make] as const))(
    '%s',
    { timeout: 1_200_000 },
    async (_, make) => turnBits(sweep, make),
  );
});
