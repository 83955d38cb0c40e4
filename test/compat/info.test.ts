/** Our `info` beside the real one on the same repositories, and each tool's stanza in the hands of the other. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectLock } from '../../src/base/lock.ts';
import { TestCluster } from '../support/cluster.ts';
import { comparableInfo } from '../support/comparable-info.ts';
import { isSince, requireCompat } from '../support/real-pgbackrest.ts';
import type { RunResult } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const real = requireCompat();

/**
 * The text of both in one form, where the real tool is older than the level that we follow. 2.45
 * - prints no time zone;
 * - always lists the references, where newer releases count them unless a set is asked for;
 * - keeps the `.0` of a size that was rounded to it.
 */
function commonText(text: string): string {
  if (isSince(real, '2.59')) return text;
  return text
    .replace(/^( +timestamp start\/stop: \S+ \S{8})\S* \/ (\S+ \S{8})\S*$/gm, '$1 / $2')
    .replace(/(\d)\.0([KMG]B)/g, '$1$2')
    .replace(/^ +backup reference (list|total): .*$/gm, '            (references)');
}

describe.skipIf(real === undefined)('info beside the real tool', () => {
  let cluster: TestCluster;
  let project: RunnableProject;
  let config: string;
  const labels: string[] = [];

  const ours = (...args: string[]): Promise<RunResult> =>
    cluster.run([...project.command, `--config=${config}`, ...args]);
  const theirs = (...args: string[]): Promise<RunResult> =>
    cluster.run([real?.path ?? '', `--config=${config}`, ...args]);
  const good = async (result: Promise<RunResult>): Promise<string> => {
    const { code, stdout, stderr } = await result;
    expect(code, stdout + stderr).toBe(0);
    return stdout;
  };

  beforeAll(async () => {
    // 2.45 knows versions up to 15
    cluster = await TestCluster.create({ version: '15' });
    project = runnableProject(cluster.user);
    config = join(cluster.root, 'config');
    for (const folder of ['lock', 'log-path', 'ts']) cluster.makeFolder(folder);
    cluster.writeFile(
      'config',
      [
        '[global]',
        `repo1-path=${cluster.root}/repo1`,
        `repo2-path=${cluster.root}/repo2`,
        'repo2-cipher-type=aes-256-cbc',
        'repo2-cipher-pass=sekret',
        'repo2-bundle=y',
        'repo1-retention-full=9',
        'repo2-retention-full=9',
        `lock-path=${cluster.root}/lock`,
        `log-path=${cluster.root}/log-path`,
        'start-fast=y',
        'log-level-console=warn',
        '[demo]',
        `pg1-path=${cluster.dataDirectory}`,
        `pg1-port=${cluster.port}`,
        `pg1-socket-path=${cluster.socketDirectory}`,
        '',
      ].join('\n'),
    );
    cluster.configure({
      archive_mode: true,
      archive_command: `${real?.path} --config=${config} --stanza=demo archive-push %p`,
    });
    await cluster.start();
    await cluster.sql('create table t (i int); insert into t select generate_series(1, 1000)');
    await cluster.sql(`create tablespace ts1 location '${cluster.root}/ts'`);
  });

  afterAll(async () => {
    await cluster?.dispose();
    project?.remove();
  });

  const same = async (...args: string[]): Promise<void> => {
    const json = [
      await good(ours('info', '--output=json', ...args)),
      await good(theirs('info', '--output=json', ...args)),
    ];
    expect(comparableInfo(json[0] ?? '')).toEqual(comparableInfo(json[1] ?? ''));
    const text = [await good(ours('info', ...args)), await good(theirs('info', ...args))];
    expect(commonText(text[0] ?? '')).toBe(commonText(text[1] ?? ''));
  };

  it('nothing is there yet', async () => {
    await same();
    await same('--stanza=demo');
  });

  it('the real tool checks and backs up into a stanza that we created', async () => {
    expect(await good(ours('stanza-create', '--stanza=demo'))).toBe('');
    await same();
    expect(await good(theirs('stanza-create', '--stanza=demo'))).toBe('');
    expect(await good(theirs('check', '--stanza=demo'))).toBe('');
    await good(
      theirs('backup', '--stanza=demo', '--repo=1', '--type=full', '--annotation=who=they', '--annotation=a=b'),
    );
    await cluster.sql('insert into t select generate_series(1, 1000)');
    await good(theirs('backup', '--stanza=demo', '--repo=2', '--type=full'));
    await good(theirs('backup', '--stanza=demo', '--repo=1', '--type=diff'));
    await good(theirs('backup', '--stanza=demo', '--repo=1', '--type=incr'));
    const [stanza] = JSON.parse(await good(theirs('info', '--output=json')));
    labels.push(...stanza.backup.map((backup: { label: string }) => backup.label));
    expect(labels).toHaveLength(4);
  });

  it('we tell of it as the real tool does', async () => {
    await same();
    await same('--stanza=demo');
    await same('--repo=2');
    await same('--type=full');
    await same('--stanza=demo', '--set=20200101-000000F');
    for (const label of labels) await same('--stanza=demo', `--set=${label}`);
    for (const label of labels) await same('--stanza=demo', `--set=${label}`, '--repo=1');
  });

  it('we check it, also when the real tool made the stanza', async () => {
    expect(await good(ours('check', '--stanza=demo'))).toBe('');
    const fresh = [`--repo1-path=${cluster.root}/repo3`, `--repo2-path=${cluster.root}/repo4`, '--stanza=demo'];
    await good(theirs('stanza-create', ...fresh));
    expect(await good(ours('stanza-create', ...fresh, '--log-level-console=info'))).toContain(
      "stanza 'demo' already exists on repo2 and is valid\n",
    );
  });

  it('the real tool heeds our stop, and we its', async () => {
    await good(ours('stop', '--stanza=demo'));
    expect((await theirs('stanza-create', '--stanza=demo')).code).toBe(62);
    await good(theirs('start', '--stanza=demo'));
    await good(theirs('stop'));
    expect((await ours('stanza-create', '--stanza=demo')).code).toBe(62);
    await good(ours('start'));
    await good(ours('stanza-create', '--stanza=demo'));
  });

  /** Starts a backup, waits until the other tool's info sees it run, does something, and gives the backup's end. */
  const whileBackupRuns = async (
    backup: Promise<RunResult>,
    info: typeof ours,
    then: () => Promise<unknown>,
    until = 'running',
  ): Promise<RunResult> => {
    let ended = false;
    const end = backup.finally(() => {
      ended = true;
    });
    let seen = '';
    while (!ended && !seen.includes(until)) seen = await good(info('info', '--stanza=demo'));
    expect(seen).toMatch(/^stanza: demo\n {4}status: ok \(backup\/expire running( - [0-9.]+% complete)?\)\n/);
    await then();
    return await end;
  };
  const slowBackup = ['backup', '--stanza=demo', '--repo=1', '--type=full'];

  it('a backup of the real tool is seen while it runs', async () => {
    await cluster.sql('insert into t select generate_series(1, 300000)');
    expect((await whileBackupRuns(theirs(...slowBackup), ours, async () => undefined)).code).toBe(0);
    await same();
  });

  it('each tool ends the backup of the other with stop --force', async () => {
    for (const [backup, other] of [
      [theirs, ours],
      [ours, theirs],
    ] as const) {
      const { code } = await whileBackupRuns(
        backup(...slowBackup),
        other,
        async () => {
          const said = await good(other('stop', '--stanza=demo', '--force', '--log-level-console=info'));
          expect(said.match(/sent term signal to process \d+\n/g), said).toHaveLength(1);
          // it copies already: before that it would meet the stop file, and end by that
        },
        '% complete',
      );
      expect(code).toBe(63);
      await good(other('start', '--stanza=demo'));
      // a worker process of the real tool can outlive it for seconds, with the lock in its hands
      const lock = join(cluster.root, 'lock/demo-backup-1.lock');
      await expect.poll(() => inspectLock(lock).state, { timeout: 60_000 }).not.toBe('held');
    }
    await same();
  });
});
