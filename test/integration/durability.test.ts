/**
 * Watches the system calls of whole commands (strace): what is reported as done must be on disk, in an order that leaves a
 * valid repository, or a cluster that PostgreSQL refuses, whenever the power fails.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { TestStanza } from '../support/stanza.ts';
import { giveTo, runAs } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const missing = missingTool();
if (missing !== undefined) {
  if (process.env.PGBACKSTOP_REQUIRE_COMPAT === '1') throw new Error(`test/integration/durability: ${missing}`);
  console.log(`test/integration/durability: skipped, ${missing}`);
}

function missingTool(): string | undefined {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `strace cannot be used (Debian: apt-get install strace): ${error instanceof Error ? error.message.split('\n')[0] : error}`;
  }
}

type Event =
  | { readonly call: 'write' | 'sync' | 'create' | 'mkdir' | 'remove'; readonly path: string }
  | { readonly call: 'rename'; readonly path: string; readonly to: string }
  | { readonly call: 'link'; readonly path: string }
  | { readonly call: 'success' };

let cluster: TestCluster;
let stanza: TestStanza;
let project: RunnableProject;
let traces = 0;

/** Runs a command to its successful end. @returns what it did to files below the folder, in order */
async function trace(folder: string, ...args: readonly string[]): Promise<Event[]> {
  const file = join(cluster.root, `trace-${++traces}`);
  const calls =
    'trace=/^(open|openat|creat|write|pwrite64|writev|pwritev|pwritev2|copy_file_range|sendfile|splice|fallocate|fsync|fdatasync|rename|renameat|renameat2|mkdir|mkdirat|unlink|unlinkat|symlink|symlinkat|link|linkat|ftruncate|truncate)$';
  const argv = stanza.commandLine(project.command, '--log-level-console=info', ...args);
  const result = await runAs(cluster.user, ['strace', '-f', '-y', '-s', '300', '-o', file, '-e', calls, ...argv]);
  if (result.code !== 0)
    throw new Error(`${args.join(' ')} ended with ${result.code}\n${result.stdout}${result.stderr}`);
  return parseTrace(readFileSync(file, 'latin1')).filter(
    event =>
      event.call === 'success' ||
      event.path.startsWith(`${folder}/`) ||
      event.path === folder ||
      (event.call === 'sync' && event.path === dirname(folder)),
  );
}

/** A sync counts when it has ended, everything else when it has begun. */
function parseTrace(text: string): Event[] {
  const events: Event[] = [];
  const begun = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const whole = resumed === null ? rest : (begun.get(thread) ?? '') + (resumed[1] ?? '');
    const unfinished = / <unfinished \.\.\.>$/.test(whole);
    if (unfinished) begun.set(thread, whole.replace(/ <unfinished \.\.\.>$/, ''));
    const isSync = /^f(data)?sync\(/.test(whole);
    if (isSync ? unfinished : resumed !== null) continue;
    if (!unfinished && !/ = \d+/.test(whole)) continue;
    const event = parseCall(whole);
    if (event !== undefined) events.push(event);
  }
  return events;
}

function parseCall(line: string): Event | undefined {
  const descriptors = [...line.matchAll(/\b\d+<([^>]*)>/g)].map(([, path = '']) => path);
  const [descriptor = ''] = descriptors;
  const strings = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, value = '']) => value);
  const [first = '', second = ''] = strings;
  switch (/^\w+/.exec(line)?.[0]) {
    case 'write':
    case 'writev':
    case 'pwrite64':
    case 'pwritev':
    case 'pwritev2':
    case 'sendfile':
    case 'fallocate':
    case 'ftruncate':
      if (first.includes('command end: completed successfully') && !descriptor.endsWith('.log'))
        return { call: 'success' };
      return { call: 'write', path: descriptor };
    case 'copy_file_range':
    case 'splice':
      return { call: 'write', path: descriptors[1] ?? '' };
    case 'truncate':
      return { call: 'write', path: first };
    case 'fsync':
    case 'fdatasync':
      return { call: 'sync', path: descriptor };
    case 'open':
    case 'openat':
    case 'creat':
      return /O_CREAT|^creat/.test(line) ? { call: 'create', path: first } : undefined;
    case 'rename':
    case 'renameat':
    case 'renameat2':
      return { call: 'rename', path: first, to: second };
    case 'mkdir':
    case 'mkdirat':
      return { call: 'mkdir', path: first };
    case 'unlink':
    case 'unlinkat':
      return { call: 'remove', path: first };
    case 'symlink':
    case 'symlinkat':
    case 'link':
    case 'linkat':
      return { call: 'link', path: second };
    default:
      return undefined;
  }
}

