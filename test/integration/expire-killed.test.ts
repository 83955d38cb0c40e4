/** SIGKILL in the middle of an expire, between what it removes. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Injector } from '../support/sweep/injector.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { OfflineBed } from './offline-bed.ts';

const bed = new OfflineBed();
afterAll(() => bed.dispose());

it('info lists no backup whose manifest is gone', async () => {
  const repo = bed.newFolder();
  bed.configure({ 'repo1-path': repo, 'checksum-page': 'n' });
  await bed.run('stanza-create');
  for (let times = 0; times < 2; times++) await bed.run('backup', '--type=full');
  const [first = '', second = ''] = await bed.labels();
  const [node = '', launcher = ''] = bed.ours;
  const injector = new Injector(unprivilegedUser(), bed.newFolder(), [node, launcher]);
  const killed = injector.prepare({
    under: [join(repo, 'backup/demo', first, 'backup.manifest')],
    kinds: ['remove'],
    nth: 1,
    fault: 'kill-after',
  });
  const expire = ['--repo1-retention-full=1'];
  expect((await bed.attempt('expire', expire, killed.tool)).signal).toBe('SIGKILL');
  expect(existsSync(join(repo, 'backup/demo', first, 'backup.manifest'))).toBe(false);
  expect(await bed.labels()).toEqual([second]);
  await bed.run('expire', ...expire);
  expect(readdirSync(join(repo, 'backup/demo')).filter(name => /^\d/.test(name))).toEqual([second]);
  expect(await bed.labels()).toEqual([second]);
});
