/** Several repositories in the hands of both tools: the same lines, exit codes and files, run for run. */
import { execFileSync } from 'node:child_process';
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { comparableInfo } from '../support/comparable-info.ts';
import { Archiver, listTree, TestStanza, type Tool } from '../support/stanza.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';
import { binaries, canCompare, realTool } from './support.ts';

/** 2.45 prints to stderr what the level that we follow prints to stdout, and has other hints. */
const quiet = { 'log-level-console': 'info', 'log-level-stderr': 'off', 'log-timestamp': 'n' };
const keys = [1, 3, 256];

/**
 * The lines of both in one form: versions, and numbers that no two runs share. The name of a program is in restore_command
 * only. Warnings without a place of their own are told by 2.45 before the last repository, and by us at the end.
 */
function comparable(text: string): string[] {
  return text
    .replace(/\n +HINT: .*/g, '')
    .replace(/begin [0-9.]+:/g, 'begin V:')
    .replace(/--exec-id=\S+/g, '--exec-id=X')
    .replace(/last backup label = (\S+), version = [0-9.]+/g, 'last backup label = $1')
    .replace(/^( +timestamp start\/stop: \S+ \S{8})\S* \/ (\S+ \S{8})\S*$/gm, '$1 / $2')
    .replace(/(\d)\.0([KMG]B)/g, '$1$2')
    .replace(/^ +backup reference (list|total): .*$/gm, '(references)')
    .split('\n');
}

