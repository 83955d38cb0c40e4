/** One backup to several repositories: what each of them gets, and what is read of the cluster. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pages } from '../support/tiny-cluster.ts';
import { FanOutBed, repos } from './fan-out-bed.ts';

let bed: FanOutBed;

beforeAll(() => {
  bed = new FanOutBed();
  bed.cluster.write('base/5/30000', pages(700, 30_000));
  // larger than a buffer, and does not compress
  bed.cluster.write('base/5/30001', randomBytes(400 * 8192));
});
afterAll(() => bed?.dispose());
beforeEach(() => bed.createRepos());

/** What only a backup to several says. */
const ofFanOut = /repo\d: (new|full|incr|backup file)|goes to/;

const straceIs = (() => {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return true;
  } catch {
    console.log('test/integration/fan-out: reads are not counted, strace cannot be used');
    return false;
  }
})();

/** Bytes read of each file of the cluster, and how often it was opened, while a backup runs. */
async function countReads(...args: readonly string[]): Promise<Map<string, { bytes: number; opens: number }>> {
  const folder = bed.newFolder();
  const calls = 'trace=openat,read,pread64,readv,preadv,copy_file_range,sendfile,mmap';
  const { code, output } = await bed.attempt('backup', args, [
    'strace',
    // a file for each thread: in one, calls that others interrupt stand in two lines
    '-ff',
    '-y',
    '-s0',
    '-e',
    calls,
    '-o',
    join(folder, 'trace'),
    ...bed.ours,
  ]);
  expect(code, output).toBe(0);
  const found = new Map<string, { bytes: number; opens: number }>();
  const lines = readdirSync(folder).flatMap(name => readFileSync(join(folder, name), 'utf8').split('\n'));
  for (const line of lines) {
    const opened = /openat\([^"]*"([^"]*)", O_RDONLY(?!.*O_DIRECTORY)[^)]*\) = \d/.exec(line);
    const read = /\b(?:pread64|read|readv|preadv|mmap|sendfile|copy_file_range)\([^<]*\d+<([^>]*)>.*\) = (\d+)$/.exec(
      line,
    );
    const path = opened?.[1] ?? read?.[1];
    if (path?.startsWith(`${bed.cluster.folder}/`) !== true) continue;
    const count = found.get(path) ?? { bytes: 0, opens: 0 };
    found.set(path, {
      bytes: count.bytes + Number(read?.[2] ?? 0),
      opens: count.opens + (opened === null ? 0 : 1),
    });
  }
  return found;
}

/** That each file which was read at all was opened once and read once from its begin to its end. */
function expectReadOnce(reads: ReadonlyMap<string, { bytes: number; opens: number }>, name: RegExp): number {
  const relations = [...reads].filter(([path]) => name.test(path));
  for (const [path, count] of relations) {
    // the system resolves the link to a tablespace: it is opened by one name, and read under another
    if (!path.includes('16400') && !path.includes('/space/')) {
      expect(count, path).toEqual({ bytes: statSync(path).size, opens: 1 });
    }
  }
  return relations.length;
}

describe('a backup to three repositories', () => {
  it('reads the cluster once and gives each a backup that restores alone: full, incr and diff', async () => {
    const relation = /\/base\/5\/\d+$/;
    if (straceIs) {
      const reads = await countReads('--type=full', '--process-max=1');
      expect(expectReadOnce(reads, relation)).toBe(156);
    } else await bed.run('backup', '--type=full');
    const [first = '', ...others] = (await bed.allLabels()).flat();
    expect(others).toEqual([first, first]);
    await bed.expectRestores(1, 2, 3);

    // a backup of its own in one repository: what it has now, the others lack
    bed.cluster.write('base/5/20001', pages(2, 1));
    const own = await bed.run('backup', '--type=incr', '--repo=1');
    expect(own).toMatch(/INFO: new backup label = \S+I\n/);
    expect(own).not.toMatch(ofFanOut);
    bed.cluster.write('base/5/20002', pages(3, 2));
    bed.cluster.write('base/5/30000', Buffer.concat([pages(100, 1), pages(700, 30_000).subarray(100 * 8192)]));
    if (straceIs) {
      const reads = await countReads('--type=incr', '--process-max=1');
      // sizes are what they were: these were opened to be looked at, and not again to be stored; the large one has another time
      expect(expectReadOnce(reads, relation)).toBe(3);
    } else await bed.run('backup', '--type=incr');
    const after = await bed.allLabels();
    expect(after.map(list => list.length)).toEqual([3, 2, 2]);
    const seconds = new Set(after.map(list => list.at(-1)));
    expect([...seconds]).toEqual([expect.stringMatching(new RegExp(`^${first}_\\d{8}-\\d{6}I$`))]);
    await bed.expectRestores(1, 2, 3);

    bed.cluster.write('base/5/20003', pages(4, 3));
    const said = await bed.run('backup', '--type=diff');
    for (const repo of repos) {
      expect(said).toMatch(new RegExp(`repo${repo}: new backup label = ${first}_\\d{8}-\\d{6}D\\n`));
      expect(said).toMatch(new RegExp(`repo${repo}: diff backup size = \\S+, file total = 161\\n`));
      expect(said).toMatch(new RegExp(`repo${repo}: backup file \\S+/base/5/20003 `));
    }
    expect(said).toContain('INFO: backup goes to repo1, repo2, repo3\n');
    await bed.expectRestores(1, 2, 3);
    for (const repo of repos) await bed.run('verify', `--repo=${repo}`);
  });

  it('only when it is asked for: a repository alone speaks and ends as ever', async () => {
    const one = await bed.run('backup', '--type=full', '--no-backup-fan-out');
    expect(one).toContain('INFO: repo option not specified, defaulting to repo1\n');
    expect(one).toMatch(/INFO: new backup label = \S+F\n/);
    expect(one).not.toMatch(ofFanOut);
    expect(await bed.run('backup', '--type=full', '--repo=3')).not.toMatch(ofFanOut);
    expect((await bed.allLabels()).map(list => list.length)).toEqual([1, 0, 1]);
    // repositories that are not alike: each does what it can
    bed.cluster.write('base/5/20004', pages(5, 4));
    const said = await bed.run('backup', '--type=incr');
    expect(said).toContain('WARN: repo2: no prior backup exists, incr backup has been changed to full\n');
    const [a = [], b = [], c = []] = await bed.allLabels();
    const times = [a, b, c].map(list => list.at(-1)?.slice(-16, -1));
    expect(new Set(times).size).toBe(1);
    await bed.expectRestores(1, 2, 3);
  });
});
