/**
 * pgBackRest's S3 guide as it is written: its configuration unchanged, on a service that answers to s3.amazonaws.com over
 * TLS. We print what the real tool prints with the same file, bucket and cluster.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, DeleteObjectsCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.ts';
import { requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { canRename, NamedService } from '../support/s3/named-service.ts';
import { shrink } from '../support/shrink.ts';
import type { Tool } from '../support/stanza.ts';
import type { RunResult } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';
import { listRestored } from './exchange.ts';
import { binaries, canCompare, realTool } from './support.ts';

if (!canRename()) {
  console.log('S3 guide: no mount namespace for /etc/hosts, so repo1-storage-host and -port are given in addition');
}

const keys = { key: 'accessKey1', secret: 'verySecretKey1' };
const bucket = 'demo-bucket';

const guide = (data: string): string => `[demo]
pg1-path=${data}

[global]
process-max=4
repo1-cipher-type=none
repo1-path=/
repo1-retention-diff=2
repo1-retention-full=2
repo1-s3-bucket=demo-bucket
repo1-s3-endpoint=s3.amazonaws.com
repo1-s3-key=accessKey1
repo1-s3-key-secret=verySecretKey1
repo1-s3-region=us-east-1
repo1-s3-verify-ssl=n
repo1-type=s3
start-fast=y
stop-auto=y

[global:archive-push]
compress-level=3
`;

describe.runIf(canCompare && requireS3Server())("pgBackRest's guide to S3", () => {
  let lab: S3Lab;
  let owner: S3Client;
  let cluster: TestCluster;
  let service: NamedService;
  let tools: { readonly ours: Tool; readonly real: Tool };
  let remove = (): void => undefined;
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    if (binaries === undefined) throw new Error('not to be run');
    [lab, cluster] = await Promise.all([s3Lab(), TestCluster.create({ binaries })]);
    const project = runnableProject(cluster.user);
    remove = project.remove;
    tools = { ours: namedTool('ours', project.command), real: namedTool('real', [realTool()]) };
    const folder = cluster.makeFolder('service', 0o755);
    chmodSync(cluster.root, 0o755);
    service = await NamedService.start(lab, { folder, name: 's3.amazonaws.com', buckets: [bucket] });
    await service.makeOwner(keys);
    owner = lab.clientWith({ keys });
    // where this cluster and its files are is none of the guide's business, so it stands beside the file
    env = {
      ...service.environment,
      PGBACKREST_CONFIG: cluster.writeFile('pgbackrest.conf', guide(cluster.dataDirectory)),
      // the real tool of Debian would send warnings there alone
      PGBACKREST_LOG_LEVEL_STDERR: 'off',
      PGBACKREST_LOG_PATH: cluster.makeFolder('log'),
      PGBACKREST_LOCK_PATH: cluster.makeFolder('lock'),
      PGBACKREST_PG1_PORT: String(cluster.port),
      PGBACKREST_PG1_SOCKET_PATH: cluster.socketDirectory,
    };
    cluster.configure({ archive_mode: 'on', archive_command: 'false', autovacuum: 'off' });
    await start();
    await cluster.createLoadTables();
    await shrink(cluster, 2000);
  });
  afterAll(async () => {
    await cluster?.dispose();
    await service?.close();
    owner?.destroy();
    remove();
  });

  /** The program under the name that archive_command and the guide give it. */
  function namedTool(folder: string, command: Tool): Tool {
    mkdirSync(join(cluster.root, folder));
    const script = `#!/bin/sh\nexec ${command.map(word => `'${word}'`).join(' ')} "$@"\n`;
    return [cluster.writeFile(join(folder, 'pgbackrest'), script, 0o755)];
  }

  /** As the cluster's own, in the place where its archive_command finds the service. */
  async function start(): Promise<void> {
    const options = `-p ${cluster.port} -c unix_socket_directories=${cluster.socketDirectory} -c listen_addresses=`;
    const log = join(cluster.root, 'log.txt');
    const control = [join(binaries?.bin ?? '', 'pg_ctl'), '-D', cluster.dataDirectory, '-w', '-l', log];
    const { code, stdout, stderr } = await service.run(cluster.user, [...control, '-o', options, 'start'], { env });
    expect(code, stdout + stderr).toBe(0);
  }

  const run = async (tool: Tool, ...args: readonly string[]): Promise<RunResult> =>
    await service.run(cluster.user, [...tool, '--stanza=demo', ...args], { env });

  async function archiveWith([program = '']: Tool): Promise<void> {
    await cluster.sql(`alter system set archive_command = '${program} --stanza=demo archive-push %p'`);
    await cluster.reload();
  }

  test('without the bucket: the error says so, and how to make it', async () => {
    const logged = ['--log-level-console=info', 'stanza-create'];
    const ours = await run(tools.ours, ...logged);
    const real = await run(tools.real, ...logged);
    expect(ours.code).toBe(real.code);
    expect(real.stdout).toContain('NoSuchBucket');
    expect(ours.stdout).toContain("bucket 'demo-bucket' does not exist");
    expect(ours.stdout).toMatch(/HINT: .*create-bucket --bucket demo-bucket/s);
  });

  test('prints what the real tool prints, for the same file, in host style over TLS', async () => {
    await owner.send(new CreateBucketCommand({ Bucket: bucket }));
    const printed = { ours: await story(tools.ours), real: await story(tools.real) };
    for (const line of quoted) expect(printed.ours.backup.stdout).toMatch(line);
    for (const part of ['create', 'backup', 'info'] as const) {
      expect(comparable(printed.ours[part]), part).toEqual(comparable(printed.real[part]));
    }

    // what the real tool has left there
    const restored = async (tool: Tool, name: string): Promise<string[]> => {
      const copy = cluster.makeFolder(name, 0o700);
      expect(await run(tool, 'restore', `--pg1-path=${copy}`, '--type=none')).toMatchObject({ code: 0 });
      return listRestored(copy);
    };
    const one = await restored(tools.ours, 'ours-restored');
    expect(one.length).toBeGreaterThan(300);
    expect(one).toEqual(await restored(tools.real, 'real-restored'));
  });

  /** A stanza and its first backup, as the guide makes them, in an empty bucket. */
  async function story(tool: Tool): Promise<Record<'create' | 'backup' | 'info', RunResult>> {
    await cluster.sql("alter system set archive_command = 'false'");
    await cluster.reload();
    const Objects = (await keysIn('')).map(Key => ({ Key }));
    if (Objects.length > 0) await owner.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
    await archiveWith(tool);
    service.proxy.reset();
    const create = await run(tool, '--log-level-console=info', 'stanza-create');
    const backup = await run(tool, '--log-level-console=detail', 'backup');
    const info = await run(tool, 'info');
    for (const { code, stdout, stderr } of [create, backup, info]) expect(code, stdout + stderr).toBe(0);
    for (const { stdout } of [create, backup]) {
      expect(stdout).toContain('--repo1-s3-key=<redacted> --repo1-s3-key-secret=<redacted>');
      expect(stdout).not.toMatch(/accessKey1|verySecretKey1/);
    }
    const hosts = new Set(service.proxy.requests.map(({ headers }) => headers.host?.replace(/:\d+$/, '')));
    expect([...hosts]).toEqual(['demo-bucket.s3.amazonaws.com']);
    const segments = (await keysIn('archive/demo/')).filter(key => /[0-9A-F]{24}-[0-9a-f]{40}\.gz$/.test(key));
    expect(segments.length).toBeGreaterThan(0);
    return { create, backup, info };
  }

  /** Up to a thousand keys. */
  async function keysIn(prefix: string): Promise<string[]> {
    const { Contents = [] } = await owner.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
    return Contents.map(({ Key = '' }) => Key);
  }
});

