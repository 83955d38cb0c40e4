/** stanza-create, check, stop and start of the built program, on real clusters. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgeControl } from '../postgres/forge.ts';
import { TestCluster } from '../support/cluster.ts';
import { giveTo, type RunResult } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let cluster: TestCluster;
let standby: TestCluster;
let project: RunnableProject;
let config: string;

const pg = (key: number, on: TestCluster, data = on.dataDirectory): string =>
  `pg${key}-path=${data}\npg${key}-port=${on.port}\npg${key}-socket-path=${on.socketDirectory}\n`;

beforeAll(async () => {
  cluster = await TestCluster.create();
  project = runnableProject(cluster.user);
  config = join(cluster.root, 'config');
  const archiveCommand = `${project.command.join(' ')} --config=${config} --stanza=demo archive-push %p`;
  cluster.configure({ archive_mode: true, archive_command: archiveCommand });
  await cluster.start();
  standby = await cluster.createStandby();
  // a data directory that looks like a cluster, but is not the one that runs
  cluster.makeFolder('other');
  mkdirSync(join(cluster.root, 'other', 'global'));
  for (const file of ['PG_VERSION', 'global/pg_control']) {
    copyFileSync(join(cluster.dataDirectory, file), join(cluster.root, 'other', file));
    giveTo(cluster.user, join(cluster.root, 'other', file));
  }
  giveTo(cluster.user, join(cluster.root, 'other', 'global'));
  cluster.writeFile(
    'config',
    [
      '[global]',
      `repo1-path=${cluster.root}/repo1`,
      `repo2-path=${cluster.root}/repo2`,
      'repo2-cipher-type=aes-256-cbc',
      'repo2-cipher-pass=sekret',
      `lock-path=${cluster.root}/lock`,
      `log-path=${cluster.root}/log-path`,
      'log-level-console=info',
      'log-timestamp=n',
      'archive-timeout=30s',
      '',
      `[demo]\n${pg(1, cluster)}`,
      `[demo-standby]\n${pg(1, cluster)}${pg(2, standby)}`,
      `[mixed-up]\n${pg(1, cluster, join(cluster.root, 'other'))}`,
    ].join('\n'),
  );
});

afterAll(async () => {
  await standby?.dispose();
  await cluster?.dispose();
  project?.remove();
});

const run = (...args: string[]): Promise<RunResult> => cluster.run([...project.command, `--config=${config}`, ...args]);

/** The lines between begin and end, which hold options and process numbers. */
function said(result: RunResult): string[] {
  const lines = result.stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^P00 {3}INFO: [a-z-]+ command begin /);
  expect(lines.at(-1)).toMatch(/^P00 {3}INFO: [a-z-]+ command end: /);
  return lines.slice(1, -1);
}

