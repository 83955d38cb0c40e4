/** The two halves of bin/pgbackstop.cjs together: what the program remembers, the shell answers by, and no longer. */
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ArchiveBed } from '../command/archive/archive-bed.ts';
import { runAs } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';
import { segmentName, until } from './async-push-bed.ts';

let bed: ArchiveBed;
let project: RunnableProject;
beforeAll(async () => {
  bed = await ArchiveBed.create();
  project = runnableProject(bed.user);
  mkdirSync(join(bed.folder, 'no-node'));
  writeFileSync(join(bed.folder, 'no-node/node'), '#!/bin/sh\nexit 99\n', { mode: 0o755 });
  bed.own();
});
afterAll(() => {
  bed.dispose();
  project.remove();
});

beforeEach(() => {
  for (const name of ['cache', 'spool', 'data/pg_wal'])
    rmSync(join(bed.folder, name), { recursive: true, force: true });
  mkdirSync(join(bed.folder, 'data/pg_wal/archive_status'), { recursive: true });
  configure('log-level-console=warn');
  startServer();
  bed.own();
});

/** Writes a file as it was written some time ago. */
function write(name: string, content: string, seconds = 60): void {
  const path = bed.write(name, content);
  const then = Date.now() / 1000 - seconds;
  utimesSync(path, then, then);
  utimesSync(dirname(path), then, then);
}

const configure = (line: string, seconds?: number) =>
  write(
    'etc/pgbackrest.conf',
    `${readFileSync(join(bed.folder, 'pgbackrest.conf'), 'utf8').replace('log-level-console=info', line)}`,
    seconds,
  );

const startServer = (seconds?: number) => write('data/postmaster.pid', '1', seconds);

/** As PostgreSQL calls it; without Node the call fails, if it is not answered before. */
async function call(node: 'node' | 'no node', command: string, ...params: string[]) {
  const folder = node === 'node' ? dirname(project.command[0]) : join(bed.folder, 'no-node');
  const options = [`--config=${bed.folder}/etc/pgbackrest.conf`, '--stanza=demo', '--archive-async'];
  if (command === 'archive-get') options.push('--archive-get-queue-max=4MiB');
  const { code, stdout, stderr } = await runAs(bed.user, [project.command[1], ...options, command, ...params], {
    cwd: bed.dataDirectory,
    env: { PATH: `${folder}:/usr/bin:/bin`, XDG_CACHE_HOME: join(bed.folder, 'cache'), NODE_EXTRA_CA_CERTS: undefined },
  });
  return { code, output: stdout + stderr };
}

const backgroundEnds = () => until(() => !readdirSync(join(bed.folder, 'lock')).some(name => name.endsWith('.lock')));
const answered = { code: 0, output: '' };
const needsNode = { code: 99, output: '' };

describe('archive-push', () => {
  // each test has segments of its own: the archive remembers
  let base = 0;
  const name = (number: number) => segmentName(base + number);
  const push = (node: 'node' | 'no node', number: number) => call(node, 'archive-push', `pg_wal/${name(number)}`);

  function ready(number: number): void {
    bed.segment(name(number));
    bed.write(`data/pg_wal/archive_status/${name(number)}.ready`, '');
  }

  beforeEach(async () => {
    base += 16;
    for (const number of [1, 2, 3]) ready(number);
    expect(await push('no node', 1)).toEqual(needsNode);
    // the first call makes the spool this cluster's, and the second one finds it so
    for (let time = 0; time < 2; time++) expect(await push('node', 1)).toEqual(answered);
    await backgroundEnds();
  });

  test('is answered without Node once the program has answered one, and as the program does', async () => {
    for (const node of ['no node', 'node'] as const) {
      for (const number of [1, 2, 3]) expect(await push(node, number)).toEqual(answered);
    }
    ready(4);
    expect(await push('no node', 4)).toEqual(needsNode);
  });

  test('is left to the program when it has something to say', async () => {
    const status = join(bed.folder, 'spool/archive/demo/out', `${name(2)}.ok`);
    writeFileSync(status, '0\nthis is a warning');
    expect(await push('no node', 2)).toEqual(needsNode);
    expect(await push('node', 2)).toMatchObject({ code: 0, output: expect.stringContaining('this is a warning') });
    writeFileSync(join(bed.folder, 'lock/demo.stop'), '');
    expect(await push('no node', 3)).toEqual(needsNode);
    expect(await push('node', 3)).toMatchObject({ code: 62 });
    rmSync(join(bed.folder, 'lock/demo.stop'));
    expect(await push('no node', 3)).toEqual(answered);
  });

  test('is left to the program after a change of the configuration', async () => {
    configure('log-level-console=info', 0);
    expect(await push('no node', 2)).toEqual(needsNode);
    expect(await push('node', 2)).toMatchObject({ code: 0, output: expect.stringContaining('pushed WAL file') });
    // it says so each time
    expect(await push('no node', 2)).toEqual(needsNode);
  });

  test('is left to the program after a start of the server, once', async () => {
    startServer(0);
    expect(await push('no node', 2)).toEqual(needsNode);
    // the program begins a moment after the server
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(await push('node', 2)).toEqual(answered);
    expect(await push('no node', 3)).toEqual(answered);
  });

  test('is not answered by a status of an earlier segment of this name', async () => {
    const then = Date.now() / 1000 + 5;
    utimesSync(join(bed.dataDirectory, 'pg_wal', name(2)), then, then);
    expect(await push('no node', 2)).toEqual(needsNode);
  });
});

test('archive-get is answered without Node while half of the queue is fetched', async () => {
  const contents = new Map<string, Buffer>();
  for (let number = 11; number <= 20; number++) {
    contents.set(segmentName(number), bed.segment(segmentName(number)));
    expect(await bed.push(`pg_wal/${segmentName(number)}`)).toMatchObject({ code: 0 });
  }
  const get = (node: 'node' | 'no node', number: number) =>
    call(node, 'archive-get', segmentName(number), 'pg_wal/RECOVERYXLOG');
  const got = () => readFileSync(join(bed.dataDirectory, 'pg_wal/RECOVERYXLOG'));
  expect(await get('node', 11)).toEqual(answered);
  await backgroundEnds();
  // the spool became this cluster's meanwhile
  expect(await get('no node', 12)).toEqual(needsNode);
  expect(await get('node', 12)).toEqual(answered);
  const fetched = () => readdirSync(join(bed.folder, 'spool/archive/demo/in')).sort().at(-1) ?? '';
  const last = fetched();
  let number = 13;
  for (; segmentName(number + 2) <= last; number++) {
    expect(await get('no node', number)).toEqual(answered);
    expect(got().equals(contents.get(segmentName(number)) ?? Buffer.of())).toBe(true);
  }
  expect(number).toBeGreaterThan(13);
  expect(await get('no node', number)).toEqual(needsNode);
  expect(await get('node', number)).toEqual(answered);
  await backgroundEnds();
  expect(fetched() > last).toBe(true);
  expect(await get('no node', number + 1)).toEqual(answered);
  expect(got().equals(contents.get(segmentName(number + 1)) ?? Buffer.of())).toBe(true);
  // what is not in the archive
  expect((await get('no node', 40)).code).toBe(99);
  expect((await get('node', 40)).code).toBe(1);
});
