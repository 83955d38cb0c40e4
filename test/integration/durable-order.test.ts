/** In which order names become durable: what the power-loss sweep (test/sweep/power-loss) has found, each by itself. */
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgeSegment } from '../command/archive/archive-bed.ts';
import { requireRecorder } from '../support/power-loss/required.ts';
import { type DiskCall, recorder, takeTrace } from '../support/power-loss/trace.ts';
import { OfflineBed } from './offline-bed.ts';

const missing = requireRecorder();
let bed: OfflineBed;
let root: string;
let repo: string;
let data: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  bed = new OfflineBed();
  root = bed.newFolder();
  repo = join(root, 'repo');
  bed.configure({ 'repo1-path': repo });
  // older than the backup: a restore with force may believe in their times
  for (const name of readdirSync(bed.cluster.folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(bed.cluster.folder, name);
    if (statSync(path).isFile()) utimesSync(path, 1_600_000_000, 1_600_000_000);
  }
  await bed.run('stanza-create');
  await bed.run('backup', '--type=full');
  await bed.run('backup', '--type=full');
  data = join(bed.newFolder(), 'made', 'data');
});
afterAll(() => bed?.dispose());

/** What the command did to files until it told of its success. */
async function calls(command: string, ...args: readonly string[]): Promise<DiskCall[]> {
  const file = join(bed.newFolder(), 'trace');
  const { code, output } = await bed.attempt(command, args, [...recorder(file), ...bed.ours]);
  expect(code, output).toBe(0);
  const all = takeTrace(file);
  return all.slice(
    0,
    all.findIndex(call => call.call === 'say' && call.text.includes('completed successfully')),
  );
}

/** Where the call of this kind on the path is. @throws when there is none */
function at(all: readonly DiskCall[], kind: DiskCall['call'], path: string, from = 0): number {
  const found = all.findIndex(
    (call, index) => index >= from && call.call === kind && 'path' in call && call.path === path,
  );
  if (found === -1) throw new Error(`there is no ${kind} of ${path}${from > 0 ? ' after that' : ''}`);
  return found;
}

const restore = (): string[] => [
  '--type=none',
  `--pg1-path=${data}`,
  `--tablespace-map-all=${dirname(data)}/spaces/space`,
];

