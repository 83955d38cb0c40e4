/** A file system that is full: in the middle of a backup, of a restore, and for the files that hold locks. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { TestStanza } from '../support/stanza.ts';
import { giveTo, type RunResult } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

let cluster: TestCluster;
let stanza: TestStanza;
let project: RunnableProject;
const mounted: string[] = [];
let refused: string | undefined;

function mount(path: string, size: string): void {
  const { uid } = cluster.user;
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},uid=${uid},mode=700`, 'pgbackstop-test', path], {
    stdio: 'pipe',
  });
  mounted.push(path);
}

const grow = (path: string): Buffer => execFileSync('mount', ['-o', 'remount,size=200m', path]);

beforeAll(async () => {
  cluster = await TestCluster.create();
  project = runnableProject(cluster.user);
  stanza = new TestStanza(cluster, 'a', { 'compress-type': 'none', 'job-retry': 0, 'log-level-console': 'info' });
  for (const path of [stanza.repo, stanza.newDataDirectory(), join(stanza.folder, 'lock')]) {
    mkdirSync(path, { mode: 0o700 });
    giveTo(cluster.user, path);
  }
  try {
    mount(stanza.repo, '8m');
  } catch (error) {
    refused = `cannot mount a small file system: ${error instanceof Error ? error.message.trim() : String(error)}`;
    console.log(`test/integration/bad-input-disk-full: skipped, ${refused}`);
  }
});
afterAll(async () => {
  for (const path of mounted.reverse()) execFileSync('umount', ['-l', path]);
  await stanza?.dispose();
  await cluster?.dispose();
  project?.remove();
});

interface Said extends RunResult {
  readonly output: string;
}

async function run(...args: readonly string[]): Promise<Said> {
  const result = await stanza.attempt(project.command, args);
  return { ...result, output: result.stdout + result.stderr };
}

const backups = async (): Promise<number> => {
  const { stdout } = await run('info', '--output=json', '--log-level-console=off');
  const [found] = JSON.parse(stdout) as { backup: unknown[] }[];
  return found?.backup.length ?? 0;
};

describe('a full file system', () => {
  it('in the middle of a backup: the error says so, and with space the next one succeeds', async ({ skip }) => {
    skip(refused !== undefined, refused);
    expect(await run('stanza-create', '--no-online')).toMatchObject({ code: 0 });
    const result = await run('backup', '--type=full', '--no-online');
    expect([47, 64]).toContain(result.code);
    expect(result.output).toMatch(
      /ERROR: \[0(47|64)\]: unable to (write|create path) '.*\/repo\/backup\/demo\/.*': \[28\] No space left on device/i,
    );
    expect(result.output).toContain('HINT: is the file system full?');
    expect(await backups()).toBe(0);
    grow(stanza.repo);
    expect(await run('backup', '--type=full', '--no-online')).toMatchObject({ code: 0 });
    expect(await backups()).toBe(1);
  });

  it('before the start of a backup: what was there stays valid', async ({ skip }) => {
    skip(refused !== undefined, refused);
    const before = await backups();
    const ballast = join(stanza.repo, 'ballast');
    execFileSync('sh', ['-c', 'dd if=/dev/zero of="$0" bs=64k 2>/dev/null; true', ballast]);
    for (const command of [
      ['backup', '--type=full', '--no-online'],
      ['stanza-create', '--no-online'],
    ]) {
      const result = await run(...command);
      // nothing is to be written by stanza-create, when all is as it should be
      if (command[0] === 'backup') expect(result.code).not.toBe(0);
      expect(await backups()).toBe(before);
    }
    execFileSync('rm', [ballast]);
    expect(await run('backup', '--type=full', '--no-online')).toMatchObject({ code: 0 });
    expect(await backups()).toBe(before + 1);
  });

  it('in the middle of a restore: the error says so, PostgreSQL refuses, and with space delta finishes it', async ({
    skip,
  }) => {
    skip(refused !== undefined, refused);
    const data = join(stanza.folder, 'restored-1');
    mount(data, '8m');
    const result = await run('restore', `--pg1-path=${data}`);
    expect(result.code).toBe(64);
    expect(result.output).toMatch(/ERROR: \[064\]: .*'.*\/restored-1\/.*': \[28\] No space left on device/i);
    expect(result.output).toContain('HINT: is the file system full?');
    expect(existsSync(join(data, 'global/pg_control'))).toBe(false);
    grow(data);
    expect(await run('restore', `--pg1-path=${data}`, '--delta')).toMatchObject({ code: 0 });
    const restored = await stanza.open(data);
    await restored.start();
    expect(await restored.value('select count(*) > 100 from pg_class')).toBe(true);
    await restored.stop();
    expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
  });

  it('where locks are kept: an error that says so', async ({ skip }) => {
    skip(refused !== undefined, refused);
    const lock = join(stanza.folder, 'lock');
    mount(lock, '16k');
    for (let at = 0; at < 4; at++) {
      try {
        writeFileSync(join(lock, `ballast-${at}`), Buffer.alloc(4096));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
    const result = await run('backup', '--type=full', '--no-online');
    expect(result.code).toBe(50);
    expect(result.output).toContain(`'${lock}/demo-backup-1.lock'`);
    expect(result.output).toContain('No space left on device');
    expect(result.output).toContain('HINT: is the file system full?');
  });
});