/** Lines that the guide shows. */
const quoted = [
  /P00 +INFO: backup command begin .*--process-max=4 .*--repo1-path=\/ .*--repo1-type=s3/,
  /P00 +WARN: no prior backup exists, incr backup has been changed to full/,
  /P00 +INFO: backup start archive = \S+, lsn = \S+/,
  /P0\d +(INFO|DETAIL): backup file \S+ \(\S+, \S+%\)/,
  /P00 +INFO: full backup size = /,
  /P00 +INFO: backup stop archive = \S+, lsn = \S+/,
];

/** Lines of a tool's output, sorted, without what differs from run to run, and between 2.45 and the level that we have. */
function comparable({ stdout }: RunResult): string[] {
  return (
    stdout
      .replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /gm, '')
      .replace(/command begin \S+:/g, 'command begin VERSION:')
      .replace(/--exec-id=\S+/g, '--exec-id=ID')
      .replace(/\(\d+ms\)/g, '(TIME)')
      .replace(/\b\d{8}-\d{6}F\b/g, 'LABEL')
      .replace(/\b[0-9A-F]{24}\b/g, 'SEGMENT')
      .replace(/lsn = \S+/g, 'lsn = LSN')
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\+00)?/g, 'TIMESTAMP')
      .replace(/checksum [0-9a-f]{40}/g, 'checksum SHA-1')
      // who copies a file, and what part of the whole it ends, is chance
      .replace(/^P0[1-4] (.*), [\d.]+%\)/gm, 'P0N $1, PERCENT%)')
      .replace(/(\d+)\.\d(KB|MB)/g, '$1$2')
      .replace(/execute non-exclusive backup/g, 'execute backup')
      .replace('check archive for segment SEGMENT', 'check archive for prior segment SEGMENT')
      .replace(/^P00 +WARN: option 'stop-auto' is deprecated\n( +HINT: .*\n)+/m, '')
      .split('\n')
      // we tell more about expiry and requests
      .filter(line => !/^P00 DETAIL: (statistics: |repo1: )/.test(line))
      .sort()
  );
}