/** Breaks of the rules that every command must keep, in words. */
function violations(events: readonly Event[]): string[] {
  const found: string[] = [];
  const success = events.findIndex(({ call }) => call === 'success');
  if (success === -1) return ['success was not seen'];
  const between = (from: number, to: number, wanted: (event: Event) => boolean): boolean =>
    events.slice(from + 1, to).some(wanted);
  const syncOf = (path: string) => (event: Event) => event.call === 'sync' && event.path === path;
  for (const [at, event] of events.entries()) {
    switch (event.call) {
      case 'write': {
        const next = events.findIndex(
          (other, index) => index > at && other.call === 'rename' && other.path === event.path,
        );
        const removed = events.some(
          (other, index) => index > at && other.call === 'remove' && other.path === event.path,
        );
        if (removed && next === -1) break;
        const end = next === -1 ? success : next;
        if (at > success) found.push(`${event.path} is written after success`);
        else if (!between(at, end, syncOf(event.path))) found.push(`${event.path} is written and not synced`);
        break;
      }
      case 'rename':
        if (at > success) found.push(`${event.path} is renamed after success`);
        if (!between(-1, at, syncOf(event.path))) found.push(`${event.path} is renamed before it is synced`);
        if (!between(at, success, syncOf(dirname(event.to)))) found.push(`${event.to}: its folder is not synced`);
        break;
      case 'create': {
        // a temporary name does not stay
        const stays = !events.some(
          (other, index) =>
            index > at && (other.call === 'rename' || other.call === 'remove') && other.path === event.path,
        );
        if (stays && !between(at, success, syncOf(event.path))) found.push(`${event.path} is made and not synced`);
        if (stays && !between(at, success, syncOf(dirname(event.path))))
          found.push(`${event.path}: its folder is not synced`);
        break;
      }
      case 'mkdir':
        if (!between(at, success, syncOf(dirname(event.path))))
          found.push(`folder ${event.path}: its parent is not synced`);
        break;
    }
  }
  return [...new Set(found)];
}

const indexesOf = (events: readonly Event[], wanted: (event: Event) => boolean): number[] =>
  events.flatMap((event, index) => (wanted(event) ? [index] : []));
const renamedTo = (events: readonly Event[], end: string): number =>
  events.findIndex(event => event.call === 'rename' && event.to.endsWith(end));

beforeAll(async () => {
  if (missing !== undefined) return;
  cluster = await TestCluster.create();
  project = runnableProject(cluster.user);
  stanza = new TestStanza(cluster, 'a', {
    'compress-type': 'lz4',
    'repo1-cipher-type': 'aes-256-cbc',
    'repo1-cipher-pass': 'x',
  });
  await cluster.start();
  await cluster.sql('create table t as select n, md5(n::text) from generate_series(1, 20000) n');
  await cluster.stop();
});
afterAll(async () => {
  await stanza?.dispose();
  await cluster?.dispose();
  project?.remove();
});

