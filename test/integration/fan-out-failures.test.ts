/** Backups to several repositories of which some fail, at the start, in the middle and at the end; and one that is killed. */
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FanOutBed, repos, slowly } from './fan-out-bed.ts';
import type { Running } from './offline-bed.ts';

let bed: FanOutBed;

beforeAll(() => {
  bed = new FanOutBed();
  // does not compress
  bed.cluster.write('base/5/30001', randomBytes(200 * 8192));
});
afterAll(() => bed?.dispose());
beforeEach(() => bed.createRepos());

describe('a repository that fails drops out, and the others get their backup', () => {
  /** @param reason of the failure */
  async function expectDropped({ done }: Running, reason: RegExp): Promise<string> {
    const { code, output } = await done;
    expect(code, output).toBe(104);
    expect(output).toMatch(new RegExp(`WARN: repo2: \\[\\w+Error\\] ${reason.source}`));
    expect(output).toContain('NOTE: the backup goes on without this repository.');
    expect(output).toMatch(/ERROR: \[104\]: backup command encountered error\(s\):\n +repo2: \[\w+Error\]/);
    expect(output).toContain('HINT: the backup is complete in repo1, repo3.');
    expect(output).toContain('INFO: backup command end: aborted with exception [104]');
    for (const repo of [1, 3]) {
      expect(output).toContain(`INFO: repo${repo}: new backup label = `);
      expect(output).toMatch(new RegExp(`INFO: expire command begin .* --repo=${repo} `));
    }
    expect(output).not.toMatch(/expire command begin .* --repo=2 /);
    expect(output).not.toMatch(/unhandled|STACK/i);
    const [first, second, third] = await bed.allLabels();
    expect([first?.length, second?.length, third?.length]).toEqual([1, 0, 1]);
    await bed.expectRestores(1, 3);
    return output;
  }

  async function expectHealed(): Promise<void> {
    const said = await bed.run('backup', '--type=full');
    for (const repo of repos) expect(said).toContain(`repo${repo}: new backup label = `);
    expect((await bed.allLabels()).map(list => list.length)).toEqual([2, 1, 2]);
    expect(bed.unfinished(2)).toEqual([]);
    await bed.expectRestores(2);
    await bed.run('verify', '--repo=2');
  }

  it('at the start', async () => {
    chmodSync(join(bed.repoPath(2), 'backup/demo'), 0);
    const running = bed.start('backup', ['--type=full']);
    const { output } = await running.done;
    chmodSync(join(bed.repoPath(2), 'backup/demo'), 0o750);
    expect(output).not.toContain('repo2: backup file');
    await expectDropped(running, /unable to (open|load|get|list)/);
    await expectHealed();
  });

  it('in the middle', async () => {
    const running = bed.start('backup', ['--type=full', ...slowly]);
    const folder = await bed.untilBundled(running);
    chmodSync(folder, 0o500);
    const output = await expectDropped(running, /unable to open file '.*\/bundle\/\d+' for write/);
    // told when it happened, not at the end
    expect(output.indexOf('WARN: repo2:')).toBeLessThan(output.lastIndexOf('repo1: backup file'));
    chmodSync(folder, 0o750);
    expect(bed.unfinished(2)).toHaveLength(1);
    await expectHealed();
  });

  it('at the end', async () => {
    chmodSync(bed.backups(2), 0o750);
    const running = bed.start('backup', ['--type=full', ...slowly]);
    await bed.untilBundled(running);
    // nothing but the last files goes there
    chmodSync(bed.backups(2), 0o500);
    await expectDropped(running, /unable to create path '.*\/backup\.history/);
    chmodSync(bed.backups(2), 0o750);
    expect(bed.unfinished(2)).toHaveLength(1);
    await expectHealed();
  });

  it('none is left: the error of the first, and all of them are told', async () => {
    for (const repo of repos) chmodSync(bed.backups(repo), 0o500);
    const { code, output } = await bed.attempt('backup', ['--type=full']);
    for (const repo of repos) chmodSync(bed.backups(repo), 0o750);
    expect(code).toBe(47);
    for (const repo of repos) expect(output).toContain(`WARN: repo${repo}: [PathCreateError] unable to create path`);
    expect(output.match(/NOTE: the backup goes on/g)).toHaveLength(2);
    expect(output).toMatch(/ERROR: \[047\]: repo1: unable to create path/);
    expect(output).not.toContain('expire command begin');
    expect(await bed.allLabels()).toEqual([[], [], []]);
    expect(await bed.run('backup', '--type=full')).toContain('repo3: new backup label');
    await bed.expectRestores(1, 2, 3);
  });
});

it('killed in the middle: the next backup goes on in each repository as it would alone', async () => {
  const running = bed.start('backup', ['--type=full', ...slowly, '--manifest-save-threshold=1KiB']);
  await bed.untilBundled(running);
  const [label = ''] = bed.unfinished(1);
  // the large file is the first: from here on it is worth keeping
  const saved = join(bed.backups(1), label, 'backup.manifest.copy');
  while (!readFileSync(saved, 'utf8').includes('pg_data/base/5/30001={"checksum"')) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  process.kill(running.pid, 'SIGKILL');
  await running.done;
  expect(bed.unfinished(2)).toEqual([label]);
  const said = await bed.run('backup', '--type=full', '--compress-type=bz2', '--compress-level=1');
  for (const repo of repos) expect(said).toContain(`WARN: repo${repo}: resumable backup ${label} of same type exists`);
  expect(said).toContain('repo1: checksum resumed file');
  expect(await bed.allLabels()).toEqual([[label], [label], [label]]);
  await bed.expectRestores(1, 2, 3);
});
