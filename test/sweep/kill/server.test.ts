/** SIGKILL in the backup of a running server: its backup ends with the session, the next one works, PostgreSQL archives on. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BadInputBed } from '../../integration/bad-input-bed.ts';
import { findRealPgbackrest } from '../../support/real-pgbackrest.ts';
import { Injector } from '../../support/sweep/injector.ts';
import { Sweep } from '../../support/sweep/sweep.ts';
import { killAtEachStep, patience, turning } from './victim.ts';

const sweep = new Sweep('kill', 'server');
const real = findRealPgbackrest();
const query = 'select id, md5(content) from big order by id';
const backup = ['backup', '--type=full'];
let bed: BadInputBed;
let injector: Injector;

beforeAll(async () => {
  bed = await BadInputBed.create(4, { 'repo1-bundle': 'y', 'repo1-retention-full': 2 });
  const [node = '', launcher = ''] = bed.tool;
  injector = new Injector(bed.cluster.user, bed.cluster.makeFolder('injector'), [node, launcher]);
});
afterAll(async () => {
  sweep.report();
  await bed?.dispose();
});

it('an online backup', { timeout: patience }, async () => {
  await killAtEachStep(sweep, {
    name: 'online backup',
    injector,
    under: [bed.stanza.repo],
    kinds: turning,
    short: 1,
    // the server goes on, and so does its repository
    reset: () => undefined,
    run: tool => bed.stanza.attempt(tool, backup),
    judge: async () => {
      const listed = await bed.listed();
      expect(listed.length).toBeGreaterThan(0);
      await bed.cluster.waitFor(
        "select count(*) = 0 from pg_stat_activity where query ~ 'backup_start|start_backup' and pid <> pg_backend_pid()",
        60_000,
      );
      await bed.cluster.sql("insert into big select max(id) + 1, repeat('x', 9000) from big");
      await bed.cluster.switchWal();
      await bed.expectOk(...backup);
      const newest = (await bed.listed()).at(-1) ?? '';
      expect(listed).not.toContain(newest);
      const options = [`--set=${newest}`, '--type=immediate', '--target-action=promote'];
      const restored = await bed.stanza.restore([...bed.tool], options);
      await restored.start();
      await restored.waitFor('select not pg_is_in_recovery()');
      expect(await restored.fingerprint(query)).toBe(await bed.cluster.fingerprint(query));
      await restored.stop();
      expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
      const tools = [[...bed.tool], ...(real === undefined ? [] : [[real.path]])];
      for (const tool of tools) {
        const said = await bed.stanza.run(tool, 'verify');
        expect(said).not.toMatch(/ERROR|invalid checksum|status: error|(missing|invalid|other): [1-9]/);
      }
    },
  });
});