describe.skipIf(missing !== undefined)('on disk before success', () => {
  it('stanza-create', async () => {
    const events = await trace(stanza.repo, 'stanza-create', '--no-online');
    expect(violations(events)).toEqual([]);
    const renames = events.flatMap(event => (event.call === 'rename' ? [event.to.slice(stanza.repo.length)] : []));
    expect(new Set(renames)).toEqual(
      new Set(['archive/demo/archive.info', 'backup/demo/backup.info'].flatMap(name => [`/${name}`, `/${name}.copy`])),
    );
  });

  it('archive-push', async () => {
    const wal = join(cluster.dataDirectory, 'pg_wal');
    const segment = readdirSync(wal).find(name => /^[0-9A-F]{24}$/.test(name)) ?? '';
    const events = await trace(stanza.repo, 'archive-push', join(wal, segment));
    expect(violations(events)).toEqual([]);
    const renamed = events.filter(event => event.call === 'rename');
    expect(renamed).toHaveLength(1);
    expect(renamed[0]?.to).toContain(`/archive/demo/${cluster.binaries.version}-1/${segment.slice(0, 16)}/${segment}-`);
    // one that was killed before it synced the name would look just like this
    const again = await trace(stanza.repo, 'archive-push', join(wal, segment));
    expect(again.some(event => event.call === 'sync' && event.path === dirname(renamed[0]?.to ?? ''))).toBe(true);
  });

  it('archive-get', async () => {
    const wal = join(cluster.dataDirectory, 'pg_wal');
    const segment = readdirSync(wal).find(name => /^[0-9A-F]{24}$/.test(name)) ?? '';
    const events = await trace(wal, 'archive-get', segment, join(wal, 'RECOVERYXLOG'));
    expect(events.some(event => event.call === 'rename' && event.to === join(wal, 'RECOVERYXLOG'))).toBe(true);
    // not synced: after a crash PostgreSQL asks again. A short segment under this name would harm, so it is renamed.
    expect(events).not.toContainEqual({ call: 'create', path: join(wal, 'RECOVERYXLOG') });
  });

  it('backup: the manifest after all files, backup.info after the manifest, the copies last', async () => {
    const events = await trace(stanza.repo, 'backup', '--type=full', '--no-online', '--no-expire-auto');
    expect(violations(events)).toEqual([]);
    const manifest = renamedTo(events, '/backup.manifest');
    const [info, infoCopy] = [renamedTo(events, '/backup.info'), renamedTo(events, '/backup.info.copy')];
    expect(manifest).toBeGreaterThan(0);
    expect(info).toBeGreaterThan(manifest);
    expect(infoCopy).toBeGreaterThan(info);
    const data = indexesOf(events, event => event.call === 'sync' && event.path.includes('F/pg_data'));
    expect(data.length).toBeGreaterThan(900);
    expect(Math.max(...data)).toBeLessThan(manifest);
    // the folder of the backup after the last file in it
    const made = indexesOf(events, event => event.call === 'create' && /F\/pg_data\/[^/]+$/.test(event.path));
    const folder = indexesOf(events, event => event.call === 'sync' && event.path.endsWith('F/pg_data'));
    expect(Math.max(...folder)).toBeGreaterThan(Math.max(...made));
    expect(Math.max(...folder)).toBeLessThan(manifest);
    expect(
      Math.max(...indexesOf(events, event => event.call === 'sync' && event.path.endsWith('/backup/demo'))),
    ).toBeGreaterThan(infoCopy);
    expect(indexesOf(events, event => event.call === 'success')[0]).toBeGreaterThan(infoCopy);
  });

  it('backup with bundles and blocks', async () => {
    const events = await trace(
      stanza.repo,
      ...['backup', '--type=full', '--no-online', '--no-expire-auto', '--repo1-bundle', '--repo1-block'],
    );
    expect(violations(events)).toEqual([]);
    const data = indexesOf(events, event => event.call === 'sync' && /F\/(bundle|pg_data)/.test(event.path));
    expect(data.length).toBeGreaterThan(0);
    expect(Math.max(...data)).toBeLessThan(renamedTo(events, '/backup.manifest'));
  });

  it('backup that resumes: what the aborted one left is synced too', async () => {
    const full = ['backup', '--type=full', '--no-online', '--no-expire-auto'];
    await stanza.run(project.command, ...full);
    const label = readdirSync(join(stanza.repo, 'backup/demo'))
      .sort()
      .filter(name => name.endsWith('F'))
      .at(-1);
    rmSync(join(stanza.repo, `backup/demo/${label}/backup.manifest`));
    const events = await trace(stanza.repo, ...full);
    expect(violations(events)).toEqual([]);
    const kept = join(stanza.repo, `backup/demo/${label}/pg_data/PG_VERSION.lz4`);
    expect(events.some(event => event.call === 'create' && event.path === kept)).toBe(false);
    expect(events.some(event => event.call === 'sync' && event.path === kept)).toBe(true);
  });

  it('expire: a backup has left backup.info before its data goes', async () => {
    const events = await trace(stanza.repo, 'expire', '--repo1-retention-full=1');
    expect(violations(events)).toEqual([]);
    const removed = indexesOf(
      events,
      event => event.call === 'remove' && /\/demo\/\d{8}-\d{6}F\/(pg_data|bundle)\//.test(event.path),
    );
    expect(removed.length).toBeGreaterThan(900);
    const copied = renamedTo(events, '/backup.info.copy');
    const named = indexesOf(events, event => event.call === 'sync' && event.path.endsWith('/backup/demo'));
    expect(named.some(at => at > copied && at < Math.min(...removed))).toBe(true);
  });

  it('restore: pg_control after everything else', async () => {
    const data = stanza.newDataDirectory();
    mkdirSync(data, { mode: 0o700 });
    giveTo(cluster.user, data);
    const events = await trace(data, 'restore', `--pg1-path=${data}`);
    expect(violations(events)).toEqual([]);
    expectControlLast(events, data);
  });

  it('restore into a place that is made for it', async () => {
    const parent = join(stanza.folder, 'made');
    const events = await trace(parent, 'restore', `--pg1-path=${parent}/below/data`);
    expect(violations(events)).toEqual([]);
    expectControlLast(events, `${parent}/below/data`);
  });

  it('restore with delta: pg_control goes first and comes back last', async () => {
    const data = stanza.newDataDirectory();
    mkdirSync(data, { mode: 0o700 });
    giveTo(cluster.user, data);
    await stanza.run(project.command, 'restore', `--pg1-path=${data}`);
    const [victim = '', long = ''] = readdirSync(join(data, 'base/1')).filter(name => /^\d+$/.test(name));
    execFileSync('truncate', ['-s', '0', join(data, 'base/1', victim)]);
    appendFileSync(join(data, 'base/1', long), 'what a later time has written');
    const events = await trace(data, 'restore', `--pg1-path=${data}`, '--delta');
    expect(violations(events)).toEqual([]);
    const removed = events.findIndex(
      event => event.call === 'remove' && event.path === join(data, 'global/pg_control'),
    );
    expect(removed).toBeGreaterThanOrEqual(0);
    const firstSync = events.findIndex(event => event.call === 'sync');
    const firstWrite = events.findIndex(event => event.call === 'write');
    // cut off, and not back after a crash
    expect(events).toContainEqual({ call: 'write', path: join(data, 'base/1', long) });
    expect(events).toContainEqual({ call: 'sync', path: join(data, 'base/1', long) });
    expect(events[firstSync]).toEqual({ call: 'sync', path: join(data, 'global') });
    expect(firstSync).toBeGreaterThan(removed);
    expect(firstWrite).toBeGreaterThan(firstSync);
    expectControlLast(events, data);
  });

  it('restore after one that did not end: what is kept is synced too, it may be in memory only', async () => {
    const data = stanza.newDataDirectory();
    mkdirSync(data, { mode: 0o700 });
    giveTo(cluster.user, data);
    await stanza.run(project.command, 'restore', `--pg1-path=${data}`);
    const kept = `${data}/PG_VERSION`;
    const whole = await trace(data, 'restore', `--pg1-path=${data}`, '--delta');
    expect(whole.some(event => event.call === 'sync' && event.path === kept)).toBe(false);
    renameSync(join(data, 'global/pg_control'), join(data, 'backup.manifest'));
    const events = await trace(data, 'restore', `--pg1-path=${data}`, '--delta');
    expect(violations(events)).toEqual([]);
    expect(events.some(event => event.call === 'sync' && event.path === kept)).toBe(true);
    expectControlLast(events, data);
  });
});

function expectControlLast(events: readonly Event[], data: string): void {
  const control = events.findIndex(event => event.call === 'rename' && event.to === join(data, 'global/pg_control'));
  expect(control).toBeGreaterThan(0);
  const after = events.slice(control + 1).filter(event => event.call !== 'success');
  // what follows makes the name itself durable
  expect(after.every(event => event.call === 'sync')).toBe(true);
  expect(after.some(event => event.call === 'sync' && event.path === join(data, 'global'))).toBe(true);
  expect(existsSync(join(data, 'backup.manifest'))).toBe(false);
}
