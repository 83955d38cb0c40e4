/** The power fails at any moment of a command: what only a kill proves is proved of a disk that forgets what was not synced. */
import { afterAll, describe, vi } from 'vitest';
import { requireRecorder } from '../../support/power-loss/required.ts';
import { isFullSweep, Sweep } from '../../support/sweep/sweep.ts';
import { watchAsyncPush } from './async-push.ts';
import { watchAfterKill } from './killed.ts';
import { watchRepository } from './repository.ts';
import { watchRestore } from './restore.ts';

if (isFullSweep()) vi.setConfig({ testTimeout: 3_600_000 });

describe.skipIf(requireRecorder() !== undefined)('power loss', () => {
  const sweep = new Sweep('power-loss');
  describe('repository', () => watchRepository(sweep));
  describe('restore', () => watchRestore(sweep));
  describe('archive-push, asynchronous', () => watchAsyncPush(sweep));
  describe('success after a kill', () => watchAfterKill(sweep));
  afterAll(() => sweep.report());
});
