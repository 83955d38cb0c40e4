/**
 * The process that keeps the S3 server of a run: `server-main FOLDER OWNER`. Writes `env.sh` into the folder when the
 * server answers, or `failed` when it cannot be brought up; ends with its owner, and removes the folder then.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ceph } from './ceph.ts';
import { writePlace } from './lab-file.ts';
import { isAlive } from './run-owner.ts';

const [folder = '', owner = ''] = process.argv.slice(2);

/** Looked after this often, in milliseconds. */
const interval = 200;

async function main(): Promise<void> {
  const store = join(folder, 'ceph');
  mkdirSync(store, { mode: 0o755 });
  const ceph = await Ceph.start(store);
  let stopped = false;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => (stopped = true));
  try {
    writePlace(join(folder, 'env.sh'), ceph.place);
    while (!stopped && isAlive(owner)) await sleep(interval);
  } finally {
    await ceph.stop();
  }
}

main()
  .catch(error => {
    console.error(error);
    writeFileSync(join(folder, 'failed'), '');
    // who waits for us reads why
    return new Promise(resolve => {
      const timer = setInterval(() => {
        if (isAlive(owner)) return;
        clearInterval(timer);
        resolve(undefined);
      }, interval);
    });
  })
  .finally(() => rmSync(folder, { recursive: true, force: true }));
