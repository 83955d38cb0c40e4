/** Only one of both tools can back up a stanza at a time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TestStanza } from '../support/stanza.ts';
import { spawnOptionsFor } from '../support/unprivileged.ts';
import { canCompare, useBench } from './support.ts';

describe.runIf(canCompare)('locks', () => {
  const bench = useBench();
  let stanza: TestStanza;
  let holder: ChildProcess | undefined;
  beforeAll(async () => {
    stanza = new TestStanza(bench().cluster, 'lock');
    bench().archiver.use(stanza, bench().ours);
    await stanza.run(bench().ours, 'stanza-create');
  });
  afterEach(() => void holder?.kill('SIGKILL'));
  afterAll(() => stanza.dispose());

  test.for([
    ['ours', 'real'],
    ['real', 'ours'],
  ] as const)('while %s backs up, a backup by %s is refused', async ([one, other]) => {
    const { archiver, [one]: running, [other]: refused } = bench();
    archiver.use(stanza, running);
    // a backup waits for its WAL
    archiver.pause();
    const backup = stanza.run(running, 'backup', '--type=full');
    backup.catch(() => undefined);
    await expect.poll(() => isHeld(refused), { timeout: 30_000 }).toBe(true);
    expect(await isHeld(running)).toBe(true);

    const { code, stderr } = await stanza.attempt(refused, ['backup', '--type=full']);
    expect(code, stderr).toBe(50);
    expect(stderr).toMatch(/ERROR: \[050\]: unable to acquire lock on file '.*\/lock\/demo-backup/);

    archiver.use(stanza, running);
    await backup;
    expect(await isHeld(refused)).toBe(false);
    await stanza.run(refused, 'backup', '--type=incr');
  });

  /** What info of a tool says. */
  const isHeld = async (tool: readonly string[]): Promise<boolean> =>
    JSON.parse(await stanza.run(tool, 'info', '--output=json'))[0].status.lock.backup.held;

  test.for(['demo-backup-1.lock', 'demo-backup.lock'])('we respect a lock on %s', async name => {
    const path = join(stanza.folder, 'lock', name);
    const { cluster, ours } = bench();
    holder = spawn('sh', ['-c', 'exec 9>>"$0"; flock 9; echo held; exec sleep 60', path], {
      ...spawnOptionsFor(cluster.user),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (holder.stdout === null) throw new Error('no output');
    await once(holder.stdout, 'data');
    expect(await stanza.attempt(ours, ['backup', '--type=full'])).toMatchObject({ code: 50 });
    // and it is free when its holder dies
    holder.kill('SIGKILL');
    await once(holder, 'close');
    await stanza.run(ours, 'backup', '--type=incr');
    expect(existsSync(path)).toBe(false);
  });
});
