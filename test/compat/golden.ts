/**
 * Repositories that pgBackRest 2.59.1 wrote, where they were or copied into a bucket: we print and restore what it printed and restored, and continue what it
 * began. Some are in test/fixture/repo; a folder with more of the same make (NAME/repo.tar.zst, NAME/pgbackrest.conf,
 * NAME/expected) is named by PGBACKSTOP_FIXTURES.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backedUpContent } from '../support/backed-up-content.ts';
import { makeTemporaryFolder, TestCluster } from '../support/cluster.ts';
import { GoldenRepo, goldenSources } from '../support/golden-repo.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { findRealPgbackrest, isSince } from '../support/real-pgbackrest.ts';
import { Archiver, listTree, type OptionValues, TestStanza } from '../support/stanza.ts';
import { type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const postgres15 = await postgresOf('15', user);
const judge = findRealPgbackrest();

/** How rows-at-golden.md5 was taken. */
const rowsQuery = `select md5(string_agg(t,'|' order by t)) from
  (select i||v||pad t from big union all select i||t from ts union all select 'l'||a from late) s`;

/** Lines of the expected list of a restore, and the same lines of what lies in the folder now. */
function restoredFiles(list: string, folder: string): { expected: string[]; found: string[] } {
  // a newer Node's readdir would go through the links of tablespaces
  const found = execFileSync('find', [folder, '-type', 'f'], { encoding: 'utf8', maxBuffer: 1 << 24 })
    .trim()
    .split('\n')
    .filter(path => !path.endsWith('/global/pg_control'))
    .map(path => `${createHash('sha1').update(readFileSync(path)).digest('hex')}  ${relative(folder, path)}`);
  const byName = (a: string, b: string) => (a.slice(42) < b.slice(42) ? -1 : 1);
  return { expected: list.trim().split('\n').sort(byName), found: found.sort(byName) };
}

const sources = goldenSources();
if (process.env.PGBACKSTOP_FIXTURES === undefined) {
  console.log(
    `golden: ${sources.length} small repositories; PGBACKSTOP_FIXTURES=FOLDER (with NAME/repo.tar.zst) names more`,
  );
}

/** Where copies of golden repositories lie. */
export interface GoldenPlace {
  /** `a folder`, `a bucket` */
  readonly name: string;
  /** Has directories, and so repo-ls prints them. */
  readonly directories: boolean;
  /** Also recovered by a server, and continued. */
  readonly continued: boolean;
  /** Makes a place for one. @returns the options that lead there; none where it was unpacked */
  options(): Promise<OptionValues>;
  /** Takes it there. */
  store(repo: GoldenRepo, options: OptionValues): Promise<void>;
}