describe.skipIf(!canCompare)('several repositories beside the real tool', () => {
  let cluster: TestCluster;
  let project: RunnableProject;
  let stanza: TestStanza;
  let ours: Tool;
  let real: Tool;
  /** Newest full backup of each repository. */
  const labels = new Map<number, string>();

  beforeAll(async () => {
    if (binaries === undefined) throw new Error('not to be run');
    cluster = await TestCluster.create({ binaries });
    project = runnableProject(cluster.user);
    [ours, real] = [project.command, [realTool()]];
    stanza = new TestStanza(cluster, 'a', {
      ...quiet,
      'archive-timeout': 10,
      'compress-type': 'lz4',
      'repo1-path': join(cluster.root, 'a/w/repo1'),
      'repo1-bundle': 'y',
      'repo3-path': join(cluster.root, 'a/w/repo3'),
      'repo3-cipher-type': 'aes-256-cbc',
      'repo3-cipher-pass': 'sekret',
      'repo3-bundle': 'y',
      'repo3-retention-full': 1,
      'repo256-path': join(cluster.root, 'a/w/repo256'),
      'repo256-bundle': 'y',
      'repo256-retention-full': 1,
    });
    const archiver = new Archiver(cluster);
    archiver.use(stanza, real);
    await stanza.run(ours, 'stanza-create', '--no-online');
    await cluster.start();
    // who backs up does not matter: both tools read what the other wrote
    const said = await stanza.run(ours, 'backup', '--type=full');
    expect(said).toContain('INFO: repo option not specified, defaulting to repo1\n');
    for (const [index, key] of [3, 256].entries()) {
      const tool = index === 0 ? real : ours;
      expect(await stanza.run(tool, 'backup', '--type=full', `--repo=${key}`)).not.toContain(
        'repo option not specified',
      );
    }
    const [info] = JSON.parse(await stanza.run(ours, 'info', '--output=json'));
    for (const { label, database } of info.backup) labels.set(database['repo-key'], label);
    expect([...labels.keys()].sort((a, b) => a - b)).toEqual(keys);
    // what was archived meanwhile must not differ between two runs
    archiver.pause();
    execFileSync('cp', ['-a', folder(), join(stanza.folder, 'saved')]);
  });

  afterAll(async () => {
    await stanza?.dispose();
    await cluster?.dispose();
    project?.remove();
  });

  const folder = (): string => join(stanza.folder, 'w');

  function putBack(): void {
    rmSync(folder(), { recursive: true, force: true });
    execFileSync('cp', ['-a', join(stanza.folder, 'saved'), folder()]);
  }

  /** Everything but what the info files hold byte for byte: the tools put their versions there. */
  const tree = (): string[] =>
    listTree(folder(), name => (/\.info(\.copy)?$|restored/.test(name) ? 'name only' : 'all'));

  /** Runs both tools on the same repositories. @returns what ours said */
  async function same(args: readonly string[], breakIt: () => void = () => undefined): Promise<string> {
    const results = [];
    for (const tool of [real, ours]) {
      putBack();
      breakIt();
      const { code, stdout, stderr } = await stanza.attempt(tool, args);
      const isJson = stdout.startsWith('[{');
      results.push({
        code,
        said: isJson ? comparableInfo(stdout) : comparable(stdout.replaceAll('restored-real', 'restored')),
        stderr,
        tree: tree(),
        stdout,
      });
    }
    const [theirs, own] = results;
    const { stdout: _, ...expected } = theirs ?? { stdout: '' };
    expect(own, args.join(' ')).toMatchObject(expected);
    return own?.stdout ?? '';
  }

  const label = (key: number): string => labels.get(key) ?? '';

  it('info: all, one, one set that only one repository has', async () => {
    await same(['info']);
    await same(['info', '--output=json']);
    await same(['info', '--repo=3']);
    await same(['info', '--repo=256', '--output=json']);
    await same(['info', `--set=${label(3)}`]);
    await same(['info', `--set=${label(3)}`, '--repo=1', '--output=json']);
  });

  const broken: readonly (readonly [string, (path: string) => void])[] = [
    ['gone', path => renameSync(path, `${path}-away`)],
    [
      'without its info files',
      path => rmSync(join(path, 'backup/demo/backup.info')) ?? rmSync(join(path, 'backup/demo/backup.info.copy')),
    ],
    ['that nobody may read', path => chmodSync(join(path, 'backup'), 0)],
  ];
  it.each(broken)(
    'the first repository is one %s: info, expire, annotate go on with the others',
    async (what, breakOne) => {
      const breakIt = () => breakOne(join(folder(), 'repo1'));
      const said = await same(['info'], breakIt);
      expect(said).toContain('    status: mixed\n        repo1: error (');
      expect(said).toContain('        repo3: ok\n        repo256: ok\n');
      // where 2.45 puts its hints differs
      if (!what.includes('read')) await same(['info', '--output=json'], breakIt);
      const expired = await same(['expire'], breakIt);
      expect(expired).toMatch(/ERROR: \[0\d\d\]: repo1: .*(\n .*)*\n.* INFO: repo3: 15-1 no archive to remove\n/);
      expect(expired).toContain('ERROR: [104]: expire command encountered 1 error(s), check the log file for details');
      // 2.45 writes the changed backup.info of the third repository into the first
      putBack();
      breakIt();
      const { code, stdout } = await stanza.attempt(ours, ['annotate', `--set=${label(3)}`, '--annotation=a=b']);
      expect([code, stdout]).toEqual([104, expect.stringContaining('found in repo3\n')]);
      expect(await stanza.run(ours, 'info', '--repo=3', `--set=${label(3)}`)).toContain('a: b');
    },
  );

  it('verify, repo-ls, repo-get, manifest take the first repository, or the one asked for', async () => {
    expect(await same(['verify', '--output=text', '--verbose'])).not.toContain('status: error');
    await same(['verify', '--repo=3', '--log-level-console=detail']);
    for (const args of [
      ['repo-ls', 'backup/demo'],
      ['repo-ls', '--repo=3', '--output=json', 'archive'],
      ['repo-get', '--repo=3', 'archive/demo/archive.info'],
    ]) {
      await same(args);
    }
    expect((await stanza.attempt(ours, ['manifest', '--repo=3', `--set=${label(3)}`])).code).toBe(0);
    expect((await stanza.attempt(ours, ['manifest', `--set=${label(3)}`])).code).toBe(55);
  });

  it('expire and annotate: all repositories, or one', async () => {
    await same(['expire']);
    await same(['expire', '--repo=256', '--dry-run']);
    expect(await same(['expire', `--set=${label(3)}`, '--repo=3'])).toContain('cannot be expired until another full');
    await same(['expire', `--set=${label(1)}`, '--repo=1']);
    await same(['annotate', `--set=${label(256)}`, '--annotation=a=b']);
    await same(['annotate', `--set=${label(256)}`, '--annotation=a=b', '--repo=1']);
  });

  it('stanza commands and stop', async () => {
    expect(await same(['stanza-create', '--no-online'])).toContain('already exists on repo256 and is valid\n');
    await same(['stanza-upgrade', '--no-online']);
    await same(['stanza-delete']);
    await same(['stanza-delete', '--repo=3']);
    await stanza.run(ours, 'stop');
    expect(await same(['stanza-delete', '--repo=3'])).toContain('postmaster.pid exists');
    await stanza.attempt(ours, ['start']);
  });

  it('restore: the first repository with a usable backup; a set that only a later one has', async () => {
    const restore = (tool: Tool, args: readonly string[]) => {
      const data = stanza.newDataDirectory();
      rmSync(data, { recursive: true, force: true });
      cluster.makeFolder(data.slice(cluster.root.length + 1), 0o700);
      return stanza.attempt(tool, ['restore', `--pg1-path=${data}`, ...args]);
    };
    const both = async (args: readonly string[], breakIt: () => void = () => undefined): Promise<string> => {
      const lines = [];
      for (const tool of [real, ours]) {
        putBack();
        breakIt();
        const { code, stdout } = await restore(tool, args);
        lines.push([`${code}`, ...comparable(stdout.replace(/restored-\d+/g, 'restored'))]);
      }
      expect(lines[1], args.join(' ')).toEqual(lines[0]);
      return (lines[1] ?? []).join('\n');
    };
    const corrupt = () => {
      for (const copy of ['', '.copy']) writeFileSync(join(folder(), `repo1/backup/demo/backup.info${copy}`), '');
    };
    expect(await both([])).toContain(`INFO: repo1: restore backup set ${label(1)},`);
    expect(await both([`--set=${label(256)}`])).toContain(`INFO: repo256: restore backup set ${label(256)},`);
    expect(await both(['--repo=3'])).toContain(`INFO: repo3: restore backup set ${label(3)},`);
    const gone = () => renameSync(join(folder(), 'repo1'), join(folder(), 'repo1-away'));
    expect(await both([], gone)).toMatch(/WARN: repo1: \[FileMissingError\][\s\S]*INFO: repo3: restore backup set /);
    expect(await both(['--repo=1'], gone)).toContain('ERROR: [075]: no backup set found to restore');
    expect(await both([`--set=${label(3)}`], gone)).toContain('INFO: repo3: restore backup set ');
    putBack();
    corrupt();
    expect((await restore(ours, [])).stdout).toMatch(
      /WARN: repo1: \[[A-Za-z]+Error\][\s\S]*INFO: repo3: restore backup set /,
    );
    // 2.45 gives up when one cannot even be opened
    const s3 = ['type=s3', 's3-bucket=b', 's3-endpoint=e', 's3-region=r', 'storage-ca-file=/nowhere/ca.crt'];
    const unopened = await restore(ours, [...s3.map(option => `--repo1-${option}`), '--repo1-path=/x']);
    expect(unopened.stdout).toMatch(/WARN: repo1: \[CryptoError\][\s\S]*INFO: repo3: restore backup set /);
    expect(unopened.code).toBe(0);
    // the target decides in which repository the first set is that fits
    const [info] = JSON.parse(await stanza.run(ours, 'info', '--output=json', '--repo=256'));
    const time = new Date((info.backup[0].timestamp.stop + 1) * 1000)
      .toISOString()
      .replace('T', ' ')
      .replace(/\.\d+Z/, '+00');
    expect(await both(['--type=time', `--target=${time}`, '--repo=256'])).toContain(
      'INFO: repo256: restore backup set ',
    );
    expect(await both(['--type=time', '--target=2020-01-01 00:00:00+00'])).toContain(
      '[075]: unable to find backup set',
    );
  });
});
