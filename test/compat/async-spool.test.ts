/**
 * Both tools take turns at one spool and one archive, and are killed at random: every segment arrives once and whole, and a
 * recovery through all of them ends with the right rows.
 *
 * PGBACKSTOP_SPOOL_SEGMENTS=500 is the long form, which `npm run test:spool` sets; PGBACKSTOP_SPOOL_SEED repeats the kills.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectLock } from '../../src/base/lock.ts';
import { TestCluster } from '../support/cluster.ts';
import { Random } from '../support/random.ts';
import { giveTo, runAsOrThrow } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';
import { binaries, canCompare, realTool } from './support.ts';

const segments = Number(process.env.PGBACKSTOP_SPOOL_SEGMENTS ?? 30);
const seed = Number(process.env.PGBACKSTOP_SPOOL_SEED ?? Date.now() % 1_000_000);

describe.runIf(canCompare)(`two tools, one spool, ${segments} segments, seed ${seed}`, () => {
  let cluster: TestCluster;
  let project: RunnableProject;
  let copy: string;

  const config = (): string => join(cluster.root, 'pgbackrest.conf');
  const tool = (name: 'ours' | 'real', ...options: string[]): string =>
    [
      ...(name === 'ours' ? project.command : [realTool()]),
      `--config=${config()}`,
      '--stanza=demo',
      `--log-path=${cluster.root}/log-${name}`,
      ...options,
    ].join(' ');

  /** Runs one tool, then the other. A command that is killed has failed, which to PostgreSQL is another thing. */
  const inTurns = (name: string, before: string, ours: string, real: string): string =>
    cluster.writeFile(
      name,
      `#!/bin/sh
cd "$3" || exit 1
${before}
turn=$(cat "${cluster.root}/${name}.turn" 2>/dev/null || echo 0)
echo $((turn + 1)) > "${cluster.root}/${name}.turn"
if [ $((turn % 2)) -eq 0 ]; then ${ours} & else ${real} & fi
echo $! > "${cluster.root}/${name}.pid"
wait $!
code=$?
[ $code -gt 125 ] && exit 2
exit $code
`,
      0o750,
    );

  beforeAll(async () => {
    if (binaries === undefined) throw new Error('not to be run');
    cluster = await TestCluster.create({ binaries, walSegmentSize: 1, settings: { archive_mode: true } });
    project = runnableProject(cluster.user);
    for (const name of ['repo', 'lock', 'spool', 'saved', 'log-ours', 'log-real']) cluster.makeFolder(name);
    cluster.writeFile(
      'pgbackrest.conf',
      `[demo]
pg1-path=${cluster.dataDirectory}
[global]
repo1-path=${cluster.root}/repo
lock-path=${cluster.root}/lock
spool-path=${cluster.root}/spool
archive-async=y
archive-timeout=20
compress-type=lz4
process-max=2
log-level-console=warn
log-level-file=detail
`,
    );
    const push = (name: 'ours' | 'real') => `${tool(name, 'archive-push')} "$1"`;
    const saved = `${cluster.root}/saved/$2`;
    inTurns(
      'push',
      `[ -e "${saved}" ] || { cp "$1" "${saved}.new" && mv "${saved}.new" "${saved}"; }`,
      push('ours'),
      push('real'),
    );
    const get = (name: 'ours' | 'real') =>
      `${tool(name, '--no-archive-async', '--pg1-path="$3"', 'archive-get')} "$2" "$1"`;
    inTurns('get', '', get('ours'), get('real'));
    cluster.configure({
      archive_command: `${cluster.root}/push %p %f ${cluster.dataDirectory}`,
      max_wal_size: '2GB',
      checkpoint_timeout: '1h',
    });
    await runAsOrThrow(cluster.user, ['sh', '-c', `${tool('ours', 'stanza-create', '--no-online')}`]);
    await cluster.start();
    await cluster.sql('create table ledger (n int primary key, filler text)');
    await cluster.stop();
    copy = join(cluster.root, 'copy');
    // all that comes later must come out of the archive
    execFileSync('cp', ['-a', cluster.dataDirectory, copy]);
    await cluster.start();
  });

  afterAll(async () => {
    await cluster?.dispose();
    project?.remove();
  });

  test('every segment arrives once and whole, and recovery has all rows', async () => {
    const random = new Random(seed);
    const kills = { foreground: 0, background: 0 };
    const killer = new AbortController();
    const killing = (async () => {
      while (!killer.signal.aborted) {
        await new Promise(resolve => setTimeout(resolve, random.between(50, 550)));
        const kind = random.chance(50) ? 'foreground' : 'background';
        const pid = kind === 'foreground' ? foregroundOf(cluster) : backgroundOf(cluster);
        if (pid !== undefined && tryKill(pid)) kills[kind]++;
      }
    })();
    const first = await cluster.walName();
    for (let n = 1; n <= segments; n++) {
      // bursts now and then, so that there is something to push ahead
      if (random.chance(90)) await new Promise(resolve => setTimeout(resolve, random.between(0, 200)));
      await cluster.sql(
        `insert into ledger select $1::int, string_agg(md5(random()::text), '') from generate_series(1, 8000)`,
        [n],
      );
      await cluster.switchWal();
    }
    killer.abort();
    await killing;
    const fingerprint = await rows(cluster);
    const pushedBy = (name: string) => {
      const log = join(cluster.root, `log-${name}/demo-archive-push-async.log`);
      return existsSync(log) ? (readFileSync(log, 'utf8').match(/DETAIL: pushed WAL file/g)?.length ?? 0) : 0;
    };
    // of few segments one tool may have sent all, ahead
    for (let more = 0; more < 60 && Math.min(pushedBy('ours'), pushedBy('real')) === 0; more++) {
      await cluster.sql('select txid_current(), pg_switch_wal()');
      await new Promise(resolve => setTimeout(resolve, 500));
    }
    await cluster.switchWal();
    const waiting = join(cluster.dataDirectory, 'pg_wal/archive_status');
    for (let round = 0; readdirSync(waiting).some(name => name.endsWith('.ready')); round++) {
      if (round > 180) throw new Error(`still waiting: ${readdirSync(waiting).join(' ')}`);
      await new Promise(resolve => setTimeout(resolve, 1000));
      // wakes the archiver, which waits for a minute after three failures
      if (round % 5 === 4) await cluster.sql('select txid_current(), pg_switch_wal()');
    }
    await cluster.stop();
    console.log(`killed ${kills.foreground} foreground and ${kills.background} background processes`);
    if (segments >= 100) expect(Math.min(kills.foreground, kills.background)).toBeGreaterThan(10);

    const archive = join(cluster.root, 'repo/archive/demo/15-1');
    const stored = readdirSync(archive, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && /^[0-9A-F]{24}-/.test(entry.name) && !entry.name.endsWith('.tmp'))
      .map(entry => join(entry.parentPath, entry.name));
    const byName = new Map<string, string[]>();
    for (const path of stored) {
      const name = /([0-9A-F]{24})-[^/]*$/.exec(path)?.[1] ?? '';
      byName.set(name, [...(byName.get(name) ?? []), path]);
    }
    const saved = readdirSync(join(cluster.root, 'saved')).filter(name => /^[0-9A-F]{24}$/.test(name));
    expect(saved.length).toBeGreaterThanOrEqual(segments);
    expect(saved.filter(name => name >= first).length).toBeGreaterThanOrEqual(segments);
    for (const name of saved) {
      const copies = byName.get(name) ?? [];
      expect(copies, name).toHaveLength(1);
      const plain = readFileSync(join(cluster.root, 'saved', name));
      const [path = ''] = copies;
      expect(path).toContain(`${name}-${createHash('sha1').update(plain).digest('hex')}.lz4`);
      expect(execFileSync('lz4', ['-dc', path], { maxBuffer: 64 * 1024 * 1024 }).equals(plain), name).toBe(true);
    }
    expect(new Set(byName.keys())).toEqual(new Set(saved));
    console.log(`pushed: ours ${pushedBy('ours')}, real ${pushedBy('real')}`);
    expect(pushedBy('ours')).toBeGreaterThan(0);
    expect(pushedBy('real')).toBeGreaterThan(0);

    writeFileSync(join(copy, 'recovery.signal'), '');
    giveTo(cluster.user, join(copy, 'recovery.signal'));
    const restored = await TestCluster.open(copy, { version: '15' });
    try {
      restored.configure({ restore_command: `${cluster.root}/get %p %f ${copy}`, archive_mode: false });
      await restored.start(600);
      await restored.waitFor('select not pg_is_in_recovery()', 600_000);
      expect(await rows(restored)).toBe(fingerprint);
      expect(fingerprint).toMatch(new RegExp(`^${segments} `));
    } finally {
      await restored.dispose();
    }
  }, 1_800_000);
});

const rows = async (of: TestCluster): Promise<string> =>
  String(await of.value("select count(*) || ' ' || md5(string_agg(n || filler, '' order by n)) from ledger"));

function foregroundOf(cluster: TestCluster): number | undefined {
  const file = join(cluster.root, 'push.pid');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  return pid > 1 ? pid : undefined;
}

function backgroundOf(cluster: TestCluster): number | undefined {
  // ours takes both, pgBackRest 2.45 the one without a key, newer releases the one with it
  for (const name of ['demo-archive.lock', 'demo-archive-1.lock']) {
    const lock = inspectLock(join(cluster.root, 'lock', name));
    if (lock.state === 'held') return lock.content?.pid;
  }
  return undefined;
}

/** Only what runs one of the tools: a number may have got another owner. */
function tryKill(pid: number): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('archive-push')) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
