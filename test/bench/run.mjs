/** `npm run bench`: sets up a fresh clone, bundles the bench (Node 20 runs no TypeScript) and runs it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bundle } from '../../src/build.mjs';
import { root, setUp } from '../../src/setup.mjs';

await setUp();
await bundle('test/bench/main.ts', '.test/bench.cjs');
await bundle('test/bench/s3-way.ts', '.test/s3-way.cjs');
const { status, error } = spawnSync(process.execPath, [join(root, '.test/bench.cjs'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  // the bench's own use of it; which Node later versions will need is not its subject
  env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
});
if (error) throw error;
process.exit(status ?? 1);
