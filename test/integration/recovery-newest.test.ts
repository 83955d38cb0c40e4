/** Recovery with the newest PostgreSQL there is. */
import { describe } from 'vitest';
import { newestPostgres } from '../support/pg-binaries.ts';
import { describeRecovery } from './recovery-cases.ts';

const binaries = await newestPostgres();
describe(`recovery of PostgreSQL ${binaries.version}`, () => describeRecovery(binaries));
