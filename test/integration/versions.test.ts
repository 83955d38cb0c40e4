/** The main job on every PostgreSQL there is: archive, back up under load, restore to a time, start. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { findPostgres } from '../support/pg-binaries.ts';
import { Archiver, TestStanza } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';

const installations = await findPostgres();
const project = runnableProject(unprivilegedUser());
afterAll(() => project.remove());

test('the oldest and the newest of npm are here', () => {
  expect(installations.map(({ version }) => version)).toEqual(expect.arrayContaining(['10', '18']));
});

describe.each(installations)('PostgreSQL $version', binaries => {
  const { key, version } = binaries;

  test('is archived, backed up, and restored to a time', async () => {
    const tool = project.command;
    const cluster = await TestCluster.create({ binaries });
    try {
      const archiver = new Archiver(cluster);
      const stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'zst' });
      archiver.use(stanza, tool);
      await cluster.start();
      await cluster.createLoadTables();
      const load = await cluster.startLoad();
      await stanza.run(tool, 'stanza-create');
      await stanza.run(tool, 'check');
      await stanza.run(tool, 'backup', '--type=full', '--archive-copy');
      await archiver.markTarget('before');
      await stanza.run(tool, 'backup', '--type=incr');
      const target = await archiver.markTarget('target');
      await cluster.sql('drop table pgbench_accounts');
      await cluster.switchWal();
      // pgbench misses its table
      await load.stop().catch((error: Error) => expect(error.message).toMatch(/pgbench_accounts/));

      const [info] = JSON.parse(await stanza.run(tool, 'info', '--output=json'));
      expect(info).toMatchObject({
        status: { code: 0 },
        db: [{ version }],
        backup: [{ type: 'full' }, { type: 'incr' }],
      });

      const restored = await stanza.restore(tool, [
        '--type=time',
        `--target=${target.time}`,
        '--target-action=promote',
      ]);
      try {
        const file = key >= 120000 ? 'postgresql.auto.conf' : 'recovery.conf';
        expect(readFileSync(join(restored.dataDirectory, file), 'utf8')).toContain('recovery_target_time = ');
        expect(existsSync(join(restored.dataDirectory, 'recovery.signal'))).toBe(key >= 120000);
        await restored.start();
        await restored.waitFor('select not pg_is_in_recovery()');
        expect(await restored.fingerprint()).toBe(target.fingerprint);
        const amcheck = await restored.checkAmcheck();
        expect(amcheck, amcheck.output).toMatchObject({ passed: true });
        await restored.stop();
        const pages = await restored.checkPageChecksums();
        expect(pages, pages.output).toMatchObject({ passed: true });
      } finally {
        await stanza.dispose();
      }
    } finally {
      await cluster.dispose();
    }
  });
});
