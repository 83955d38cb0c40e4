/** A promotion between two backups: times can no longer be trusted, so the next one compares by checksum on its own accord. */
import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, TestStanza, type Tool } from '../support/stanza.ts';
import { giveTo } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let project: RunnableProject;
let tool: Tool;
let cluster: TestCluster;
let stanza: TestStanza;

beforeAll(async () => {
  cluster = await TestCluster.create({ walSegmentSize: 1 });
  project = runnableProject(cluster.user);
  tool = project.command;
  const archiver = new Archiver(cluster);
  stanza = new TestStanza(cluster, 'stanza', { 'compress-type': 'none' });
  archiver.use(stanza, tool);
  await cluster.start();
  await cluster.sql('create table kept as select n from generate_series(1, 1000) n');
  await stanza.run(tool, 'stanza-create');
  await stanza.run(tool, 'backup', '--type=full');
});
afterAll(async () => {
  await stanza?.dispose();
  await cluster?.dispose();
  project?.remove();
});

/** Changes a file in a way that its size and time do not tell. */
function changeUnseen(letter: string): void {
  const path = join(cluster.dataDirectory, 'pg_ident.conf');
  const { mtime } = statSync(path);
  writeFileSync(path, readFileSync(path, 'utf8').replace(/^#./, `#${letter}`));
  utimesSync(path, mtime, mtime);
}

const incr = (): Promise<string> => stanza.run(tool, 'backup', '--type=incr', '--log-level-console=detail');
const inLatest = async (name: string): Promise<string> =>
  readFileSync(join(stanza.repo, 'backup/demo', await stanza.latest(tool), name), 'utf8');

/** Ends a recovery of the cluster, which begins a timeline. */
async function switchTimeline(): Promise<void> {
  await cluster.stop();
  const signal = join(cluster.dataDirectory, 'recovery.signal');
  writeFileSync(signal, '');
  giveTo(cluster.user, signal);
  const get = stanza.commandLine(tool, 'archive-get').map(word => `"${word}"`);
  cluster.configure({ restore_command: `${get.join(' ')} %f "%p"` });
  await cluster.start();
  await cluster.waitFor('select not pg_is_in_recovery()');
}

it('without one, size and time decide', async () => {
  changeUnseen('1');
  const output = await incr();
  expect(output).not.toContain('enabling delta checksum');
  expect(await inLatest('backup.manifest')).toMatch(/^option-delta=false$/m);
  expect(await inLatest('backup.manifest')).toMatch(/^pg_data\/pg_ident\.conf=.*"reference":/m);
});

it('after one, content decides', async () => {
  const prior = await stanza.latest(tool);
  await switchTimeline();
  await cluster.sql('insert into kept values (0)');
  const output = await incr();
  expect(output).toMatch(
    new RegExp(
      `WARN: a timeline switch has occurred since the ${prior} backup, enabling delta checksum\n +HINT: this is normal after restoring from backup or promoting a standby\\.`,
    ),
  );
  expect(output).toMatch(/match file from prior backup .*PG_VERSION/);
  expect(await inLatest('backup.manifest')).toMatch(/^option-delta=true$/m);
  expect(await inLatest('backup.manifest')).toMatch(/^backup-archive-start="00000002/m);
  expect(await inLatest('pg_data/pg_ident.conf')).toMatch(/^#1/);
});

it('the next one is on the same timeline as its prior', async () => {
  expect(await incr()).not.toContain('enabling delta checksum');
});

it('what was restored follows the new timeline', async () => {
  const restored = await stanza.restore(tool, ['--target-timeline=latest']);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.value('select count(*) from kept')).toBe('1001');
  expect(readFileSync(join(restored.dataDirectory, 'pg_ident.conf'), 'utf8')).toMatch(/^#1/);
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
});

it.each([
  ['3', 55, /00000003\.history/],
  ['nonsense', 58, /'nonsense'/],
])('target-timeline %s is refused before anything is written', async (timeline, code, said) => {
  const data = stanza.newDataDirectory();
  const result = await stanza.attempt(tool, ['restore', `--pg1-path=${data}`, `--target-timeline=${timeline}`]);
  expect(result.stderr).toMatch(said);
  expect(result.code).toBe(code);
  expect(existsSync(data)).toBe(false);
});
