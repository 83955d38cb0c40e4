/**
 * `npm run test:sweep`: the long form of the sweeps. Names choose some of them (`npm run test:sweep -- kill fault`); what begins
 * with a dash goes to vitest.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, 'sweep');
const known = readdirSync(folder);
const names = process.argv.slice(2).filter(arg => !arg.startsWith('-'));
const unknown = names.filter(name => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no sweep ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  process.exit(2);
}
const seed = process.env.PGBACKSTOP_SWEEP_SEED ?? String(Date.now() % 1_000_000);
console.log(`seed ${seed}: PGBACKSTOP_SWEEP_SEED=${seed} repeats what follows`);
const chosen = names.length > 0 ? names.map(name => `test/sweep/${name}/`) : ['test/sweep/'];
const options = process.argv.slice(2).filter(arg => arg.startsWith('-'));
const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'run.mjs'), ...chosen, ...options], {
  stdio: 'inherit',
  env: { ...process.env, PGBACKSTOP_SWEEP: 'full', PGBACKSTOP_SWEEP_SEED: seed },
});
process.exit(status ?? 1);
