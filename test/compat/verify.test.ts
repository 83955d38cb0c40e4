/** verify beside the real tool on the same damaged repositories. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryFolder, TestCluster } from '../support/cluster.ts';
import { GoldenRepo, golden } from '../support/golden-repo.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { requireCompat, skipReason } from '../support/real-pgbackrest.ts';
import { TestStanza, type Tool } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const judge = requireCompat();
const postgres15 = await postgresOf('15', user);
if (judge === undefined) console.log(skipReason);
const real: Tool = [judge?.path ?? 'pgbackrest'];
const { full, diff, incr, wal } = golden;

let project: RunnableProject;
let work: string;
beforeAll(() => {
  project = runnableProject(user);
  work = makeTemporaryFolder(user, 'compat-verify-');
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
  project.remove();
});

describe.skipIf(judge === undefined)('of the same damaged repository both tools report the same', () => {
  const seventh = '000000010000000000000007-e70f4a1e5ad98a31388abd22439700b2fbfd2c52.gz';
  const base = `backup/demo/${full}/pg_data/base/1`;
  const cases: Readonly<Record<string, (repo: GoldenRepo) => void>> = {
    nothing: () => undefined,
    'files gone, altered, emptied': repo => {
      repo.remove(`${base}/112.gz`);
      repo.flip(`${base}/1249.gz`);
      repo.write(`${base}/113.gz`, '');
      repo.remove(`backup/demo/${diff}/pg_data/backup_label.gz`);
    },
    'WAL misnamed and doubled': repo => {
      repo.write(`${wal}/000000010000000000000009-${'1'.repeat(40)}.gz`, repo.read(`${wal}/${seventh}`));
      repo.write(`${wal}/000000010000000000000007-${'2'.repeat(40)}.gz`, repo.read(`${wal}/${seventh}`));
    },
    'one copy of each info file': repo => {
      repo.flip('archive/demo/archive.info');
      repo.remove('backup/demo/backup.info.copy');
      repo.flip(`backup/demo/${full}/backup.manifest`);
      repo.remove(`backup/demo/${incr}/backup.manifest`);
    },
    'no archive.info': repo => {
      repo.remove('archive/demo/archive.info');
      repo.flip('archive/demo/archive.info.copy');
    },
    'info files of different clusters': repo => {
      repo.remove('archive/demo/archive.info.copy');
      repo.write('archive/demo/archive.info', repo.read('backup/demo/backup.info'));
    },
    'manifests gone and broken': repo => {
      for (const copy of ['', '.copy']) {
        repo.flip(`backup/demo/${full}/backup.manifest${copy}`);
        repo.remove(`backup/demo/${diff}/backup.manifest${copy}`);
      }
    },
    'a backup in progress, an unknown archive, a gap': repo => {
      repo.write('backup/demo/20301121-032210F/backup.manifest.copy', '');
      repo.write('archive/demo/16-3/0000000100000000/none', '');
      repo.remove(`${wal}/${seventh}`);
    },
  };

  test.for(Object.keys(cases))('%s', async name => {
    const repo = new GoldenRepo(join(work, name.replace(/\W/g, '-')));
    cases[name]?.(repo);
    for (const verbose of [[], ['--verbose']]) {
      const args = [
        'verify',
        '--stanza=demo',
        '--output=text',
        '--log-level-console=off',
        '--process-max=2',
        ...verbose,
      ];
      const [ours, theirs] = [await repo.run(project.command, args), await repo.run(real, args)];
      expect(ours.stdout.trimEnd()).toBe(theirs.stdout.trimEnd());
      expect(ours.code).toBe(theirs.code);
    }
    const log = ['verify', '--stanza=demo', '--log-level-console=info'];
    const [ours, theirs] = [await repo.run(project.command, log), await repo.run(real, log)];
    const found = (text: string) =>
      text
        .split('\n')
        .filter(line => /file missing|invalid|duplicate|skipping/.test(line))
        .sort();
    const plain = (line: string) =>
      line
        .replace(/^P\d\d/, 'P--')
        .replace(/(\[\d+\]).*/, '$1')
        .trim();
    expect(found(ours.stdout).map(plain)).toEqual(found(theirs.stdout).map(plain));
  });
});

describe.skipIf(judge === undefined || postgres15 === undefined)(
  'a repository of the real tool, without repo checksums',
  () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      if (postgres15 !== undefined) cluster = await TestCluster.create({ binaries: postgres15 });
    });
    afterAll(() => cluster?.dispose());

    test.for([
      { name: 'gz', options: { 'compress-type': 'gz' } },
      {
        name: 'lz4-aes-bundle',
        options: {
          'compress-type': 'lz4',
          'repo1-bundle': 'y',
          'repo1-cipher-type': 'aes-256-cbc',
          'repo1-cipher-pass': 'x',
        },
      },
      {
        name: 'zst-aes',
        options: { 'compress-type': 'zst', 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x' },
      },
    ] as const)('$name: sound, then altered', async ({ name, options }) => {
      const stanza = new TestStanza(cluster, name, options);
      await stanza.run(real, 'stanza-create', '--no-online');
      await stanza.run(real, 'backup', '--no-online', '--type=full');
      const check = (tool: Tool) => stanza.run(tool, 'verify', '--output=text', '--verbose');
      const sound = (await check(project.command)).trimEnd();
      expect(sound).toContain('status: valid');
      expect(sound).toBe((await check(real)).trimEnd());
      const label = await stanza.latest(real);
      const folder = join(stanza.repo, 'backup/demo', label);
      const files = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile() && /^\d+$|^(1247|1249|1259)\.\w+$/.test(entry.name))
        .map(entry => join(entry.parentPath, entry.name))
        .sort();
      for (const [index, file] of files.entries()) {
        if (index === 1) {
          rmSync(file);
          continue;
        }
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        writeFileSync(file, bytes);
      }
      const counts = (text: string) => /total files checked.*\n.*/.exec(text)?.[0].replace(/checksum.*/, '');
      const [ours, theirs] = [await check(project.command), await check(real)];
      expect(ours).toContain('status: invalid');
      // which codec sees the damage itself, and which leaves it to the checksum, is not the same in all libraries
      expect(counts(ours)).toBe(counts(theirs));
      expect(counts(ours)).toMatch(/missing: [1-9]/);
    });
  },
);
