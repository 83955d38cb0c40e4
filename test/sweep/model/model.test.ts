/**
 * Random histories of a stanza, with failures, kills and clocks that are set back, beside a small model that is written from
 * the documentation: what is listed can be restored, what is to go is gone, and nothing else is.
 */
import { afterAll, test, vi } from 'vitest';
import type { BackupCluster } from '../../../src/command/backup/database.ts';
import type { Session } from '../../../src/command/session.ts';
import type { RepoSettings, StorageContext } from '../../../src/storage/drivers.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { besideReal } from './beside-real.ts';
import { breaking } from './breaking-storage.ts';
import { openOnline } from './fake-server.ts';
import { makeHistory, shorten, tell } from './story.ts';
import { current } from './world.ts';

type Drivers = { openRepoStorage(settings: RepoSettings, context?: StorageContext): Promise<Storage> };
type Database = { openBackupCluster(session: Session<'backup'>): Promise<BackupCluster> };

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));
vi.mock('../../../src/storage/drivers.ts', async original => {
  const drivers = await original<Drivers>();
  return {
    ...drivers,
    openRepoStorage: async (settings: RepoSettings, context?: StorageContext) => {
      const { changes } = current;
      return breaking(await drivers.openRepoStorage(settings, context), changes);
    },
  };
});
vi.mock('../../../src/command/backup/database.ts', async original => {
  const database = await original<Database>();
  return {
    ...database,
    openBackupCluster: (session: Session<'backup'>) =>
      current.online === undefined
        ? database.openBackupCluster(session)
        : openOnline(database.openBackupCluster, session, current.online),
  };
});

const sweep = new Sweep('model');
afterAll(() => sweep.report());

const real = requireCompat();
const beside = real === undefined ? undefined : besideReal(real, sweep);
/** A number of one's own serves to look for a rare failure on a quiet evening. */
const histories = Number(process.env.PGBACKSTOP_MODEL_HISTORIES ?? shortOrFull(6, 400));
const steps = shortOrFull(20, 30);

test.each(Array.from({ length: histories }, (_, index) => sweep.seed * 10_000 + index))(
  'history %i: the repositories hold what they should',
  { timeout: 600_000 },
  async seed => {
    const history = makeHistory(seed, steps);
    try {
      await tell(history, sweep, beside);
    } catch (error) {
      const shorter = await shorten(history, sweep, error, { most: shortOrFull(30, 60), beside });
      throw new Error(`again: ${sweep.again}`, { cause: shorter });
    }
  },
);