/** The tests of one place: a file of its own for each, so that two run at a time. */
export function describeGolden(where: GoldenPlace): void {
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

  describe.each(sources.map(source => ({ name: relative(projectRoot(), source), source })))(
    `the golden repository $name in ${where.name}`,
    ({ source }) => {
      const texts = readdirSync(join(source, 'expected')).sort();
      const expected = (file: string): string => readFileSync(join(source, 'expected', file), 'utf8');
      const labels = texts.flatMap(file => /^restored-(.*)\.sha1$/.exec(file)?.[1] ?? []);
      let folder: string;
      let repo: GoldenRepo;
      beforeAll(async () => {
        folder = join(work, `${sources.indexOf(source)}-${basename(source)}`);
        const options = await where.options();
        repo = new GoldenRepo(folder, source, options);
        await where.store(repo, options);
      });

      /** Folder of a restore: the lists call the data directory in it `restored`. */
      const place = (name: string): string => join(folder, `restored-${name}`);
      const restore = async (name: string, ...args: string[]): Promise<RunResult> => {
        const data = join(place(name), 'restored');
        const common = ['--stanza=demo', `--pg1-path=${data}`, `--tablespace-map=ts1=${data}_ts`, '--process-max=2'];
        return await repo.run(project.command, ['restore', ...common, `--lock-path=${folder}/lock`, ...args]);
      };

      /** The command whose output a file of expected/ holds, undefined for what is not an output. */
      const commandOf = (file: string): readonly string[] | undefined => {
        const [, stem = '', label] = /^([a-z-]+?)(?:-(\d{8}-\d{6}F.*))?\.(?:json|txt)$/.exec(file) ?? [];
        const demo = ['--stanza=demo', ...(label === undefined ? [] : [`--set=${label}`])];
        switch (`${stem}${file.slice(file.lastIndexOf('.'))}`) {
          case 'info.txt':
            return ['info', ...demo];
          case 'info.json':
            return ['info', '--output=json', ...demo];
          case 'manifest.json':
            return ['manifest', '--output=json', ...demo];
          case 'repo-ls.json':
            return ['repo-ls', '--output=json', '--recurse'];
          case 'verify.txt':
            return ['verify', '--output=text', '--verbose', '--process-max=2', ...demo];
          default:
            return undefined;
        }
      };
      const printed = texts.flatMap(file => {
        const command = commandOf(file);
        return command === undefined ? [] : [{ file, command }];
      });

      if (printed.length > 0) {
        test('we print of it what the real tool printed', async () => {
          // what is no output is a list of files or rows
          expect(texts.length - printed.length).toBe(labels.length + 1);
          for (const { file, command } of printed) {
            if (command.includes('repo-ls') && !where.directories) continue;
            const { code, stdout, stderr } = await repo.run(project.command, [...command, '--log-level-console=off']);
            expect({ file, code, stdout: stdout.trimEnd() }, stderr).toEqual({
              file,
              code: 0,
              stdout: expected(file).trimEnd(),
            });
          }
        });
      }

      test.for(labels)('restores %s as the real tool did', async label => {
        expect(await restore(label, `--set=${label}`, '--type=none')).toMatchObject({ code: 0 });
        const files = restoredFiles(expected(`restored-${label}.sha1`), place(label));
        expect(files.expected.length).toBeGreaterThan(900);
        expect(files.found).toEqual(files.expected);
      });

      describe.runIf(postgres15 !== undefined && where.continued)('on a server', () => {
        let cluster: TestCluster;
        let stanza: TestStanza;
        afterAll(async () => {
          await stanza?.dispose();
          await cluster?.dispose();
        });

        test('recovers to its restore point', async () => {
          const result = await restore('recovered', '--type=name', '--target=golden', '--target-action=promote');
          expect(result).toMatchObject({ code: 0 });
          if (postgres15 === undefined) throw new Error('no PostgreSQL 15');
          cluster = await TestCluster.open(join(place('recovered'), 'restored'), { binaries: postgres15 });
          // its own paths are those of the machine it was made on
          cluster.configure({ archive_mode: 'off', fsync: 'off' });
          await cluster.start();
          await cluster.waitFor('select not pg_is_in_recovery()');
          expect(await cluster.value(rowsQuery)).toBe(expected('rows-at-golden.md5').trim());
          expect(await cluster.checkAmcheck()).toMatchObject({ passed: true });
          await cluster.stop();
          expect(await cluster.checkPageChecksums()).toMatchObject({ passed: true });
        });

        test('is continued by us with a diff and an incr', async () => {
          const { command: ours } = project;
          stanza = new TestStanza(cluster, 'chain', { ...repo.options, ...repo.place });
          new Archiver(cluster).use(stanza, ours);
          const list = async (): Promise<{ label: string; reference: string[] | null }[]> =>
            JSON.parse(await stanza.run(ours, 'info', '--output=json'))[0].backup;
          const before = (await list()).length;

          // recovery began a second timeline: the diff must look at every file, and its WAL goes into this repository
          await cluster.start();
          await stanza.run(ours, 'check');
          // settings that our restore has put there would be turned into comments by the next one
          await cluster.sql('alter system reset all');
          await cluster.sql('update big set pad = reverse(pad) where i % 97 = 5; insert into late values (-1)');
          await cluster.sql('create table added as select * from big where i < 1000; insert into ts (i) values (-1)');
          const rows = await cluster.value(rowsQuery);
          await stanza.run(ours, 'backup', '--type=diff');
          await cluster.sql('update big set pad = reverse(pad) where i % 97 = 6; drop table added');
          await cluster.stop();
          await stanza.run(ours, 'backup', '--type=incr', '--no-online');

          const backups = await list();
          const [diff, incr] = backups.slice(-2);
          expect(backups).toHaveLength(before + 2);
          const [full = ''] = labels;
          expect(diff?.label).toMatch(new RegExp(`^${full}_\\d{8}-\\d{6}D$`));
          expect(diff?.reference).toEqual([full]);
          expect(incr?.label).toMatch(new RegExp(`^${full}_\\d{8}-\\d{6}I$`));
          expect(incr?.reference).toEqual([full, diff?.label]);
          expect(await stanza.run(ours, 'verify')).toBe('');

          const mapTo = (data: string) => [`--tablespace-map-all=${data}-ts`];
          const rowsCopy = stanza.newDataDirectory();
          const set = [`--set=${diff?.label}`, '--type=immediate', '--target-action=promote'];
          const restored = await stanza.restore(ours, [...set, ...mapTo(rowsCopy)], rowsCopy);
          await restored.start();
          await restored.waitFor('select not pg_is_in_recovery()');
          expect(await restored.value(rowsQuery)).toBe(rows);
          expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
          await restored.stop();

          const content = backedUpContent(cluster.dataDirectory);
          expect(content.length).toBeGreaterThan(900);
          const copy = stanza.newDataDirectory();
          await stanza.run(ours, 'restore', `--pg1-path=${copy}`, '--type=none', ...mapTo(copy));
          expect(backedUpContent(copy)).toEqual(content);

          // Debian's 2.45 does not know block maps
          if (judge === undefined || (repo.options['repo1-block'] === 'y' && !isSince(judge, '2.46'))) return;
          const theirs = stanza.newDataDirectory();
          await stanza.run([judge.path], 'restore', `--pg1-path=${theirs}`, '--type=none', ...mapTo(theirs));
          expect(listTree(theirs, name => (name === 'global/pg_control' ? 'name only' : 'all'))).toEqual(
            listTree(copy, name => (name === 'global/pg_control' ? 'name only' : 'all')).map(line =>
              line.replace(copy, theirs),
            ),
          );
        });
      });
    },
  );
}
