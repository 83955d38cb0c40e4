/**
 * Repositories of pgBackRest 2.45, which did not know keys that 2.59.1 writes: one that it wrote long ago, one that the real
 * tool, of whatever release it is, writes now. And the first with keys taken away that came before 2.45.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha1 } from '../command/restore/backup-bed.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { withChecksum } from '../support/info-checksum.ts';
import { findRealPgbackrest, isSince } from '../support/real-pgbackrest.ts';
import type { Tool } from '../support/stanza.ts';
import { pages, TinyCluster } from '../support/tiny-cluster.ts';
import { giveTo, type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const judge = findRealPgbackrest();
const fixture = join(projectRoot(), 'test/fixture/old-repo');
const systemId = 7710470678863553953n;
let project: RunnableProject;
let root: string;

beforeAll(() => {
  project = runnableProject(user);
  root = makeTemporaryFolder(user, 'old-');
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
  project.remove();
});

/** What 2.45 said of its repository, and the SHA-1 of every file of each backup. */
interface Expected {
  readonly info: unknown;
  readonly backups: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface Old {
  readonly repo: string;
  readonly cluster: TinyCluster;
  readonly expected: Expected;
}

const run = (
  tool: Tool,
  { repo, cluster }: Pick<Old, 'repo' | 'cluster'>,
  args: readonly string[],
): Promise<RunResult> =>
  runAs(user, [
    ...tool,
    ...['--no-config', '--stanza=demo', `--repo1-path=${repo}`, '--no-log-timestamp', `--log-path=${root}`],
    ...(/^(stanza-create|backup)$/.test(args[0] ?? '') ? [`--pg1-path=${cluster.data}`, '--no-online'] : []),
    ...(/^(info|restore|stanza-create|backup|expire)$/.test(args[0] ?? '')
      ? [`--lock-path=${cluster.folder}/lock`]
      : []),
    ...(args[0] === 'backup' ? ['--repo1-retention-full=9', '--log-level-console=info'] : []),
    ...args,
  ]);

async function succeed(tool: Tool, old: Pick<Old, 'repo' | 'cluster'>, ...args: string[]): Promise<string> {
  const result = await run(tool, old, args);
  if (result.code !== 0) throw new Error(`${args.join(' ')}: ${result.code}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Every file below a data directory, but for two that a restore makes its own. */
function contentOf(data: string): Record<string, string> {
  const listed: Record<string, string> = {};
  const visit = (folder: string, name: string): void => {
    for (const entry of readdirSync(folder).sort()) {
      const path = join(folder, entry);
      if (statSync(path).isDirectory()) visit(path, `${name}${entry}/`);
      else if (!/^(postgresql\.auto\.conf|recovery\.signal)$/.test(entry))
        listed[name + entry] = sha1(readFileSync(path));
    }
  };
  visit(data, '');
  return listed;
}

const labelsOf = (repo: string): string[] =>
  readdirSync(join(repo, 'backup/demo'))
    .filter(name => /^\d{8}-\d{6}F/.test(name))
    .sort();
const nextSecond = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1100));

/** Lets the tool write a full, a diff, and in bundles a full and an incr. */
async function makeOld(tool: Tool, folder: string): Promise<Old> {
  const cluster = new TinyCluster(folder, user, systemId);
  const repo = join(folder, 'repo');
  const made = { repo, cluster };
  const backups: Record<string, Record<string, string>> = {};
  const backup = async (...args: string[]): Promise<void> => {
    await succeed(tool, made, 'backup', ...args);
    backups[labelsOf(repo).find(label => backups[label] === undefined) ?? ''] = contentOf(cluster.data);
    await nextSecond();
  };
  await succeed(tool, made, 'stanza-create');
  await backup('--type=full', '--compress-level=9');
  cluster.write('pg_hba.conf', '# hosts\n# more\n');
  cluster.write('base/5/1259', pages(2, 5));
  await backup('--type=diff');
  cluster.write('pg_hba.conf', '# hosts\n# more\n# in bundles\n');
  await backup('--type=full', '--repo1-bundle', '--compress-type=lz4');
  rmSync(join(cluster.data, 'base/5/16384'));
  cluster.write('postgresql.conf', '# settings\n# again\n');
  await backup('--type=incr', '--repo1-bundle', '--compress-type=lz4');
  return { ...made, expected: { info: JSON.parse(await succeed(tool, made, 'info', '--output=json')), backups } };
}

/** The repository that test/fixture keeps. */
async function keptOld(folder: string): Promise<Old> {
  const cluster = new TinyCluster(folder, user, systemId);
  execFileSync('tar', ['-xf', join(fixture, 'repo.tar.gz'), '--no-same-owner', '-C', folder]);
  if (user.foreign) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
  const expected = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8')) as Expected;
  return { repo: join(folder, 'repo'), cluster, expected };
}

/** What other versions than 2.45 write otherwise: these manifests mean the same. */
function takeKeysAway(repo: string, label: string): void {
  for (const copy of ['', '.copy']) {
    const path = join(repo, 'backup/demo', label, `backup.manifest${copy}`);
    const text = readFileSync(path, 'utf8')
      .replace(
        /^(backup-reference|option-(compress-type|backup-standby|checksum-page|delta|buffer-size|process-max|compress-level|compress-level-network))=.*\n/gm,
        '',
      )
      .replace(/"rck":"[0-9a-f]{40}",/g, '')
      // and what newer ones do write: the size of blocks of a file that is stored whole all the same
      .replace(/^(pg_data\/base\/5\/1259=\{)/m, '$1"bi":1,');
    writeFileSync(path, withChecksum(text));
    giveTo(user, path);
  }
}

type Kind = 'kept' | 'made now' | 'kept, with keys taken away';
const kinds: readonly Kind[] = [
  'kept',
  ...(judge === undefined ? [] : (['made now'] as const)),
  'kept, with keys taken away',
];

describe.each(kinds)('a repository that an older tool wrote, %s', kind => {
  let old: Old;
  let labels: string[];
  beforeAll(async () => {
    const folder = join(root, kind.replaceAll(/\W/g, '-'));
    old = kind === 'made now' && judge !== undefined ? await makeOld([judge.path], folder) : await keptOld(folder);
    labels = labelsOf(old.repo);
    if (kind === 'kept, with keys taken away') for (const label of labels.slice(0, 2)) takeKeysAway(old.repo, label);
  });

  const restored = async (tool: Tool, label: string): Promise<Record<string, string>> => {
    const target = join(root, `${kind.replaceAll(/\W/g, '-')}-${label}`);
    rmSync(target, { recursive: true, force: true });
    rmSync(`${target}-space`, { recursive: true, force: true });
    mkdirSync(target, { mode: 0o700 });
    giveTo(user, target);
    await succeed(
      tool,
      old,
      ...['restore', `--set=${label}`, '--type=none', `--pg1-path=${target}`],
      `--tablespace-map=16400=${target}-space`,
    );
    return contentOf(target);
  };

  it('is told by info as that tool told it', async () => {
    const [told] = JSON.parse(await succeed(project.command, old, 'info', '--output=json'));
    if (kind !== 'made now' || !isSince(judge, '2.56')) delete told.status.lock.restore;
    expect([told]).toEqual(old.expected.info);
  });

  it('is sound', async () => {
    const output = await succeed(project.command, old, 'verify', '--output=text', '--verbose');
    for (const label of labels) expect(output).toContain(`backup: ${label}, status: valid`);
    expect(output).not.toMatch(/invalid: [1-9]|missing: [1-9]|mismatch: [1-9]/);
  });

  it('gives every backup back', async () => {
    expect(labels).toHaveLength(4);
    for (const label of labels)
      expect(await restored(project.command, label), label).toEqual(old.expected.backups[label]);
  });

  it('shows its manifests', async () => {
    const [full = '', diff = ''] = labels;
    const output = await succeed(project.command, old, 'manifest', `--set=${diff}`, '--output=json');
    const checksum = old.expected.backups[full]?.PG_VERSION;
    expect(JSON.parse(output).fileList).toContainEqual(
      expect.objectContaining({ name: 'pg_data/PG_VERSION', checksum, reference: full }),
    );
  });

  it('is continued by us, after a diff and after an incr in bundles', async () => {
    const { cluster } = old;
    for (const [name, ...args] of [
      ['incr', '--type=incr', '--repo1-bundle'],
      ['diff', '--type=diff', '--repo1-bundle', '--delta'],
    ]) {
      cluster.write('pg_hba.conf', `# changed for ${name}\n`);
      await nextSecond();
      const output = await succeed(project.command, old, 'backup', ...args);
      expect(output).toMatch(/last backup label = |new backup label = /);
      const made = labelsOf(old.repo).at(-1) ?? '';
      expect(labels).not.toContain(made);
      expect(made.slice(0, 16)).toBe(labels[2]);
      for (const tool of [project.command, ...(judge === undefined ? [] : [[judge.path]])]) {
        expect(await restored(tool, made)).toEqual(contentOf(cluster.data));
      }
    }
  });

  it('loses the first set when one is to be kept', async () => {
    await succeed(project.command, old, 'expire', '--repo1-retention-full=1');
    expect(labelsOf(old.repo).map(label => label.slice(0, 16))).toEqual(Array(4).fill(labels[2]));
    const newest = labelsOf(old.repo).at(-1) ?? '';
    expect(await restored(project.command, newest)).toEqual(contentOf(old.cluster.data));
  });
});

