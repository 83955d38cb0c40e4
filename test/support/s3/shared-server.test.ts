import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasS3Server, requireS3Server } from './radosgw.ts';
import { ownerOf, serverFolder } from './run-owner.ts';
import { sharedServer } from './shared-server.ts';

/** Processes whose command line names the folder. */
function processesIn(folder: string): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(folder) ? [{ pid: Number(name), command }] : [];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

// Where only a server is named that is up already, there is none to start.
describe.skipIf(!requireS3Server() || !hasS3Server({ PATH: process.env.PATH }))('the server of a run', () => {
  let owner: ChildProcess;
  let folder: string;
  beforeEach(() => {
    owner = spawn('sleep', ['600']);
    folder = serverFolder(ownerOf(owner.pid ?? 0) ?? '');
  });
  afterEach(async () => {
    owner.kill('SIGKILL');
    await expect.poll(() => processesIn(folder), { timeout: 10_000 }).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  });

  test('is started once for all who ask at the same time, and ends without a trace when the run is killed', async () => {
    const env = { PGBACKSTOP_S3_OWNER: String(owner.pid) };
    const [first, second] = await Promise.all([sharedServer(env), sharedServer(env)]);
    expect(second).toEqual(first);
    const programs = processesIn(folder).map(
      ({ command }) => /ceph-mon|ceph-osd|radosgw|server\.cjs/.exec(command)?.[0],
    );
    expect(programs.sort()).toEqual(['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw', 'server.cjs']);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expect.poll(() => processesIn(folder), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => existsSync(folder)).toBe(false);
  });

  test('leaves no daemon when its own process is killed', async () => {
    const { cephConfig = '' } = await sharedServer({ PGBACKSTOP_S3_OWNER: String(owner.pid) });
    expect(dirname(dirname(cephConfig))).toBe(folder);
    const keeper = processesIn(folder).find(({ command }) => command.includes('server.cjs'));
    process.kill(keeper?.pid ?? 0, 'SIGKILL');
    await expect.poll(() => processesIn(folder), { timeout: 10_000 }).toEqual([]);
  });

  test('says why it could not be started', async () => {
    const env = { PGBACKSTOP_S3_OWNER: String(owner.pid) };
    const broken = mkdtempSync(join(tmpdir(), 'pgbackstop-s3-broken-'));
    writeFileSync(join(broken, 'ceph-mon'), '#!/bin/sh\necho "no monitor today" >&2\nexit 1\n', { mode: 0o755 });
    const path = process.env.PATH;
    process.env.PATH = `${broken}:${path}`;
    try {
      await expect(sharedServer(env)).rejects.toThrow(/did not start.*no monitor today/s);
    } finally {
      process.env.PATH = path;
      rmSync(broken, { recursive: true });
    }
  });
});
