/**
 * Hostile repository: the hint that the shell half of bin/pgbackstop.cjs reads. Whatever it says, the shell answers from
 * the spool, or asks the whole program; nothing of it is executed, and nothing else is moved.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Sweep } from '../../support/sweep/sweep.ts';
import { giveTo, runAs, unprivilegedUser } from '../../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../../support/unprivileged-project.ts';
import { changedBytes } from './bytes.ts';
import { Fuzz } from './fuzz.ts';
import { makeOutside, shape } from './hostile-repo.ts';
import { Watchdog } from './watchdog.ts';

const sweep = new Sweep('hostile');
const user = unprivilegedUser();
let project: RunnableProject;
let watchdog: Watchdog;
let folder: string;

beforeAll(() => {
  project = runnableProject(user);
  watchdog = new Watchdog();
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-hint-'));
  for (const name of ['no-node', 'cache/pgbackstop/first-step', 'data/pg_wal', 'spool/in', 'lock', 'outside']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  makeOutside(join(folder, 'outside'));
  // the whole program is another matter: that it was asked is enough
  writeFileSync(join(folder, 'no-node/node'), '#!/bin/sh\nexit 99\n', { mode: 0o755 });
  writeFileSync(join(folder, 'data/postmaster.pid'), '1');
  writeFileSync(join(folder, 'config'), '');
  const then = Date.now() / 1000 - 100;
  for (const name of ['data/postmaster.pid', 'config']) utimesSync(join(folder, name), then, then);
  utimesSync(folder, then, then);
  execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
});
afterAll(async () => {
  await watchdog?.close();
  rmSync(folder, { recursive: true, force: true });
  project?.remove();
  sweep.report('first-step');
});

const segment = '000000010000000000000004';

it('a hint', async () => {
  const words = ['--stanza=demo', 'archive-get'];
  const key = words.map(word => `\t${word}`).join('');
  const file = join(folder, `cache/pgbackstop/first-step/archive-get-demo-2-${key.length}`);
  const good = [
    'pgbackstop first step 1',
    key,
    join(folder, 'config'),
    join(folder, 'data'),
    join(folder, 'spool/in'),
    join(folder, 'lock'),
    join(folder, 'lock/demo-archive.lock'),
    '4',
    '256',
    `+${join(folder, 'config')}`,
    `-${join(folder, 'missing')}`,
    'end',
    '',
  ].join('\n');
  const next = join(folder, 'spool/in/000000010000000000000008');
  const fetched = join(folder, `spool/in/${segment}`);
  const wanted = join(folder, 'data/pg_wal/RECOVERYXLOG');
  let answered = 0;
  await new Fuzz(sweep, watchdog).run({
    name: 'hint of the first step',
    inputs: changedBytes([Buffer.from(good)], {
      tokens: [
        ...[
          '\n',
          'end\n',
          '$(touch evil)',
          '`touch evil`',
          '$((1/0))',
          ';touch evil;',
          '\0',
          '*',
          '../outside/precious',
          '\\',
        ],
        ...[
          '08',
          '0',
          '-1',
          '9999999999',
          '999999999',
          '0x10',
          'a[$(touch evil)]',
          '+/',
          '-/',
          `+${folder}\n`,
          ' ',
          "'",
          '"',
        ],
      ],
      longest: 16 * 1024,
    }),
    async read(input) {
      for (const path of [next, fetched]) writeFileSync(path, 'segment');
      rmSync(wanted, { force: true });
      writeFileSync(file, input);
      giveTo(user, file);
      for (const path of [next, fetched]) giveTo(user, path);
      const before = shape(join(folder, 'outside'));
      const { code, signal, stdout } = await runAs(
        user,
        [project.command[1], ...words, segment, 'pg_wal/RECOVERYXLOG'],
        {
          cwd: join(folder, 'data'),
          env: { PATH: `${folder}/no-node:/usr/bin:/bin`, XDG_CACHE_HOME: join(folder, 'cache') },
        },
      );
      expect(shape(join(folder, 'outside'))).toBe(before);
      expect(existsSync(join(folder, 'data/evil')), 'a part of the hint was executed').toBe(false);
      expect([0, 99], `ended with ${code ?? signal}`).toContain(code);
      expect(stdout).toBe('');
      if (code === 0) {
        expect(readFileSync(wanted, 'utf8')).toBe('segment');
        answered++;
      } else expect(existsSync(wanted)).toBe(false);
    },
    kinds: [],
    cases: [60, 4000],
  });
  // some changes do no harm
  expect(answered).toBeGreaterThan(0);
}, 3_600_000);
