/** expire of the built program: by itself, and at the end of a backup. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { Archiver, listTree, TestStanza, type Tool } from '../support/stanza.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let cluster: TestCluster;
let project: RunnableProject;
let stanza: TestStanza;
let ours: Tool;

/** Lines of an output without what differs from run to run. */
const lines = (output: string): string[] =>
  output
    .trim()
    .split('\n')
    .map(line => line.replace(/^P\d+ +/, ''));

const run = async (...args: string[]): Promise<string[]> =>
  lines(await stanza.run(ours, '--log-level-console=info', '--log-timestamp=n', ...args));

const labels = async (): Promise<string[]> => {
  const [info] = JSON.parse(await stanza.run(ours, 'info', '--output=json'));
  return info.backup.map(({ label }: { label: string }) => label);
};

beforeAll(async () => {
  cluster = await TestCluster.create();
  project = runnableProject(cluster.user);
  ours = project.command;
  const archiver = new Archiver(cluster);
  stanza = new TestStanza(cluster, 'a', { 'repo1-retention-full': 1 });
  archiver.use(stanza, ours);
  await cluster.start();
  await stanza.run(ours, 'stanza-create');
  await cluster.sql('create table t as select generate_series(1, 1000) i');
});

afterAll(async () => {
  await stanza?.dispose();
  await cluster?.dispose();
  project?.remove();
});

it('runs after a backup has ended, with lines of its own', async () => {
  await stanza.run(ours, 'backup', '--type=full', '--no-expire-auto');
  await stanza.run(ours, 'backup', '--type=incr', '--no-expire-auto');
  const [full = '', incr = ''] = await labels();
  const output = await run('backup', '--type=full');
  const [newest = ''] = await labels();
  expect(await labels()).toEqual([newest]);
  expect(newest > full).toBe(true);
  const end = output.findIndex(line => line.startsWith('INFO: backup command end: '));
  expect(output[end]).toBe('INFO: backup command end: completed successfully');
  expect(output[end + 1]).toMatch(/^INFO: expire command begin \S+: .*--repo1-retention-full=1 --stanza=demo/);
  expect(output.slice(end + 2, -1)).toEqual([
    `INFO: repo1: expire full backup set ${full}, ${incr}`,
    `INFO: repo1: remove expired backup ${incr}`,
    `INFO: repo1: remove expired backup ${full}`,
    expect.stringMatching(/^INFO: repo1: \S+ remove archive, start = [0-9A-F]{24}, stop = [0-9A-F]{24}$/),
  ]);
  expect(output.at(-1)).toBe('INFO: expire command end: completed successfully');
});

it('leaves what restores to the newest moment', async () => {
  await cluster.sql('insert into t select generate_series(1, 500)');
  await stanza.run(ours, 'backup', '--type=incr');
  await cluster.sql('insert into t select generate_series(1, 77)');
  await cluster.switchWal();
  await stanza.run(ours, 'expire', '--repo1-retention-archive=1', '--repo1-retention-archive-type=incr');
  const restored = await stanza.restore(ours, []);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(Number(await restored.value('select count(*) from t'))).toBe(1577);
  await restored.stop();
});

it('a dry run changes nothing, and marks every line', async () => {
  await stanza.run(ours, 'backup', '--type=full', '--no-expire-auto');
  // the server may still hand in the history file of its last backup
  const tree = () => listTree(stanza.repo).filter(line => !/\.backup [0-9a-f]{40}$/.test(line));
  const before = tree();
  const output = await run('expire', '--dry-run');
  expect(tree()).toEqual(before);
  expect(output.filter(line => line.includes('expire full backup set'))).toHaveLength(1);
  expect(output.filter(line => !line.includes('[DRY-RUN] '))).toEqual([]);
});

it('tells every decision with its reason at detail level', async () => {
  const [first = '', incr = '', last = ''] = await labels();
  const output = lines(
    await stanza.run(ours, '--log-level-console=detail', '--log-timestamp=n', 'expire', '--dry-run'),
  ).map(line => line.replace('[DRY-RUN] ', ''));
  const option = 'repo1-retention-full=1';
  expect(output).toContain(
    `DETAIL: repo1: backup ${first} expires: it is number 2 from the newest full backup, beyond ${option}`,
  );
  expect(output).toContain(`DETAIL: repo1: backup ${incr} expires: it depends on one that does`);
  expect(output).toContain(
    `DETAIL: repo1: backup ${last} stays: it is number 1 from the newest full backup, within ${option}`,
  );
  expect(output.filter(line => line.includes(`archive retention on backup ${last}, start = `))).toHaveLength(1);
});

it('that fails makes a backup fail that is complete all the same', async () => {
  // the second repository has no stanza, and the backup goes to the first
  const args = [
    'backup',
    '--type=full',
    `--repo2-path=${join(stanza.folder, 'repo2')}`,
    '--repo2-retention-full=1',
    '--log-level-console=info',
    '--log-level-stderr=off',
    '--log-timestamp=n',
    '--no-archive-check',
  ];
  const before = await labels();
  const { code, stdout } = await stanza.attempt(ours, args);
  expect(code, stdout).toBe(104);
  const output = lines(stdout);
  expect(output).toContain('INFO: backup command end: completed successfully');
  expect(output.join('\n')).toMatch(/ERROR: \[055\]: repo2: unable to load info file/);
  expect(output.slice(-2)).toEqual([
    'ERROR: [104]: expire command encountered 1 error(s), check the log file for details',
    'INFO: expire command end: aborted with exception [104]',
  ]);
  // the first repository was worked on
  const after = await labels();
  expect(after).toHaveLength(1);
  expect(before).not.toContain(after[0]);
  expect(readFileSync(join(stanza.folder, 'log', 'demo-backup.log'), 'utf8')).toContain('expire command begin');
});

it('never runs beside a backup', async () => {
  await cluster.sql('create table big as select i, md5(i::text) from generate_series(1, 300000) i');
  const backup = stanza.attempt(ours, ['backup', '--type=full', '--compress-type=gz', '--compress-level=9']);
  const lock = join(stanza.folder, 'lock', 'demo-backup-1.lock');
  while (!existsSync(lock)) await new Promise(resolve => setTimeout(resolve, 5));
  expect((await stanza.attempt(ours, ['expire'])).code).toBe(50);
  expect((await backup).code).toBe(0);
});
