/** Recovery with the oldest PostgreSQL there is, which takes its settings from recovery.conf. */
import { describe } from 'vitest';
import { findPostgres } from '../support/pg-binaries.ts';
import { describeRecovery } from './recovery-cases.ts';

const [binaries] = await findPostgres();
if (binaries === undefined) throw new Error('no PostgreSQL was found, not even in node_modules: npm install');
describe(`recovery of PostgreSQL ${binaries.version}`, () => describeRecovery(binaries, 'targets'));
