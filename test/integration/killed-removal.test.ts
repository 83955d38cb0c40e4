/** SIGKILL in the middle of commands that remove: what is left of a stanza or a backup is nothing that anybody trips over. */
import { existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { errorCodes } from '../../src/base/error.ts';
import { Injector } from '../support/sweep/injector.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { OfflineBed } from './offline-bed.ts';

const bed = new OfflineBed();
const [node = '', launcher = ''] = bed.ours;
const injector = new Injector(unprivilegedUser(), bed.newFolder(), [node, launcher]);
let folder: string;
let repo: string;

beforeEach(async () => {
  folder = bed.newFolder();
  repo = join(folder, 'repo');
  bed.configure({ 'repo1-path': repo, 'lock-path': join(folder, 'lock'), 'checksum-page': 'n' });
  await bed.run('stanza-create');
  await bed.run('backup', '--type=full');
});
afterAll(() => bed.dispose());

it('expire: info lists no backup whose manifest is gone', async () => {
  await bed.run('backup', '--type=full');
  const [first = '', second = ''] = await bed.labels();
  const manifest = join(repo, 'backup/demo', first, 'backup.manifest');
  const killed = injector.prepare({ under: [manifest], kinds: ['remove'], nth: 1, fault: 'kill-after' });
  const expire = ['--repo1-retention-full=1'];
  expect((await bed.attempt('expire', expire, killed.tool)).signal).toBe('SIGKILL');
  expect(existsSync(manifest)).toBe(false);
  expect(await bed.labels()).toEqual([second]);
  await bed.run('expire', ...expire);
  expect(readdirSync(join(repo, 'backup/demo')).filter(name => /^\d/.test(name))).toEqual([second]);
  expect(await bed.labels()).toEqual([second]);
});

it('stanza-delete: the next one ends it, and the stanza can be created again', async () => {
  await bed.run('stop');
  const stopped = join(folder, 'lock/demo.stop');
  const killed = injector.prepare({ under: [stopped], kinds: ['remove'], nth: 1, fault: 'kill-before' });
  expect((await bed.attempt('stanza-delete', [], killed.tool)).signal).toBe('SIGKILL');
  expect(existsSync(stopped)).toBe(true);
  await bed.run('stanza-delete');
  expect(existsSync(stopped)).toBe(false);
  for (const kind of ['archive', 'backup']) expect(readdirSync(join(repo, kind))).toEqual([]);
  await bed.run('stanza-create');
});

it('stanza-delete: a link in the place of a directory may lead anywhere, so nothing goes', async () => {
  const outside = bed.newFolder();
  const path = join(repo, 'backup/demo');
  renameSync(path, join(outside, 'demo'));
  symlinkSync(join(outside, 'demo'), path);
  const before = [repo, outside].map(place => readdirSync(place, { recursive: true }).map(String).sort());
  await bed.run('stop');
  const { code, output } = await bed.attempt('stanza-delete');
  expect(output).toContain(`'${path}' is a link: what lies behind it is not removed`);
  expect(code).toBe(errorCodes['path-remove']);
  expect([repo, outside].map(place => readdirSync(place, { recursive: true }).map(String).sort())).toEqual(before);
  rmSync(path);
  renameSync(join(outside, 'demo'), path);
  await bed.run('stanza-delete');
});
