/** Recovery targets with Debian's PostgreSQL 15, where the machine has it; all else of a recovery is the same as in the newest. */
import { describe } from 'vitest';
import { postgresOf } from '../support/pg-binaries.ts';
import { describeRecovery } from './recovery-cases.ts';

const binaries = await postgresOf('15');
describe.runIf(binaries !== undefined)('recovery of PostgreSQL 15', () => {
  if (binaries !== undefined) describeRecovery(binaries, 'targets');
});
