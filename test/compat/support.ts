/** What our backups and those of the real tool must be able to do for each other. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Target, TestCluster } from '../support/cluster.ts';
import type { Load } from '../support/cluster-load.ts';
import { postgresOf } from '../support/pg-binaries.ts';
import { requireCompat, skipReason } from '../support/real-pgbackrest.ts';
import { Archiver, listTree, type OptionValues, TestStanza, type Tool } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { runnableProject } from '../support/unprivileged-project.ts';

export const codecs = ['none', 'gz', 'lz4', 'zst', 'bz2'] as const;

/** The real tool of Debian 12 knows PostgreSQL up to 15. */
export const binaries = await postgresOf('15', unprivilegedUser());
const judge = requireCompat();
if (binaries === undefined && process.env.PGBACKSTOP_REQUIRE_COMPAT === '1') {
  throw new Error('PGBACKSTOP_REQUIRE_COMPAT is set, but there is no PostgreSQL 15');
}
export const canCompare = judge !== undefined && binaries !== undefined;
if (!canCompare) console.log(judge === undefined ? skipReason : 'compatibility tests skipped: no PostgreSQL 15');

/** A cluster under load that both tools work on, and the tools. */
export interface Bench {
  readonly cluster: TestCluster;
  readonly archiver: Archiver;
  readonly ours: Tool;
  readonly real: Tool;
}

/** Makes the cluster before the tests of a suite, and removes it after them. */
export function useBench(): () => Bench {
  let bench: Bench | undefined;
  let load: Load | undefined;
  let remove = (): void => undefined;
  beforeAll(async () => {
    const project = runnableProject(unprivilegedUser());
    remove = project.remove;
    if (judge === undefined || binaries === undefined) throw new Error('not to be run');
    const cluster = await TestCluster.create({ binaries });
    bench = { cluster, archiver: new Archiver(cluster), ours: project.command, real: [judge.path] };
    await cluster.start();
    await cluster.createLoadTables();
    load = await cluster.startLoad(1);
  });
  afterAll(async () => {
    try {
      expect(await load?.stop()).toBeGreaterThan(0);
    } finally {
      await bench?.cluster.dispose();
      remove();
    }
  });
  return () => {
    if (bench === undefined) throw new Error('used before it was made');
    return bench;
  };
}

type Name = 'ours' | 'real';

export interface Exchange {
  /** Also names the folder. */
  readonly name: string;
  /** Who runs stanza-create. */
  readonly creator: Name;
  /** Of the repository. */
  readonly options: OptionValues;
}

/** Both tools work in turns on one repository: they restore and continue what the other has made. */
export function describeExchange(bench: () => Bench, { name, creator, options }: Exchange): void {
  describe(`${name}, made by ${creator}`, () => {
    let stanza: TestStanza;
    beforeAll(async () => {
      stanza = new TestStanza(bench().cluster, name, options);
      await stanza.run(bench()[creator], 'stanza-create');
    });
    afterAll(() => stanza.dispose());

    /** WAL from here on comes from the same tool. */
    const backup = async (tool: Name, type: string): Promise<string> => {
      bench().archiver.use(stanza, bench()[tool]);
      await stanza.run(bench()[tool], 'backup', `--type=${type}`);
      return await stanza.latest(bench().real);
    };
    const mark = (target: string): Promise<Target> => bench().archiver.markTarget(`${name} ${target}`);
    const expectRestored = (tool: Name, target: Target, ...args: string[]): Promise<void> =>
      expectRestoredTo(stanza, bench()[tool], target, args);

    let full: string;
    test('the real tool verifies and restores our full backup', async () => {
      full = await backup('ours', 'full');
      const target = await mark('one');
      expect(await whatVerifyFinds(stanza, bench().real)).toEqual([]);
      await whileDamaged(stanza, full, async () => {
        expect(await whatVerifyFinds(stanza, bench().real)).not.toEqual([]);
      });
      await expectRestored('real', target);
    });

    test('the real tool continues ours, we continue that, and both restore it', async () => {
      await backup('real', 'incr');
      await backup('real', 'diff');
      await backup('ours', 'incr');
      const target = await mark('two');
      await expectRestored('ours', target);
      // all WAL since: by us, then by the real tool, then by us
      await expectRestored('real', target, `--set=${full}`);
    });

    test('we restore a full backup of the real tool', async () => {
      full = await backup('real', 'full');
      await expectRestored('ours', await mark('three'));
    });

    test('we continue theirs, the real tool continues that, and both restore it', async () => {
      await backup('ours', 'incr');
      await backup('real', 'incr');
      const target = await mark('four');
      await expectRestored('real', target);
      await expectRestored('ours', target, `--set=${full}`);
    });

    test('both restore the same files, and say the same of the repository', async () => {
      const { ours, real } = bench();
      expect(await whatVerifyFinds(stanza, real)).toEqual([]);
      const [one, other] = [await stanza.restore(ours, ['--type=none']), await stanza.restore(real, ['--type=none'])];
      const files = listRestored(one);
      expect(files.length).toBeGreaterThan(700);
      expect(files).toEqual(listRestored(other));

      const theirs = await stanza.run(real, 'info', '--output=json');
      expect(comparableInfo(await stanza.run(ours, 'info', '--output=json'))).toEqual(comparableInfo(theirs));
      expect(JSON.parse(theirs)[0].backup).toHaveLength(7);
    });
  });
}

