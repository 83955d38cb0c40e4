/**
 * Timelines under asynchronous archive-get: a cluster is recovered and promoted twice, each time at a point before the end
 * of the WAL that its ancestor archived; a recovery across both switches must end on the third timeline with its rows and
 * none that were written after a fork. `npm run test:timelines` does that twenty times.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { chownTree, TestCluster } from '../support/cluster.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo, unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const rounds = Number(process.env.PGBACKSTOP_TIMELINE_ROUNDS ?? 2);
const options = {
  'archive-async': 'y',
  'archive-get-queue-max': '6MiB',
  'archive-timeout': 30,
  'compress-type': 'lz4',
  'log-level-file': 'detail',
};

let project: RunnableProject;
let tool: Tool;
let origin: TestCluster;
let first: TestStanza;
let current: TestStanza;
const stanzas: TestStanza[] = [];

beforeAll(async () => {
  project = runnableProject(unprivilegedUser());
  tool = project.command;
  origin = await TestCluster.create({ walSegmentSize: 1 });
  const archiver = new Archiver(origin);
  await origin.start();
  await origin.sql('create table story (chapter text, n int, filling text)');
  // synchronous: the origin waits for its archive, and only recovery is asynchronous
  first = new TestStanza(origin, 'first', { 'compress-type': 'lz4' });
  archiver.use(first, tool);
  await first.run(tool, 'stanza-create');
  await first.run(tool, 'backup', '--type=full');
  await write(origin, 'one', 8);
  await endStory(origin, 'one', 'fork1', 5);
});
afterEach(async () => {
  for (const stanza of stanzas.splice(0)) await stanza.dispose();
});
afterAll(async () => {
  await origin?.dispose();
  project?.remove();
});

/** Writes a chapter of so many segments. */
async function write(cluster: TestCluster, chapter: string, segments: number): Promise<void> {
  for (let n = 0; n < segments; n++) {
    await cluster.sql(`insert into story values ('${chapter}', ${n}, repeat('x', 500)); select pg_switch_wal()`);
  }
}

/** Restores the backup, recovers as told, and lets the cluster archive. */
async function recover(stanza: TestStanza, ...args: readonly string[]): Promise<TestCluster> {
  const cluster = await stanza.restore(tool, args);
  const push = stanza.commandLine(tool, `--pg1-path=${cluster.dataDirectory}`, 'archive-push', '%p');
  cluster.configure({ archive_mode: 'on', archive_command: push.join(' ') });
  await cluster.start();
  await cluster.waitFor('select not pg_is_in_recovery()');
  return cluster;
}

/** A point at which the heir leaves this timeline, and what it will not have; all of it is in the archive then. */
async function endStory(cluster: TestCluster, chapter: string, fork: string, lost: number): Promise<void> {
  await cluster.sql(`select pg_create_restore_point('${fork}'), pg_switch_wal()`);
  await write(cluster, `lost ${chapter}`, lost);
  const end = await cluster.walName();
  await cluster.sql("select pg_create_restore_point('end'), pg_switch_wal()");
  await cluster.waitFor(`select last_archived_wal >= '${end}' from pg_stat_archiver`);
  await cluster.stop();
}

const timelineOf = async (cluster: TestCluster): Promise<number> => {
  await cluster.sql('checkpoint');
  return Number(await cluster.value('select timeline_id from pg_control_checkpoint()'));
};

const chapters = async (cluster: TestCluster): Promise<string> =>
  (
    await cluster.sql<{ line: string }>(
      `select chapter || ' ' || count(*) as line from story group by chapter order by min(ctid)`,
    )
  )
    .map(({ line }) => line)
    .join(', ');

const getLog = (stanza: TestStanza): string =>
  readFileSync(join(stanza.folder, 'log/demo-archive-get-async.log'), 'utf8');

const waitUntilSettled = (stanza: TestStanza): Promise<void> =>
  expect
    .poll(() => readdirSync(join(stanza.folder, 'lock')).filter(name => name.includes('-archive')), { timeout: 30_000 })
    .toEqual([]);

