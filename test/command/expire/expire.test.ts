/** The command on whole repositories, in this process. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expireBackups } from '../../../src/command/expire/expire-backups.ts';
import { ExpiringRepo } from '../../../src/command/expire/expiring-repo.ts';
import * as command from '../../../src/command/expire/index.ts';
import type { CommandModule } from '../../../src/command/session.ts';
import { StanzaRepo } from '../../../src/repo/stanza-repo.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';
import { type CommandResult, runCommand } from '../../support/command-run.ts';
import { listTree } from '../../support/stanza.ts';
import { cluster15, fullLabel, label, SyntheticRepo, segmentName } from './synthetic-repo.ts';

const F1 = label('20200101-000000F');
const D1 = label('20200101-000000F_20200102-000000D');
const F2 = label('20200201-000000F');
const D2 = label('20200201-000000F_20200202-000000D');
const I2 = label('20200201-000000F_20200203-000000I');
const F3 = label('20200301-000000F');

const s = (at: number, timeline = 1): string => segmentName(timeline, at);

let root: string;
let repo: SyntheticRepo;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'expire-'));
  repo = await SyntheticRepo.open(join(root, 'repo'));
});

afterEach(() => rmSync(root, { recursive: true }));

const run = (...args: string[]): Promise<CommandResult> =>
  runCommand(command, [
    'expire',
    '--stanza=demo',
    `--repo1-path=${repo.root}`,
    `--lock-path=${join(root, 'lock')}`,
    ...args,
  ]);

const backups = [
  { label: F1, wal: [s(2), s(3)] },
  { label: D1, wal: [s(5), s(5)] },
  { label: F2, wal: [s(7), s(8)] },
  { label: D2, wal: [s(10), s(10)] },
  { label: I2, wal: [s(11), s(11)] },
  { label: F3, wal: [s(300), s(301)] },
] as const;

const readInfo = (from: SyntheticRepo, suffix: string, kind = 'backup'): Buffer =>
  readFileSync(join(from.root, kind, 'demo', `${kind}.info${suffix}`));

async function writeThreeFulls(): Promise<void> {
  await repo.write(backups);
  repo.segments('15-1', 1, 1, 310);
}

describe('expire', () => {
  it('removes backups, their WAL and says so', async () => {
    await writeThreeFulls();
    const { log, error } = await run('--repo1-retention-full=2');
    expect(error).toBeUndefined();
    expect(log).toEqual([
      `INFO: repo1: expire full backup set ${F1}, ${D1}`,
      `INFO: repo1: remove expired backup ${D1}`,
      `INFO: repo1: remove expired backup ${F1}`,
      `INFO: repo1: 15-1 remove archive, start = ${s(1)}, stop = ${s(6)}`,
    ]);
    expect(await repo.labels()).toEqual([F2, D2, I2, F3]);
    expect(repo.directories()).toEqual([F2, D2, I2, F3]);
    expect(repo.wal('15-1').filter(name => name.includes('/'))[0]).toBe(`${s(7).slice(0, 16)}/${s(7)}`);
    // manifests of what went are remembered
    expect(repo.has(`backup/demo/backup.history/2020/${F1}.manifest.gz`)).toBe(true);
  });

  it('removes nothing behind a link that somebody put in the place of a directory', async () => {
    await writeThreeFulls();
    const outside = join(root, 'outside');
    const archive = join(repo.root, 'archive/demo/15-1');
    renameSync(archive, outside);
    symlinkSync(outside, archive);
    const before = readdirSync(outside, { recursive: true }).sort();
    const { log, error } = await run('--repo1-retention-full=2');
    expect(error).toBeUndefined();
    expect(log).toContain(`WARN: repo1: '${archive}' is a link: nothing is removed behind it`);
    expect(readdirSync(outside, { recursive: true }).sort()).toEqual(before);
    // nor in one directory of WAL, of which a part is to go
    rmSync(archive);
    renameSync(outside, archive);
    const directory = join(archive, s(1).slice(0, 16));
    renameSync(directory, outside);
    symlinkSync(outside, directory);
    const files = readdirSync(outside);
    expect((await run('--repo1-retention-full=2')).log).toContain(
      `WARN: repo1: '${directory}' is a link: nothing is removed behind it`,
    );
    expect(readdirSync(outside)).toEqual(files);
  });

  it('removes nothing behind a link in the place of the history, or of one of its years', async () => {
    await writeThreeFulls();
    const history = join(repo.root, 'backup/demo/backup.history');
    repo.put('backup/demo/backup.history/2020/old.manifest.gz.pgbackrest.tmp', 'half a man');
    repo.age('backup/demo/backup.history/2020', 7200);
    const outside = join(root, 'outside');
    const filesOutside = (): string[] => readdirSync(outside, { recursive: true }).map(String).sort();
    for (const place of [history, join(history, '2020')]) {
      renameSync(place, outside);
      symlinkSync(outside, place);
      const before = filesOutside();
      const { log, error } = await run('--repo1-retention-full=9');
      expect(error).toBeUndefined();
      if (place === history) expect(log).toContain(`WARN: repo1: '${place}' is a link: nothing is removed behind it`);
      expect(filesOutside()).toEqual(before);
      rmSync(place);
      renameSync(outside, place);
    }
  });

  it('keeps of older backups just the WAL that makes them consistent', async () => {
    await writeThreeFulls();
    const { log } = await run('--repo1-retention-full=2', '--repo1-retention-archive=1');
    expect(log.slice(3)).toEqual([
      `INFO: repo1: 15-1 remove archive, start = ${s(1)}, stop = ${s(6)}`,
      `INFO: repo1: 15-1 remove archive, start = ${s(9)}, stop = ${s(9)}`,
      `INFO: repo1: 15-1 remove archive, start = ${s(12)}, stop = ${s(299)}`,
    ]);
    expect(repo.wal('15-1').slice(0, 7)).toEqual(
      [7, 8, 10, 11, 300, 301, 302].map(at => `${s(at).slice(0, 16)}/${s(at)}`),
    );
  });

  it('changes nothing when it runs again, and nothing in a dry run', async () => {
    await writeThreeFulls();
    const before = listTree(repo.root);
    const options = ['--repo1-retention-full=1', '--repo1-retention-history=10'];
    const dry = await run(...options, '--dry-run');
    expect(listTree(repo.root)).toEqual(before);
    expect((await run(...options)).log).toEqual(dry.log);
    expect(dry.log.join('\n')).toContain('remove expired backup history path 2020');
    const after = listTree(repo.root);
    expect(after.length).toBeLessThan(before.length);
    expect((await run(...options)).log).toEqual(['INFO: repo1: 15-1 no archive to remove']);
    expect(listTree(repo.root)).toEqual(after);
  });

  it('tells why no WAL expires', async () => {
    await writeThreeFulls();
    expect((await run()).log).toEqual([
      "INFO: option 'repo1-retention-archive' is not set - archive logs will not be expired",
    ]);
    expect((await run('--repo1-retention-full=9000', '--repo1-retention-full-type=time')).log).toEqual([
      'INFO: repo1: time-based archive retention not met - archive logs will not be expired',
    ]);
    expect((await run('--repo1-retention-full=4')).log).toEqual([]);
  });

  it('goes by the stop time with time-based retention', async () => {
    const ages = [20, 10, 5, 1];
    const labels = ages.map(fullLabel);
    const now = Math.floor(Date.now() / 1000);
    await repo.write(
      ages.map((age, index) => ({
        label: fullLabel(age),
        stop: now - age * 86_400,
        wal: [s(10 * index + 1), s(10 * index + 2)],
      })),
    );
    repo.segments('15-1', 1, 1, 40);
    await run('--repo1-retention-full=12', '--repo1-retention-full-type=time');
    expect(await repo.labels()).toEqual(labels);
    const { log } = await run('--repo1-retention-full=7', '--repo1-retention-full-type=time');
    expect(log[0]).toBe(`INFO: repo1: expire time-based backup ${labels[0]}`);
    expect(await repo.labels()).toEqual(labels.slice(1));
    expect(repo.wal('15-1').filter(name => name.includes('/'))[0]).toContain(s(11));
  });

  it('removes the WAL of a former cluster and timelines that are left', async () => {
    const former = { ...cluster15, version: '14', systemId: 1n };
    const current = { ...cluster15, id: 2 };
    await repo.write(
      [
        { label: F1, wal: [s(1), s(1)] },
        { label: F2, dbId: 2, wal: [s(5, 3), s(5, 3)] },
      ],
      [former, current],
    );
    repo.segments('14-1', 1, 1, 3);
    repo.segments('15-2', 2, 1, 3);
    repo.segments('15-2', 3, 3, 9);
    repo.archive('15-2', '00000002.history', '00000003.history', '00000004.history');
    const { log } = await run('--repo1-retention-full=1');
    expect(log.slice(2)).toEqual([
      `INFO: repo1: remove archive path ${repo.root}/archive/demo/14-1`,
      `INFO: repo1: 15-2 remove archive, start = ${s(0, 2).slice(0, 16)}, stop = ${s(4, 3)}`,
      'INFO: repo1: 15-2 remove history file 00000002.history',
    ]);
    expect(repo.has('archive/demo/14-1')).toBe(false);
    expect(repo.wal('15-2')).toEqual([
      '00000003.history',
      ...[5, 6, 7, 8, 9].map(at => `${s(at, 3).slice(0, 16)}/${s(at, 3)}`),
      '00000004.history',
    ]);
  });

  it('forgets manifests that are too old', async () => {
    const old = fullLabel(40);
    const young = fullLabel(5);
    await repo.write([{ label: fullLabel(60) }, { label: fullLabel(2) }]);
    const history = (name: string) => `backup/demo/backup.history/${name.slice(0, 4)}/${name}.manifest.gz`;
    for (const name of [old, young]) repo.put(history(name), 'x');
    await run('--repo1-retention-full=5', '--repo1-retention-history=30');
    expect([old, young].map(name => repo.has(history(name)))).toEqual([false, true]);
    // of another year it goes with all that the year has
    if (fullLabel(60).slice(0, 4) === fullLabel(30).slice(0, 4)) expect(repo.has(history(fullLabel(60)))).toBe(true);
    expect(await repo.labels()).toHaveLength(2);
  });
});

describe('--set', () => {
  it('removes the backup with its dependents, and points latest to the newest that is left', async () => {
    await writeThreeFulls();
    const { log, error } = await run(`--set=${F3}`, '--repo1-retention-full=9');
    expect(error).toBeUndefined();
    expect(log).toEqual([
      `INFO: repo1: expire adhoc backup ${F3}`,
      `WARN: repo1: expiring latest backup ${F3} - the ability to perform point-in-time-recovery (PITR) may be affected\nHINT: non-default settings for 'repo1-retention-archive'/'repo1-retention-archive-type' (even in prior expires) can cause gaps in the WAL.`,
      `INFO: repo1: remove expired backup ${F3}`,
    ]);
    expect(readlinkSync(join(repo.root, 'backup/demo/latest'))).toBe(I2);
    await run(`--set=${D2}`);
    expect(await repo.labels()).toEqual([F1, D1, F2]);
    expect(readlinkSync(join(repo.root, 'backup/demo/latest'))).toBe(F2);
  });

  it.each<[string, string[], number, string]>([
    ['a bad label', ['--set=20200101'], 32, "'20200101' is not a valid backup label format"],
    ['with --oldest', [`--set=${F1}`, '--oldest'], 31, '--oldest and --set cannot be used together'],
    [
      'the last full backup',
      [`--set=${F3}`],
      104,
      'expire command encountered 1 error(s), check the log file for details',
    ],
    [
      'a bad segment',
      ['--archive-expire-before=00000001'],
      32,
      "'00000001' is not a valid WAL segment name for option '--archive-expire-before'",
    ],
    [
      'a partial segment',
      ['--archive-expire-before=000000010000000000000001.partial'],
      32,
      "'000000010000000000000001.partial' is not a valid WAL segment name for option '--archive-expire-before'",
    ],
    [
      'retention that would leave nothing',
      ['--repo1-retention-full=0'],
      32,
      "'0' is out of range for 'repo1-retention-full' option",
    ],
  ])('refuses %s', async (_name, args, code, message) => {
    await repo.write([{ label: F3, wal: [s(2), s(3)] }]);
    const before = listTree(repo.root);
    const result = await run(...args);
    expect([result.code, result.error?.message]).toEqual([code, message]);
    if (code === 104) {
      expect(result.log).toEqual([
        `ERROR: [75]: repo1: full backup ${F3} cannot be expired until another full backup has been created on this repo`,
      ]);
    }
    expect(listTree(repo.root)).toEqual(before);
  });

  it('of an unknown backup warns, and removes nothing by retention', async () => {
    await writeThreeFulls();
    const { log, error } = await run(
      '--set=20190101-000000F',
      '--repo1-retention-full=1',
      '--repo1-retention-archive=3',
    );
    expect(error).toBeUndefined();
    expect(log).toEqual([
      `INFO: repo1: 15-1 remove archive, start = ${s(1)}, stop = ${s(1)}`,
      'WARN: backup 20190101-000000F does not exist\nHINT: run the info command and confirm the backup is listed',
    ]);
    expect(await repo.labels()).toHaveLength(6);
  });
});

describe('--oldest', () => {
  it('lets one full backup go, whatever is configured', async () => {
    await writeThreeFulls();
    const { log } = await run('--oldest', '--repo1-retention-full=900', '--repo1-retention-full-type=time');
    expect(log.slice(0, 2)).toEqual([
      'INFO: repo1: expire oldest overrides configured time-based retention with count-based retention for this execution',
      `INFO: repo1: expire full backup set ${F1}, ${D1}`,
    ]);
    expect(log.at(-1)).toBe(`INFO: repo1: 15-1 remove archive, start = ${s(1)}, stop = ${s(6)}`);
    await run('--oldest');
    expect(await repo.labels()).toEqual([F3]);
    expect((await run('--oldest')).log).toContain(
      'WARN: repo1: expire oldest requested but no eligible full backup to expire',
    );
    expect(await repo.labels()).toEqual([F3]);
  });
});

describe('--archive-expire-before', () => {
  it('removes nothing from the segment on', async () => {
    await writeThreeFulls();
    await run('--repo1-retention-full=1', `--archive-expire-before=${s(100)}`);
    expect(repo.wal('15-1')[0]).toBe(`${s(100).slice(0, 16)}/${s(100)}`);
  });

  it('works before the first backup', async () => {
    await repo.write([]);
    repo.segments('15-1', 1, 1, 20);
    expect((await run('--repo1-retention-full=1', `--archive-expire-before=${s(9)}`)).log).toEqual([
      `INFO: repo1: 15-1 remove archive, start = ${s(1)}, stop = ${s(8)}`,
    ]);
    expect(repo.wal('15-1')).toHaveLength(12);
  });
});

describe('a backup that runs on another host', () => {
  const running = label('20200201-000000F_20200401-000000I');

  it('keeps its directory, and what it depends on', async () => {
    await repo.write(backups.slice(0, 5));
    await repo.begin(running, I2, [F2, D2, I2]);
    // the set it belongs to is the oldest but one
    const { log } = await run('--repo1-retention-full=1', '--repo1-retention-diff=1');
    expect(log).toEqual([
      `INFO: repo1: expire full backup set ${F1}, ${D1}`,
      `INFO: repo1: remove expired backup ${D1}`,
      `INFO: repo1: remove expired backup ${F1}`,
    ]);
    expect(repo.directories()).toEqual([F2, D2, I2, running]);
  });

  it('which is the newest keeps what it depends on when another full one was made meanwhile', async () => {
    await repo.write(backups);
    await repo.begin(running, D2, [F2, D2]);
    repo.age(`backup/demo/${running}`, 600);
    const { log } = await run('--repo1-retention-full=1');
    expect(log.slice(0, 2)).toEqual([
      `INFO: repo1: expire full backup set ${F1}, ${D1}`,
      `INFO: repo1: keep backup ${F2}: unfinished backup ${running} depends on it`,
    ]);
    expect(repo.directories()).toEqual([F2, D2, I2, running, F3]);
    expect(await repo.labels()).toEqual([F2, D2, I2, F3]);
    const refused = await run(`--set=${D2}`);
    expect(refused.code).toBe(104);
    expect(refused.log[0]).toContain(
      `[75]: repo1: backup ${D2} cannot be expired while backup ${running} is being made`,
    );
    // nothing depends on this one
    await run(`--set=${I2}`);
    expect(repo.directories()).toEqual([F2, D2, running, F3]);
  });

  it('is taken for aborted when a newer one is complete and it has not changed for long', async () => {
    await repo.write(backups);
    await repo.begin(running, D2, [F2, D2]);
    repo.age(`backup/demo/${running}`, 4000);
    await run('--repo1-retention-full=1');
    expect(repo.directories()).toEqual([F3]);
  });

  it('is kept however old it is while it is the newest', async () => {
    const next = label('20200301-000000F_20200401-000000D');
    await repo.write(backups);
    await repo.begin(next, F3, [F3]);
    repo.age(`backup/demo/${next}`, 4000);
    await run('--repo1-retention-full=1');
    expect(repo.directories()).toEqual([F3, next]);
  });

  it('protects its whole set when it has not said yet what it depends on', async () => {
    const next = label('20200301-000000F_20200401-000000D');
    const later = label('20200301-000000F_20200302-000000D');
    await repo.write([...backups, { label: later }]);
    await repo.begin(next, F3, [F3], false);
    expect((await run(`--set=${later}`)).code).toBe(104);
    expect(repo.directories()).toContain(next);
    // a manifest that cannot be read tells no more
    repo.put(`backup/demo/${next}/backup.manifest.copy`, '[backrest]\n');
    const { code, log } = await run(`--set=${later}`);
    expect(code).toBe(104);
    expect(log[0]).toContain(`WARN: repo1: the manifest of unfinished backup ${next} cannot be read`);
    expect(repo.directories()).toContain(next);
  });

  it('is seen in an encrypted repository, too', async () => {
    const secret = await SyntheticRepo.open(join(root, 'secret'), 'of the repository');
    await secret.write(backups);
    await secret.begin(running, D2, [F2, D2]);
    const { log, error } = await runCommand(
      command,
      [
        'expire',
        '--stanza=demo',
        `--repo1-path=${secret.root}`,
        '--repo1-cipher-type=aes-256-cbc',
        '--repo1-retention-full=1',
        '--repo1-retention-diff=1',
        `--lock-path=${join(root, 'lock')}`,
      ],
      { PGBACKREST_REPO1_CIPHER_PASS: 'of the repository' },
    );
    expect(error).toBeUndefined();
    expect(log[1]).toBe(`INFO: repo1: keep backup ${F2}: unfinished backup ${running} depends on it`);
    expect(await secret.labels()).toEqual([F2, D2, I2, F3]);
    expect(secret.directories()).toEqual([F2, D2, I2, running, F3]);
  });

  it('is seen when it begins after we have looked', async () => {
    await repo.write(backups);
    const settings = { key: 1, type: 'posix', path: repo.root } as const;
    const storage = await openRepoStorage(settings);
    const list = storage.names.bind(storage);
    let looks = 0;
    const names: typeof storage.names = async (path, options) => {
      // the third look at the directories is the one before anything goes
      if (path === '/backup/demo' && ++looks === 3) await repo.begin(running, D2, [F2, D2]);
      return await list(path, options);
    };
    const watched = new StanzaRepo(settings, Object.assign(storage, { names }), 'demo');
    const expiring: CommandModule<'expire'> = {
      run: async session => {
        const retention = { full: 1, fullType: 'count', archiveType: 'full' } as const;
        await expireBackups(new ExpiringRepo(session, watched, retention), undefined, false);
        return undefined;
      },
    };
    const { error } = await runCommand(expiring, ['expire', '--stanza=demo', `--lock-path=${join(root, 'lock')}`]);
    expect(error).toBeUndefined();
    expect(looks).toBeGreaterThan(3);
    expect(await repo.labels()).toEqual([F2, D2, I2, F3]);
    expect(repo.directories()).toEqual([F2, D2, I2, running, F3]);
  });
});

describe('what was left behind', () => {
  it('a directory without manifests is removed, unless it is the newest', async () => {
    await repo.write(backups);
    const [old, newest] = [label('20191231-000000F'), label('20200501-000000F')];
    for (const name of [old, newest]) {
      repo.put(`backup/demo/${name}/pg_data/PG_VERSION`, '15');
      repo.age(`backup/demo/${name}`, 90_000);
    }
    await run('--repo1-retention-full=9');
    expect(repo.directories()).toEqual([F1, D1, F2, D2, I2, F3, newest]);
  });

  it('an expire that was killed is finished by the next, wherever it was', async () => {
    for (const last of ['manifest copy', 'manifest', 'info', 'half a directory']) {
      rmSync(repo.root, { recursive: true, force: true });
      await writeThreeFulls();
      const kept = backups.filter(({ label }) => label !== F3);
      // in the order in which the command removes them
      repo.remove(`backup/demo/${F3}/backup.manifest.copy`);
      if (last !== 'manifest copy') repo.remove(`backup/demo/${F3}/backup.manifest`);
      if (last === 'info' || last === 'half a directory') {
        const other = await SyntheticRepo.open(join(root, `other-${last}`));
        await other.write(kept);
        for (const suffix of ['', '.copy']) {
          repo.put(`backup/demo/backup.info${suffix}`, readInfo(other, suffix));
        }
      }
      if (last === 'half a directory') repo.remove(`backup/demo/${F3}/pg_data`);
      const { error } = await run(...(last === 'manifest copy' ? [`--set=${F3}`] : []), '--repo1-retention-full=9');
      expect(error, last).toBeUndefined();
      expect(repo.directories(), last).toEqual([F1, D1, F2, D2, I2]);
      expect(await repo.labels(), last).toEqual([F1, D1, F2, D2, I2]);
    }
  });

  it('a manifest that a killed backup had on its way into the history goes when it is old', async () => {
    await writeThreeFulls();
    const [old, young] = ['2020/old.manifest.gz.pgbackrest.tmp', '2021/young.manifest.gz.pgbackrest.tmp'];
    const path = (file: string): string => `backup/demo/backup.history/${file}`;
    for (const file of [old, young]) repo.put(path(file), 'half a man');
    repo.age(path('2020'), 7200);
    await run('--repo1-retention-full=9', '--dry-run');
    expect(existsSync(join(repo.root, path(old)))).toBe(true);
    await run('--repo1-retention-full=9');
    expect(existsSync(join(repo.root, path(old)))).toBe(false);
    expect(existsSync(join(repo.root, path(young)))).toBe(true);
    expect(existsSync(join(repo.root, path(`2020/${F1}.manifest.gz`)))).toBe(true);
  });

  it('a backup whose full one is gone goes, too', async () => {
    await writeThreeFulls();
    repo.remove(`backup/demo/${F2}/backup.manifest`);
    await repo.finishManifest(D2, F2, [F2]);
    await repo.finishManifest(I2, D2, [F2, D2]);
    const { log } = await run('--repo1-retention-full=9');
    expect(log[0]).toContain(`WARN: backup '${F2}' missing manifest removed from backup.info`);
    expect(repo.directories()).toEqual([F1, D1, F3]);
    expect(await repo.labels()).toEqual([F1, D1, F3]);
  });

  it('a complete backup that is not listed is added, one that cannot be read is left alone', async () => {
    await repo.write(backups.slice(0, 3));
    await repo.begin(D2, F2, [F2]);
    await repo.finishManifest(D2, F2, [F2]);
    repo.put(`backup/demo/${F3}/backup.manifest`, 'not a manifest', true);
    const { log } = await run('--repo1-retention-full=9');
    expect(log.join('\n')).toContain(`backup '${D2}' found in repository added to backup.info`);
    expect(log.join('\n')).toContain(
      `repo1: backup ${F3} is not in backup.info and its manifest cannot be read: it is left alone`,
    );
    expect(await repo.labels()).toEqual([F1, D1, F2, D2]);
    expect(repo.directories()).toEqual([F1, D1, F2, D2, F3]);
  });
});

describe('several repositories', () => {
  it('one that fails does not stop the others', async () => {
    await writeThreeFulls();
    const second = [`--repo2-path=${join(root, 'repo2')}`, '--repo2-retention-full=1'];
    const { code, log, error } = await run('--repo1-retention-full=1', ...second);
    expect([code, error?.message]).toEqual([
      104,
      'expire command encountered 1 error(s), check the log file for details',
    ]);
    expect(log.at(-1)).toContain(
      `ERROR: [55]: repo2: unable to load info file '${root}/repo2/backup/demo/backup.info'`,
    );
    expect(await repo.labels()).toEqual([F3]);
  });

  it('each has its own retention, and --repo leaves the others alone', async () => {
    await writeThreeFulls();
    const other = await SyntheticRepo.open(join(root, 'repo2'));
    await other.write(backups);
    const options = ['--repo1-retention-full=1', `--repo2-path=${other.root}`, '--repo2-retention-full=2'];
    await run(...options, '--repo=2');
    expect([await repo.labels(), await other.labels()]).toEqual([
      [F1, D1, F2, D2, I2, F3],
      [F2, D2, I2, F3],
    ]);
    // only the first has it
    const { log } = await run(...options, `--set=${D1}`);
    expect(log.filter(line => line.startsWith('WARN'))).toEqual([]);
    expect(await repo.labels()).toEqual([F1, F2, D2, I2, F3]);
  });

  it('info files that tell of different clusters let no WAL go', async () => {
    await writeThreeFulls();
    const other = await SyntheticRepo.open(join(root, 'other'));
    await other.write([], [{ ...cluster15, systemId: 5n }]);
    for (const suffix of ['', '.copy']) {
      repo.put(`archive/demo/archive.info${suffix}`, readInfo(other, suffix, 'archive'));
    }
    const { code, log } = await run('--repo1-retention-full=1');
    expect(code).toBe(104);
    expect(log.at(-1)).toContain(
      'ERROR: [29]: repo1: archive expiration cannot continue - archive and backup history lists do not match',
    );
    expect(repo.wal('15-1')).toHaveLength(310);
  });
});

it('a stop file stops it', async () => {
  await writeThreeFulls();
  repo.put('../lock/demo.stop', '');
  const { code } = await run('--repo1-retention-full=1');
  expect(code).toBe(62);
  expect(await repo.labels()).toHaveLength(6);
});
