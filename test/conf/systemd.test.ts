import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const units = join(import.meta.dirname, '../../conf/systemd');
const kinds = ['full', 'diff', 'incr'] as const;
const read = (name: string): string => readFileSync(join(units, name), 'utf8');

test('there are a service and a timer for each kind, and the services are the same', () => {
  expect(readdirSync(units).sort()).toEqual(
    kinds.flatMap(kind => [`pgbackstop-${kind}@.service`, `pgbackstop-${kind}@.timer`]).sort(),
  );
  for (const kind of kinds) expect(read(`pgbackstop-${kind}@.service`)).toBe(read('pgbackstop-full@.service'));
});

test('what would harm the locks, Node.js or PostgreSQL stays off', () => {
  const active = read('pgbackstop-full@.service')
    .split('\n')
    .filter(line => !line.startsWith('#'));
  expect(active.join('\n')).not.toMatch(
    /^(PrivateTmp|MemoryDenyWriteExecute|RemoveIPC|PrivateUsers|PrivateIPC|PrivateNetwork|DynamicUser)=/m,
  );
  // locks: /tmp/pgbackrest, which may have to be made first
  expect(active.find(line => line.startsWith('ReadWritePaths='))).toMatch(/ \/tmp$/);
});

test('the command is one that the package installs', () => {
  const { bin } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  const [, command = ''] =
    /^ExecStart=(\S+) --stanza=%i --type=%j backup$/m.exec(read('pgbackstop-full@.service')) ?? [];
  expect(Object.keys(bin)).toContain(command);
});

const present = spawnSync('systemd-analyze', ['--version']).status === 0;

describe.skipIf(!present)('systemd-analyze', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'units-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const analyze = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { cwd: folder, encoding: 'utf8' });
    // units of the machine that ours name may have faults of their own
    return { status, stdout, said: stderr.split('\n').filter(line => line.includes('pgbackstop')) };
  };
  /** Copies a service with another program to start. @returns its path */
  const service = (name: string, kind: string, command: string): string => {
    const text = read(`pgbackstop-${kind}@.service`).replace(/^ExecStart=.*$/m, `ExecStart=${command}`);
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  test.each(kinds)('verify finds nothing wrong with %s', kind => {
    const timer = join(folder, `pgbackstop-${kind}@.timer`);
    writeFileSync(timer, read(`pgbackstop-${kind}@.timer`));
    const path = service(`pgbackstop-${kind}@.service`, kind, `${process.execPath} --stanza=%i --type=%j backup`);
    // man: the pages need not be installed
    expect(analyze('verify', '--man=no', path)).toMatchObject({ status: 0, said: [] });
    expect(analyze('verify', '--man=no', timer)).toMatchObject({ status: 0, said: [] });
  });

  test.each(kinds)('the name gives stanza and type of %s', kind => {
    // that a program is missing is said with what its name became
    const path = service(`pgbackstop-${kind}@my-db.service`, kind, '/missing/%i/%j');
    expect(analyze('verify', '--man=no', path).said.join()).toContain(
      `Command /missing/my-db/${kind} is not executable`,
    );
  });

  test('one folder of additions counts for all', () => {
    mkdirSync(join(folder, 'pgbackstop-.service.d'));
    writeFileSync(
      join(folder, 'pgbackstop-.service.d/local.conf'),
      '[Service]\nExecStart=\nExecStart=/missing/added/%j\n',
    );
    for (const kind of kinds) {
      const path = service(`pgbackstop-${kind}@.service`, kind, process.execPath);
      expect(analyze('verify', '--man=no', path).said.join()).toContain(`/missing/added/${kind} is not executable`);
    }
    rmSync(join(folder, 'pgbackstop-.service.d'), { recursive: true });
  });

  test('no two timers elapse together', () => {
    const at = kinds.flatMap(kind => {
      const [, expression = ''] = /^OnCalendar=(.*)$/m.exec(read(`pgbackstop-${kind}@.timer`)) ?? [];
      const { stdout } = analyze('calendar', '--base-time=2026-01-01', '--iterations=30', expression);
      return [...stdout.matchAll(/(?:elapse|Iteration #\d+|Iter\. #\d+): (.*)$/gm)].map(match => match[1]);
    });
    expect(at).toHaveLength(90);
    expect(new Set(at).size).toBe(90);
  });

  test('security is content', () => {
    const path = service('pgbackstop-full@.service', 'full', process.execPath);
    // ends with 1 above 2.5 of 10
    expect(analyze('security', '--offline=true', '--threshold=25', '--no-pager', path)).toMatchObject({
      status: 0,
      said: [],
    });
  });
});
