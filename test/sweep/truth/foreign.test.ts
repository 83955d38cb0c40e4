/** The same of repositories of the real tool: their manifests may have no checksums of what is stored. */
import { afterAll, describe, test, vi } from 'vitest';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { fewOrAll, Sweep } from '../../support/sweep/sweep.ts';
import { makes, nameOf, turnBits } from './rounds.ts';
import type { Make } from './truth-bed.ts';

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));

const sweep = new Sweep('truth', 'foreign');
afterAll(() => sweep.report());

const real = requireCompat();
const foreign: readonly Make[] =
  real === undefined
    ? []
    : makes
        .filter(({ layout, codec }) => layout !== 'block' && codec !== 'none')
        .map(make => ({ ...make, writer: real }));

describe.skipIf(real === undefined)('a turned bit is told of, and nothing wrong is restored', () => {
  test.each(fewOrAll(foreign, 2).map(make => [nameOf(make), make] as const))(
    '%s',
    { timeout: 1_200_000 },
    async (_, make) => turnBits(sweep, make),
  );
});
