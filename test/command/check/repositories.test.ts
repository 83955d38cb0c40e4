/** How check asks several repositories. The server's answers are given here; nothing of PostgreSQL runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CommandModule } from '../../../src/command/session.ts';
import type { Cluster } from '../../../src/postgres/cluster.ts';
import { versionOf } from '../../../src/postgres/versions.ts';
import { runCommand } from '../../support/command-run.ts';
import { systemId } from '../archive/archive-bed.ts';
import { mockDrivers, ObjectStoreBed, requestLog } from '../object-store-bed.ts';

vi.mock('../../../src/storage/drivers.ts', async original => mockDrivers(await original<object>()));

const segment = '000000010000000000000007';
let bed: ObjectStoreBed;
let repos: readonly string[];

beforeEach(async () => {
  bed = new ObjectStoreBed();
  repos = [`--repo2-path=${bed.root}/repo2`];
  await bed.run('stanza-create', ...repos);
});
afterEach(() => bed.dispose());

function archive(key: number, checksumDigit: string): void {
  const folder = join(bed.root, `repo${key}/archive/demo/15-1/0000000100000000`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${segment}-${checksumDigit.repeat(40)}`), '');
}

async function check() {
  const { checkPrimary } = await import('../../../src/command/check/stanza.ts');
  const version = versionOf('15');
  const primary = {
    key: 1,
    version,
    dataDirectory: bed.cluster.data,
    archiveMode: 'on',
    archiveCommand: 'pgbackstop archive-push %p',
    control: { version, systemId },
    switchWal: async () => segment,
    archiver: async () => ({ failures: 0 }),
  } as unknown as Cluster;
  const module: CommandModule<'check'> = {
    run: async session => {
      await checkPrimary(session, primary);
      return undefined;
    },
  };
  const paths = [`--repo1-path=${bed.root}/repo1`, ...repos, `--pg1-path=${bed.cluster.data}`];
  return await runCommand(module, ['check', '--stanza=demo', '--archive-timeout=60', ...paths]);
}

test('all repositories are waited for, and told of in order', async () => {
  archive(1, 'a');
  archive(2, 'a');
  const { log, error } = await check();
  expect(error).toBeUndefined();
  const found = (key: number) =>
    `INFO: WAL segment ${segment} successfully archived to '${bed.root}/repo${key}/archive/demo/15-1/0000000100000000/${segment}-${'a'.repeat(40)}' on repo${key}`;
  expect(log).toEqual([
    'INFO: check repo1 configuration (primary)',
    'INFO: check repo2 configuration (primary)',
    'INFO: check repo1 archive for WAL (primary)',
    found(1),
    'INFO: check repo2 archive for WAL (primary)',
    found(2),
  ]);
});

test('a repository that fails ends the wait for the others', async () => {
  archive(1, 'a');
  archive(1, 'b');
  const { log, error } = await check();
  expect([error?.kind, log.at(-1)]).toEqual(['archive-duplicate', 'INFO: check repo1 archive for WAL (primary)']);
  const before = requestLog.requests.length;
  await sleep(500);
  expect(requestLog.requests).toHaveLength(before);
});
