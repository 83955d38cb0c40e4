/** SIGTERM and SIGKILL in the middle of a backup and of a restore. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { giveTo } from '../support/unprivileged.ts';
import { BadInputBed, slowly } from './bad-input-bed.ts';

let bed: BadInputBed;
let rows: string;
const query = 'select id, md5(content) from big order by id';

beforeAll(async () => {
  bed = await BadInputBed.create(24);
  rows = await bed.cluster.fingerprint(query);
});
afterAll(() => bed?.dispose());

it('a restore that was killed before it made a directory is gone on with', async () => {
  if ((await bed.listed()).length === 0) await bed.expectOk('backup', '--type=full');
  for (let time = 0; time < 3; time++) {
    const data = bed.stanza.newDataDirectory();
    mkdirSync(data, { mode: 0o700 });
    giveTo(bed.cluster.user, data);
    const args = ['restore', `--pg1-path=${data}`];
    const running = bed.start(...args);
    while (readdirSync(data).length === 0) await new Promise(resolve => setImmediate(resolve));
    process.kill(running.pid, 'SIGKILL');
    await running.done;
    expect(await bed.expectOk(...args, '--delta')).toContain('restore command end: completed successfully');
  }
});

const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGKILL'] as const;

it('a backup that was killed is gone on with by the next one of the same kind', async () => {
  const args = ['backup', '--type=full', ...slowly, '--manifest-save-threshold=1KiB'];
  const killed = bed.start(...args);
  const label = await bed.untilCopying(killed, bed.directories());
  process.kill(killed.pid, 'SIGKILL');
  await killed.done;
  const output = await bed.expectOk(...args);
  expect(output).toContain(`resumable backup ${label} of same type exists`);
  expect(await bed.listed()).toContain(label);
  const restored = await bed.stanza.restore(
    [...bed.tool],
    [`--set=${label}`, '--type=immediate', '--target-action=promote'],
  );
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.fingerprint(query)).toBe(rows);
});

describe.each(signals)('%s', signal => {
  it('in the middle of a backup: it is not listed, locks are free, the server ends the backup, the next one succeeds', async () => {
    const before = await bed.listed();
    const running = bed.start('backup', '--type=full', ...slowly);
    const label = await bed.untilCopying(running, bed.directories());
    process.kill(running.pid, signal);
    const result = await running.done;
    if (signal === 'SIGKILL') {
      expect(result.signal).toBe(signal);
    } else {
      expect(result.code).toBe(63);
      expect(result.output).toContain(`ERROR: [063]: terminated on signal ${signal}`);
      expect(result.output).toContain('INFO: backup command end: aborted with exception [063]');
      expect(readdirSync(join(bed.stanza.folder, 'lock'))).toEqual([]);
    }
    expect(await bed.listed()).toEqual(before);
    // its session was the backup
    await bed.cluster.waitFor(
      "select count(*) = 0 from pg_stat_activity where query ~ 'backup_start|start_backup' and pid <> pg_backend_pid()",
      10_000,
    );
    const output = await bed.expectOk('backup', '--type=full');
    const next = (await bed.listed()).at(-1);
    expect(output).toContain(`new backup label = ${next}`);
    expect(next).not.toBe(label);
    expect(await bed.listed()).toHaveLength(before.length + 1);
  });

  // one that can be caught and one that cannot
  it.runIf(signal === 'SIGTERM' || signal === 'SIGKILL')(
    'in the middle of a restore: PostgreSQL refuses what is there, delta finishes it',
    async () => {
      if ((await bed.listed()).length === 0) await bed.expectOk('backup', '--type=full');
      const data = bed.stanza.newDataDirectory();
      mkdirSync(data, { mode: 0o700 });
      giveTo(bed.cluster.user, data);
      const args = ['restore', `--pg1-path=${data}`, '--process-max=1'];
      const running = bed.start(...args);
      await bed.untilRestoring(running, data);
      process.kill(running.pid, signal);
      const result = await running.done;
      if (signal === 'SIGKILL') expect(result.signal).toBe(signal);
      else expect(result.code).toBe(63);
      expect(existsSync(join(data, 'global/pg_control'))).toBe(false);
      const refused = await TestCluster.open(data, { binaries: bed.cluster.binaries });
      try {
        await expect(refused.start(10)).rejects.toThrow(/pg_control|not a database cluster|did not start/);
      } finally {
        await refused.dispose();
      }

      const again = await bed.run(...args);
      expect(again.code).toBe(40);
      const output = await bed.expectOk(...args, '--delta');
      expect(output).toContain('restore command end: completed successfully');
      expect(existsSync(join(data, 'backup.manifest'))).toBe(false);
      const restored = await bed.stanza.open(data);
      await restored.start();
      expect(await restored.fingerprint(query)).toBe(rows);
      await restored.stop();
      expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
    },
  );
});
