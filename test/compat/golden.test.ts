/**
 * Repositories that pgBackRest 2.59.1 wrote, restored by us to what it restored itself. One is in test/fixture/repo; a folder
 * with more of the same make (NAME/repo.tar.zst, NAME/pgbackrest.conf, NAME/expected) is named by PGBACKSTOP_FIXTURES.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryFolder, TestCluster } from '../support/cluster.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { type RunResult, runAs, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const postgres15 = await postgresOf('15', user);
const small = join(projectRoot(), 'test', 'fixture', 'repo', 'plain-gz');
const given = process.env.PGBACKSTOP_FIXTURES;

/** How rows-at-golden.md5 was taken. */
const rowsQuery = `select md5(string_agg(t,'|' order by t)) from
  (select i||v||pad t from big union all select i||t from ts union all select 'l'||a from late) s`;

let project: RunnableProject;
let work: string;
beforeAll(() => {
  project = runnableProject(user);
  work = makeTemporaryFolder(user, 'golden-');
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
  project.remove();
});

/** A golden repository, unpacked below the work folder. */
class Golden {
  readonly name: string;
  readonly source: string;

  constructor(source: string) {
    this.source = source;
    this.name = basename(source);
  }

  get #expected(): string {
    return join(this.source, 'expected');
  }

  get labels(): string[] {
    const names = readdirSync(this.#expected).map(name => /^restored-(.*)\.sha1$/.exec(name)?.[1]);
    return names.filter(label => label !== undefined).sort();
  }

  get rows(): string {
    return readFileSync(join(this.#expected, 'rows-at-golden.md5'), 'utf8').trim();
  }

  get folder(): string {
    return join(work, this.source === small ? 'small' : this.name);
  }

  /** Data directory of a restore; the lists call it `restored`. */
  restored(label: string): string {
    return join(this.folder, label, 'restored');
  }

  unpack(): void {
    mkdirSync(this.folder);
    // owners and modes are those of another machine
    const archive = readdirSync(this.source).find(name => name.startsWith('repo.tar.')) ?? '';
    execFileSync('tar', ['-xf', join(this.source, archive), '--no-same-owner', '-C', this.folder]);
    if (user.foreign) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, this.folder]);
  }

  /** Options of the repository: its place, and its cipher as the file beside it tells. */
  #options(): string[] {
    const own = join(this.folder, 'repo');
    const file = join(this.source, 'pgbackrest.conf');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    const path = existsSync(own) ? own : join(this.folder, this.name);
    return [`repo1-path=${path}`, ...lines.filter(line => line.startsWith('repo1-cipher-'))];
  }

  async restore(label: string, ...options: string[]): Promise<RunResult> {
    const config = join(this.folder, 'config');
    const lines = ['[global]', ...this.#options(), `lock-path=${this.folder}/lock`, `log-path=${this.folder}/log`];
    writeFileSync(config, `${lines.join('\n')}\n`);
    return await runAs(user, [
      ...project.command,
      'restore',
      `--config=${config}`,
      '--stanza=demo',
      `--pg1-path=${this.restored(label)}`,
      `--tablespace-map=ts1=${this.restored(label)}_ts`,
      '--process-max=2',
      ...options,
    ]);
  }

  /** Lines of the expected list, and the same lines of what lies there now. */
  compare(label: string): { expected: string[]; found: string[] } {
    const list = readFileSync(join(this.#expected, `restored-${label}.sha1`), 'utf8');
    const parent = join(this.folder, label);
    const found = readdirSync(parent, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      .filter(path => !path.endsWith('/global/pg_control'))
      .map(path => `${createHash('sha1').update(readFileSync(path)).digest('hex')}  ${path.slice(parent.length + 1)}`);
    const byName = (a: string, b: string) => (a.slice(42) < b.slice(42) ? -1 : 1);
    return { expected: list.trim().split('\n').sort(byName), found: found.sort(byName) };
  }
}

const names = given === undefined ? [] : readdirSync(given).filter(name => existsSync(join(given, name, 'expected')));
const goldens = [small, ...names.map(name => join(given ?? '', name))].map(source => new Golden(source));
if (given === undefined) {
  console.log(
    'golden: one small repository; PGBACKSTOP_FIXTURES=FOLDER (with NAME/repo.tar.zst) names more of its make',
  );
}

const title = ({ name, source }: Golden): string => `${name}${source === small ? ' (small)' : ''}`;

for (const golden of goldens) {
  describe(`the golden repository ${title(golden)}`, () => {
    beforeAll(() => golden.unpack());

    test.for(golden.labels)('restores %s as the real tool did', async label => {
      const result = await golden.restore(label, `--set=${label}`, '--type=none');
      expect(result).toMatchObject({ code: 0 });
      const { expected, found } = golden.compare(label);
      expect(expected.length).toBeGreaterThan(900);
      expect(found).toEqual(expected);
    });

    test.skipIf(postgres15 === undefined)('recovers to its restore point', async () => {
      const result = await golden.restore('recovered', '--type=name', '--target=golden', '--target-action=promote');
      expect(result).toMatchObject({ code: 0 });
      if (postgres15 === undefined) throw new Error('no PostgreSQL 15');
      const cluster = await TestCluster.open(golden.restored('recovered'), { binaries: postgres15 });
      try {
        // its own paths are those of the machine it was made on
        cluster.configure({ archive_mode: 'off', fsync: 'off' });
        await cluster.start();
        await cluster.waitFor('select not pg_is_in_recovery()');
        expect(await cluster.value(rowsQuery)).toBe(golden.rows);
        expect(await cluster.checkAmcheck()).toMatchObject({ passed: true });
        await cluster.stop();
        expect(await cluster.checkPageChecksums()).toMatchObject({ passed: true });
      } finally {
        await cluster.dispose();
      }
    });
  });
}