describe('a stanza of a running cluster', () => {
  it('check before stanza-create says what to do', async () => {
    const result = await run('check', '--stanza=demo');
    expect(result.code).toBe(55);
    expect(result.stdout).toContain('HINT: has a stanza-create been performed?');
  });

  it('is created in both repositories', async () => {
    const result = await run('stanza-create', '--stanza=demo');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(said(result)).toEqual([
      "P00   INFO: stanza-create for stanza 'demo' on repo1",
      "P00   INFO: stanza-create for stanza 'demo' on repo2",
    ]);
    for (const repo of ['repo1', 'repo2']) {
      for (const kind of ['archive', 'backup']) {
        const path = join(cluster.root, repo, kind, 'demo', `${kind}.info`);
        expect(readFileSync(path)).toEqual(readFileSync(`${path}.copy`));
      }
    }
    expect(readFileSync(join(cluster.root, 'repo1/backup/demo/backup.info'), 'utf8')).toContain(
      `db-system-id=${await cluster.value('select system_identifier from pg_control_system()')}\n`,
    );
    // the locks are gone with the command
    expect(existsSync(join(cluster.root, 'lock/demo-backup-1.lock'))).toBe(false);
  });

  it('is valid when it is created once more', async () => {
    expect(said(await run('stanza-create', '--stanza=demo'))).toEqual([
      "P00   INFO: stanza-create for stanza 'demo' on repo1",
      "P00   INFO: stanza 'demo' already exists on repo1 and is valid",
      "P00   INFO: stanza-create for stanza 'demo' on repo2",
      "P00   INFO: stanza 'demo' already exists on repo2 and is valid",
    ]);
  });

  it('check waits for a segment in each repository and names it', async () => {
    const before = await cluster.walName();
    const result = await run('check', '--stanza=demo');
    expect(result.code, result.stdout).toBe(0);
    const archived = (repo: number) =>
      expect.stringMatching(
        new RegExp(
          `^P00 {3}INFO: WAL segment ${before} successfully archived to '${cluster.root}/repo${repo}/archive/demo/[0-9.]+-1/[0-9A-F]{16}/${before}-[0-9a-f]{40}\\.gz' on repo${repo}$`,
        ),
      );
    // the archiver sleeps after the failures that were there before the stanza was: then its WAL is told of
    const waiting =
      /^P00 {3}INFO: repo[12]: \d+ WAL segment\(s\) \(\d+MB\) wait to be archived, the oldest of them, [0-9A-F]{24}, for \d+s$/;
    expect(said(result).filter(line => !waiting.test(line))).toEqual([
      'P00   INFO: check repo1 configuration (primary)',
      'P00   INFO: check repo2 configuration (primary)',
      'P00   INFO: check repo1 archive for WAL (primary)',
      archived(1),
      'P00   INFO: check repo2 archive for WAL (primary)',
      archived(2),
    ]);
  });

  it('check with another server’s data directory: 58', async () => {
    const result = await run('check', '--stanza=mixed-up');
    expect(result.code).toBe(58);
    expect(result.stdout).toContain(`and path '${cluster.dataDirectory}' queried from cluster do not match version`);
    expect((await run('stanza-create', '--stanza=mixed-up')).code).toBe(58);
    expect(existsSync(join(cluster.root, 'repo1/backup/mixed-up'))).toBe(false);
  });

  it('check of every stanza ends at the first that fails', async () => {
    const result = await run('check');
    expect(result.code).toBe(55);
    const lines = said(result);
    expect(lines[0]).toBe("P00   INFO: check stanza 'demo'");
    expect(lines).toContain("P00   INFO: check stanza 'demo-standby'");
    expect(lines).not.toContain("P00   INFO: check stanza 'mixed-up'");
  });

  it('a wrong passphrase is an error that does not tell it', async () => {
    const result = await cluster.run([...project.command, `--config=${config}`, '--stanza=demo', 'check'], {
      env: { PGBACKREST_REPO2_CIPHER_PASS: 'not this' },
    });
    expect(result.code).not.toBe(0);
    expect(result.stdout).toContain(`unable to load info file '${cluster.root}/repo2/archive/demo/archive.info'`);
    expect(result.stdout + result.stderr).not.toMatch(/not this|sekret/);
  });

  it('info files of another cluster: 28', async () => {
    const others = [`--repo1-path=${cluster.root}/repo3`, `--repo2-path=${cluster.root}/repo4`];
    const control = join(cluster.root, 'other/global/pg_control');
    writeFileSync(control, forgeControl(cluster.binaries.version, { systemId: 5n }));
    const offline = ['--no-online', `--pg1-path=${join(cluster.root, 'other')}`];
    expect((await run('stanza-create', '--stanza=demo', ...others, ...offline)).code).toBe(0);
    for (const command of ['check', 'stanza-create']) {
      const result = await run(command, '--stanza=demo', ...others);
      expect(result.code).toBe(28);
      expect(result.stdout).toContain('backup and archive info files exist but do not match the database');
    }
  });
});