/** What was restored, but for two things that level 2.59.1 and we do otherwise than 2.45. */
function listRestored({ dataDirectory }: TestCluster): string[] {
  return listTree(dataDirectory, name => {
    // we mark it as restored
    if (name === 'global/pg_control') return 'name only';
    // 2.45 makes it even for type none
    return name === 'recovery.signal' ? 'nothing' : 'all';
  });
}

/** Lines of the real tool's `verify` but for its begin and end: it does not mention what is good. */
async function whatVerifyFinds(stanza: TestStanza, real: Tool): Promise<string[]> {
  const { code, stdout } = await stanza.attempt(real, ['verify', '--log-level-console=info']);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(0)).toMatch(/verify command begin/);
  if (code === 0) expect(lines.at(-1)).toMatch(/verify command end: completed successfully/);
  return lines.filter(line => !/INFO: verify command (begin|end: completed)/.test(line));
}

/** Does something while one byte of a file of a backup is wrong. */
async function whileDamaged(stanza: TestStanza, label: string, work: () => Promise<void>): Promise<void> {
  const folder = join(stanza.repo, 'backup', 'demo', label, 'pg_data', 'global');
  const path = join(folder, readdirSync(folder).find(name => name.startsWith('pg_filenode.map')) ?? '');
  const good = readFileSync(path);
  const bad = Buffer.from(good);
  bad.writeUInt8(bad.readUInt8(40) ^ 1, 40);
  writeFileSync(path, bad);
  try {
    await work();
  } finally {
    writeFileSync(path, good);
  }
}

async function expectRestoredTo(
  stanza: TestStanza,
  tool: Tool,
  target: Target,
  args: readonly string[],
): Promise<void> {
  const restored = await stanza.restore(tool, [
    '--type=name',
    `--target=${target.name}`,
    '--target-action=promote',
    ...args,
  ]);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.fingerprint()).toBe(target.fingerprint);
  expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
}

type InfoObject = { [key: string]: unknown };

/** Keys that `info` of level 2.59.1 has and 2.45 has not. */
const newerKeys = ['status.lock.restore'];

/** What `info --output=json` says, without what 2.45 does not know of. */
export function comparableInfo(text: string): unknown {
  const stanzas = JSON.parse(text) as InfoObject[];
  for (const stanza of stanzas) for (const key of newerKeys) remove(stanza, key.split('.'));
  return stanzas;
}

function remove(from: unknown, [key = '', ...rest]: readonly string[]): void {
  if (typeof from !== 'object' || from === null) return;
  const object = from as InfoObject;
  if (rest.length === 0) delete object[key];
  else remove(object[key], rest);
}