describe.skipIf(missing !== undefined)('durable', () => {
  it('stanza-create: the names that an earlier one has left, too', async () => {
    const all = await calls('stanza-create');
    at(all, 'sync-end', `${repo}/archive/demo`);
    at(all, 'sync-end', `${repo}/backup/demo`);
  });

  it('a backup that is found in the repository, before backup.info lists it', async () => {
    const info = `${repo}/backup/demo/backup.info`;
    const before = readFileSync(info);
    // of three backups in one second the last has no label left
    await setTimeout(1000);
    await bed.run('backup', '--type=full');
    const label = (await bed.labels()).at(-1);
    for (const file of [info, `${info}.copy`]) writeFileSync(file, before);
    const all = await calls('annotate', `--set=${label}`, '--annotation=by=hand');
    expect(at(all, 'sync-end', `${repo}/backup/demo/${label}`)).toBeLessThan(at(all, 'rename', info));
    expect(await bed.labels()).toContain(label);
  });

  it('expire: a backup is out of backup.info for good before its manifest goes, and that before its data', async () => {
    const [label] = await bed.labels();
    const all = await calls('expire', '--repo1-retention-full=1');
    const folder = `${repo}/backup/demo/${label}`;
    const removed = at(all, 'unlink', `${folder}/backup.manifest`);
    const renamed = at(all, 'rename', `${repo}/backup/demo/backup.info`);
    expect(at(all, 'sync-end', `${repo}/backup/demo`, renamed)).toBeLessThan(removed);
    // alone the copy looks like a backup that is being made
    const copy = at(all, 'unlink', `${folder}/backup.manifest.copy`);
    expect(at(all, 'sync-end', folder, copy)).toBeLessThan(removed);
    const synced = at(all, 'sync-end', folder, removed);
    expect(synced).toBeLessThan(at(all, 'unlink', `${folder}/pg_data/PG_VERSION`));
  });

  it('archive-push: the first file in a directory makes it durable, whoever made it and was killed', async () => {
    const name = '000000010000000000000001';
    const folder = join(repo, 'archive/demo/15-1/0000000100000000');
    bed.makeFolders(dirname(folder), folder);
    bed.cluster.write(`pg_wal/${name}`, forgeSegment(name));
    const all = await calls('archive-push', join(bed.cluster.data, 'pg_wal', name));
    const renamed = all.findIndex(call => call.call === 'rename');
    expect(at(all, 'sync-end', dirname(folder))).toBeLessThan(renamed);
    expect(at(all, 'sync-end', join(repo, 'archive/demo'))).toBeLessThan(renamed);
    // archive.info is there: what is above has been seen to
    expect(() => at(all, 'sync-end', join(repo, 'archive'))).toThrow();
    const next = '000000010000000000000002';
    bed.cluster.write(`pg_wal/${next}`, forgeSegment(next));
    const later = await calls('archive-push', join(bed.cluster.data, 'pg_wal', next));
    expect(() => at(later, 'sync-end', dirname(folder))).toThrow();
  });

  it('restore: every name in global before that of pg_control, and all of them before the mark goes', async () => {
    const all = await calls('restore', ...restore());
    const marked = at(all, 'unlink', `${data}/backup.manifest`);
    for (const folder of [data, `${data}/global`, `${data}/base/5`, dirname(data)])
      expect(
        all.slice(0, marked).findLastIndex(call => call.call === 'sync-end' && call.path === folder),
        folder,
      ).toBeGreaterThan(
        all
          .slice(0, marked)
          .findLastIndex(
            call =>
              'path' in call &&
              call.call !== 'sync-end' &&
              dirname(call.path) === folder &&
              /open|mkdir|symlink|rename/.test(call.call),
          ),
      );
    const control = at(all, 'rename', `${data}/global/pg_control`);
    expect(at(all, 'sync-end', data, marked)).toBeLessThan(control);
    at(all, 'sync-end', `${data}/global`, control);
  });

  it('restore after one that did not end: with force too the content of a file counts, not its time', async () => {
    renameSync(`${data}/global/pg_control`, `${data}/backup.manifest`);
    const file = `${data}/base/5/1259`;
    const { size, mtime } = statSync(file);
    writeFileSync(file, Buffer.alloc(size));
    utimesSync(file, mtime, mtime);
    await bed.run('restore', ...restore(), '--force');
    expect(readFileSync(file)).toEqual(readFileSync(`${bed.cluster.data}/base/5/1259`));
    expect(existsSync(`${data}/backup.manifest`)).toBe(false);
  });

  it('restore after one that did not end: directories that this one has made are durable, too', async () => {
    renameSync(`${data}/global/pg_control`, `${data}/backup.manifest`);
    const all = await calls('restore', ...restore(), '--delta');
    at(all, 'sync-end', join(dirname(data), 'spaces'));
    at(all, 'sync-end', dirname(data));
  });

  it('a folder above that may be entered, but not read, is not ours to sync, and no reason to fail', async () => {
    const parent = dirname(data);
    renameSync(`${data}/global/pg_control`, `${data}/backup.manifest`);
    const above = bed.newFolder();
    chmodSync(parent, 0o311);
    try {
      const all = await calls('restore', ...restore(), '--delta');
      expect(() => at(all, 'sync-end', parent)).toThrow();
      bed.makeFolders(join(above, 'repo'));
      chmodSync(above, 0o311);
      const made = await calls('stanza-create', `--repo1-path=${above}/repo`);
      at(made, 'sync-end', `${above}/repo`);
      expect(() => at(made, 'sync-end', above)).toThrow();
    } finally {
      for (const path of [parent, above]) chmodSync(path, 0o700);
    }
  });

  it('stanza-delete: the info files are gone for good before what they speak of, and the stanza before success', async () => {
    await bed.run('stop');
    const all = await calls('stanza-delete');
    for (const [name, first] of [
      ['archive', `${repo}/archive/demo/15-1`],
      ['backup', `${repo}/backup/demo/backup.history`],
    ] as const) {
      const removed = at(all, 'unlink', `${repo}/${name}/demo/${name}.info.copy`);
      const begun = all.findIndex(
        call => 'path' in call && /unlink|rmdir/.test(call.call) && call.path.startsWith(`${first}/`),
      );
      expect(at(all, 'sync-end', `${repo}/${name}/demo`, removed)).toBeLessThan(begun);
      at(all, 'sync-end', `${repo}/${name}`, at(all, 'rmdir', `${repo}/${name}/demo`));
    }
  });
});