describe('a standby', () => {
  it('is checked with its primary', async () => {
    expect((await run('stanza-create', '--stanza=demo-standby')).code).toBe(0);
    const result = await run('check', '--stanza=demo-standby', '--archive-timeout=1s');
    expect(said(result).slice(0, 5)).toEqual([
      'P00   INFO: check repo1 (standby)',
      'P00   INFO: check repo2 (standby)',
      'P00   INFO: switch wal not performed because this is a standby',
      'P00   INFO: check repo1 configuration (primary)',
      'P00   INFO: check repo2 configuration (primary)',
    ]);
    // the archive_command is the one of stanza demo
    expect(result.code).toBe(82);
  });

  it('alone is not enough where the repository is local', async () => {
    const result = await cluster.run([
      ...project.command,
      '--no-config',
      `--repo1-path=${cluster.root}/repo1`,
      '--stanza=demo',
      `--pg1-path=${standby.dataDirectory}`,
      `--pg1-port=${standby.port}`,
      `--pg1-socket-path=${standby.socketDirectory}`,
      'check',
    ]);
    expect(result.code).toBe(27);
    expect(result.stdout).toContain('primary database not found');
  });

  it('cannot have a stanza created from it', async () => {
    const result = await run(
      'stanza-create',
      '--stanza=demo',
      `--pg1-path=${standby.dataDirectory}`,
      `--pg1-port=${standby.port}`,
      `--pg1-socket-path=${standby.socketDirectory}`,
    );
    expect(result.code).toBe(56);
    expect(result.stdout).toContain('unable to find primary cluster - cannot proceed');
  });

  it('that is wanted and not configured is warned of', async () => {
    const result = await run('check', '--stanza=demo', '--backup-standby=y');
    expect(result.code).toBe(0);
    expect(said(result)[0]).toBe(
      "P00   WARN: option 'backup-standby' is enabled but standby is not properly configured",
    );
  });
});

describe('archiving that does not work', () => {
  const withCommand = async (command: string): Promise<RunResult> => {
    await cluster.sql(`alter system set archive_command = '${command}'`);
    await cluster.reload();
    await cluster.waitFor(`select current_setting('archive_command') = '${command}'`);
    try {
      return await run('check', '--stanza=demo', '--archive-timeout=500ms');
    } finally {
      await cluster.sql('alter system reset archive_command');
      await cluster.reload();
      await cluster.waitFor(`select current_setting('archive_command') <> '${command}'`);
    }
  };

  it('another archive_command: 68', async () => {
    const result = await withCommand('true');
    expect(result.code).toBe(68);
    expect(result.stdout).toContain("archive_command 'true' must contain ");
  });

  it('an archive_command that fails: 82 with what to look at', async () => {
    const result = await withCommand('false # pgbackrest');
    expect(result.code).toBe(82);
    expect(result.stdout).toMatch(
      /ERROR: \[082\]: WAL segment [0-9A-F]{24} was not archived before the 500ms timeout\n/,
    );
    const [warning = '', failure = ''] = result.stdout.split(/(?=ERROR: )/);
    expect(warning).toMatch(
      /WARN: archive_command has failed for '[0-9A-F]{24}' at .*\n +HINT: the server's log says why\.\n/,
    );
    expect(failure.match(/HINT: /g)).toHaveLength(3);
  });

  it('a stopped stanza does not archive, a started one does', async () => {
    expect((await run('stop', '--stanza=demo')).code).toBe(0);
    expect((await run('check', '--stanza=demo', '--archive-timeout=500ms')).code).toBe(82);
    expect((await run('stanza-create', '--stanza=demo')).code).toBe(62);
    expect((await run('start', '--stanza=demo')).code).toBe(0);
    expect((await run('check', '--stanza=demo', '--archive-timeout=120s')).code).toBe(0);
  });

  it('archive_mode off: 87; without archive-check it is not looked at', async () => {
    await cluster.sql('alter system set archive_mode = off');
    await cluster.restart();
    const result = await run('check', '--stanza=demo');
    expect(result.code).toBe(87);
    expect(result.stdout).toContain('archive_mode must be enabled');
    expect((await run('check', '--stanza=demo', '--no-archive-check', '--archive-timeout=500ms')).code).toBe(82);
  });
});
