/** `npm run demo`: sets up a fresh clone, then runs the demo. Arguments go to it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setUp } from '../setup.mjs';

await setUp();
const { status, error } = spawnSync(process.execPath, [join(root, 'dist/demo.cjs'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
if (error) throw error;
process.exit(status ?? 1);
