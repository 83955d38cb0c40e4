/** `npm run bench`: sets up a fresh clone, bundles the bench (Node 20 runs no TypeScript) and runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { bundle } from '../../src/build.mjs';
import { root, setUp } from '../../src/setup.mjs';
import { newestLtsNode } from '../support/newest-lts.mjs';

await setUp();
await bundle('test/bench/main.ts', '.test/bench.cjs');
await bundle('test/bench/s3-way.ts', '.test/s3-way.cjs');

const args = process.argv.slice(2).flatMap(word => (word === '--node=lts' ? ['--node', 'lts'] : [word]));
const lts = args.findIndex((word, at) => word === 'lts' && args[at - 1] === '--node');
const fetched = lts === -1 ? undefined : newestLtsNode();
if (fetched !== undefined) args[lts] = fetched.node;
try {
  const child = spawn(process.execPath, [join(root, '.test/bench.cjs'), ...args], {
    stdio: 'inherit',
    // the bench's own use of it; which Node later versions will need is not its subject
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
  });
  // the bench leaves what it has measured; a terminal tells it of an interrupt itself
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [status] = await once(child, 'exit');
  process.exitCode = status ?? 1;
} finally {
  fetched?.remove();
}