describe('a backup that another version did not end', () => {
  it('of 2.45: we say why it cannot be resumed, and remove it', async () => {
    const old = await keptOld(join(root, 'resume'));
    const label = `${new Date().getFullYear() - 1}1231-235959F`;
    const folder = join(old.repo, 'backup/demo');
    // as a full backup is whose process was killed
    execFileSync('cp', ['-a', join(folder, labelsOf(old.repo)[0] ?? ''), join(folder, label)]);
    rmSync(join(folder, label, 'backup.manifest'));
    for (const name of labelsOf(old.repo)) if (name > label) rmSync(join(folder, name), { recursive: true });
    rename(old, label);
    const output = await succeed(project.command, old, 'backup', '--type=full', '--compress-type=gz');
    expect(output).toMatch(
      new RegExp(
        `WARN: backup '${label}' cannot be resumed: new pgBackRest version '.*' does not match resumable pgBackRest version '2\\.45'`,
      ),
    );
    expect(labelsOf(old.repo)).not.toContain(label);
    const made = labelsOf(old.repo).at(-1) ?? '';
    const target = join(root, 'resumed');
    await succeed(
      project.command,
      old,
      'restore',
      `--pg1-path=${target}`,
      `--set=${made}`,
      '--type=none',
      `--tablespace-map=16400=${target}-space`,
    );
    expect(contentOf(target)).toEqual(contentOf(old.cluster.data));
  });
});

/** Gives the copy of a manifest another label. */
function rename({ repo }: Old, label: string): void {
  const path = join(repo, 'backup/demo', label, 'backup.manifest.copy');
  writeFileSync(
    path,
    withChecksum(readFileSync(path, 'utf8').replace(/^backup-label=.*$/m, `backup-label="${label}"`)),
  );
  giveTo(user, path);
}

const wanted = process.env.PGBACKSTOP_OLD_REPO;
if (wanted !== undefined && judge !== undefined) {
  it('makes the repository that is kept', async () => {
    const { repo, expected } = await makeOld([judge.path], join(root, 'new'));
    rmSync(join(repo, 'backup/demo/backup.history'), { recursive: true });
    execFileSync('tar', [
      ...['-czf', join(wanted, 'repo.tar.gz'), '--owner=0', '--group=0'],
      ...['-C', join(repo, '..'), 'repo'],
    ]);
    writeFileSync(join(wanted, 'expected.json'), `${JSON.stringify(expected)}\n`);
  });
}