test.for(Array.from({ length: rounds }, (_, index) => index + 1))(
  'promoted twice, and restored across both: %i',
  async round => {
    current = new TestStanza(origin, `round-${round}`, options);
    stanzas.push(current);
    cpSync(first.repo, current.repo, { recursive: true });
    await chownTree(origin.user, current.repo);
    const two = await recover(current, '--type=name', '--target=fork1', '--target-action=promote');
    expect(await timelineOf(two)).toBe(2);
    // the length of what is lost decides what lies in the queue when the timeline changes
    await write(two, 'two', 5);
    await endStory(two, 'two', 'fork2', 1 + (round % 7));
    const three = await recover(current, '--type=name', '--target=fork2', '--target-action=promote');
    expect(await timelineOf(three)).toBe(3);
    await write(three, 'three', 5);
    await endStory(three, 'three', 'fork3', 0);

    const heir = await current.restore(tool, []);
    await heir.start();
    await heir.waitFor('select not pg_is_in_recovery()');
    expect(await chapters(heir)).toBe('one 8, two 5, three 5');
    expect(await timelineOf(heir)).toBe(4);
    await heir.stop();
    await waitUntilSettled(current);
    const log = getLog(current);
    expect(log).toMatch(/DETAIL: found 00000001[0-9A-F]{16} in the repo1/);
    expect(log).toMatch(/DETAIL: found 00000002[0-9A-F]{16} in the repo1/);
    expect(log).toMatch(/DETAIL: found 00000003[0-9A-F]{16} in the repo1/);
    expect(log).not.toMatch(/ERROR|WARN/);
  },
);

test('the background process is killed again and again: recovery ends where it should', async () => {
  const stanza = new TestStanza(origin, 'killed', options);
  stanzas.push(stanza);
  cpSync(first.repo, stanza.repo, { recursive: true });
  await chownTree(origin.user, stanza.repo);
  const heir = await stanza.restore(tool, []);
  let kills = 0;
  const state = join(stanza.folder, 'spool/archive/demo/prefetch');
  const killer = setInterval(() => {
    if (!existsSync(state)) return;
    const { pid } = JSON.parse(readFileSync(state, 'utf8')) as { pid: number };
    const commandLine = `/proc/${pid}/cmdline`;
    if (!existsSync(commandLine) || !readFileSync(commandLine, 'utf8').includes(stanza.config)) return;
    process.kill(pid, 'SIGKILL');
    kills++;
  }, 37);
  try {
    await heir.start();
    await heir.waitFor('select not pg_is_in_recovery()');
  } finally {
    clearInterval(killer);
  }
  expect(kills).toBeGreaterThan(2);
  expect(await chapters(heir)).toBe('one 8, lost one 5');
  await heir.stop();
});

test('a repository that fails stops recovery, which ends too early otherwise; when it is back recovery goes on', async () => {
  const stanza = new TestStanza(origin, 'down', { ...options, 'repo2-path': join(origin.root, 'down/repo2') });
  stanzas.push(stanza);
  // the first has the backup and no WAL after it, the second all
  cpSync(first.repo, stanza.repo, { recursive: true });
  cpSync(first.repo, join(stanza.folder, 'repo2'), { recursive: true });
  const archived = readdirSync(join(stanza.repo, 'archive/demo'), { recursive: true, encoding: 'utf8' })
    .filter(name => /\/[0-9A-F]{24}-/.test(name))
    .sort();
  for (const name of archived.slice(-8)) rmSync(join(stanza.repo, 'archive/demo', name));
  execFileSync('chown', ['-R', `${origin.user.uid}:${origin.user.gid}`, stanza.folder]);
  const heir = await stanza.restore(tool, []);
  renameSync(join(stanza.folder, 'repo2'), join(stanza.folder, 'away'));
  writeFileSync(join(stanza.folder, 'repo2'), 'not a directory');
  giveTo(origin.user, join(stanza.folder, 'repo2'));
  await expect(heir.start()).rejects.toThrow(/could not restore file .* child process exited with exit code 231/);
  rmSync(join(stanza.folder, 'repo2'));
  renameSync(join(stanza.folder, 'away'), join(stanza.folder, 'repo2'));
  await heir.start();
  await heir.waitFor('select not pg_is_in_recovery()');
  expect(await chapters(heir)).toBe('one 8, lost one 5');
  await heir.stop();
});
