/**
 * Bundles and block maps that are damaged, or of which a manifest does not tell the truth: a repository of 2.59.1 in bundles
 * and by blocks, without a codec, so that a test can put its finger on every byte.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha1 } from '../command/restore/backup-bed.ts';
import { makeTemporaryFolder } from '../support/cluster.ts';
import { GoldenRepo } from '../support/golden-repo.ts';
import { withChecksum } from '../support/info-checksum.ts';
import { type RunResult, unprivilegedUser } from '../support/unprivileged.ts';
import { projectRoot, type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';

const user = unprivilegedUser();
const label = '20261121-032237F';
const folder = `backup/demo/${label}`;
/** A file by blocks, alone in its way: other files do not share its bytes. */
const name = 'pg_data/base/1/1247';

let root: string;
let project: RunnableProject;
let repo: GoldenRepo;
let good: { readonly manifest: string; readonly bundle: Buffer };
let data: string;
let whole: string;

beforeAll(async () => {
  root = makeTemporaryFolder(user, 'bundles-');
  project = runnableProject(user);
  repo = new GoldenRepo(join(root, 'golden'), join(projectRoot(), 'test/fixture/repo/block-none'));
  good = { manifest: repo.read(`${folder}/backup.manifest`).toString(), bundle: repo.read(`${folder}/bundle/2`) };
  whole = join(root, 'whole');
  expect(await restore(whole)).toMatchObject({ code: 0 });
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
  project.remove();
});
beforeEach(() => {
  for (const copy of ['', '.copy']) repo.write(`${folder}/backup.manifest${copy}`, good.manifest);
  repo.write(`${folder}/bundle/2`, good.bundle);
  data = join(root, 'data');
  rmSync(data, { recursive: true, force: true });
  rmSync(`${data}-ts`, { recursive: true, force: true });
});

const restore = (target: string, ...options: string[]): Promise<RunResult> =>
  repo.run(project.command, [
    ...['restore', '--stanza=demo', '--type=none', `--set=${label}`, `--pg1-path=${target}`],
    ...[`--tablespace-map-all=${target}-ts`, `--lock-path=${root}/lock`, `--spool-path=${root}/spool`, ...options],
  ]);

type Entry = Record<string, unknown> & { bni: number; bno: number; 'repo-size': number; bim: number; size: number };

const line = (): string => {
  const [found = ''] = new RegExp(`^${name}=.*$`, 'm').exec(good.manifest) ?? [];
  return found;
};
const entry = (): Entry => JSON.parse(line().slice(name.length + 1));

/** Lets the manifest tell something else of the file. */
function lie(change: Record<string, unknown>): void {
  const text = withChecksum(good.manifest.replace(line(), `${name}=${JSON.stringify({ ...entry(), ...change })}`));
  for (const copy of ['', '.copy']) repo.write(`${folder}/backup.manifest${copy}`, text);
}

/** Puts bytes into the map of the file, from its start. */
function spoilMap(bytes: Buffer): void {
  const { bno, bim, 'repo-size': size } = entry();
  const bundle = Buffer.from(good.bundle);
  bytes.subarray(0, bim).copy(bundle, bno + size - bim);
  repo.write(`${folder}/bundle/2`, bundle);
}

/** Restores the file where the others are already. It ends with the error, and PostgreSQL cannot start. */
async function expectRefused(said: RegExp): Promise<void> {
  const path = join(whole, 'base/1/1247');
  writeFileSync(path, Buffer.alloc(122880, 0x5a));
  const result = await restore(whole, '--delta');
  expect(result.stdout).toMatch(said);
  // what cannot be opened at all is named itself
  expect(result.stdout).toMatch(/restoring '.*\/base\/1\/1247'|\/bundle\/99'/);
  expect([26, 29, 42, 55]).toContain(result.code);
  expect(existsSync(join(whole, 'global/pg_control'))).toBe(false);
}

/** Labels of the backups that info lists. */
async function labels(): Promise<string[]> {
  const { stdout } = await repo.run(project.command, ['info', '--stanza=demo', '--output=json']);
  return JSON.parse(stdout)[0].backup.map((backup: { label: string }) => backup.label);
}
const known = [label, `${label}_20261121-032238D`, `${label}_20261121-032239I`];

it('the file is there, by blocks', () => {
  expect(entry()).toMatchObject({ bi: 1, bni: 2, size: 122880 });
  expect(good.manifest).toBe(withChecksum(good.manifest));
});

describe('a bundle', () => {
  it.each<[what: string, change: () => Record<string, unknown>]>([
    ['that ends before the offset', () => ({ bno: good.bundle.length + 8192 })],
    ['that ends at the offset', () => ({ bno: good.bundle.length })],
    ['that ends within the file', () => ({ bno: good.bundle.length - 4096 })],
    ['with an offset that no file can have', () => ({ bno: Number.MAX_SAFE_INTEGER })],
    ['that there is not', () => ({ bni: 99 })],
    ['with an offset of another file', () => ({ bno: 0 })],
  ])('%s', async (_, change) => {
    lie(change());
    await expectRefused(/ERROR: \[0(26|29|42|55)\]/);
  });

  it('that is cut off', async () => {
    repo.write(`${folder}/bundle/2`, good.bundle.subarray(0, entry().bno + 100));
    await expectRefused(/ERROR: \[0(26|29|42)\]/);
    const afresh = await restore(data);
    expect([26, 29, 42]).toContain(afresh.code);
    expect(existsSync(join(data, 'global/pg_control'))).toBe(false);
  });

  it.each([-1, 1.5, 2 ** 53, '0'])('with the offset %j is no manifest', async bno => {
    lie({ bno });
    const result = await restore(data);
    expect(result.code, result.stdout).toBe(29);
    expect(existsSync(data)).toBe(false);
  });
});

describe('verify', () => {
  it.each<[what: string, spoil: () => void]>([
    ['a map that never ends', () => spoilMap(Buffer.alloc(101, 0xff))],
    ['an offset past the end', () => lie({ bno: good.bundle.length })],
    ['an offset that no file can have', () => lie({ bno: Number.MAX_SAFE_INTEGER })],
    ['a bundle that there is not', () => lie({ bni: 99 })],
  ])('tells of %s', async (_, spoil) => {
    spoil();
    const began = performance.now();
    const result = await repo.run(project.command, ['verify', '--stanza=demo', `--set=${label}`, '--output=text']);
    expect(result.stdout).toMatch(new RegExp(`backup: ${label}, status: invalid`));
    expect(result.stdout).toMatch(/(checksum invalid|missing|other): 1$/m);
    expect(performance.now() - began).toBeLessThan(12_000);
  });
});

describe('a block map', () => {
  it.each<[what: string, hex: string]>([
    ['of an unknown version', '07'],
    ['with a number that does not end', `00${'ff'.repeat(100)}`],
    ['with a zero that does not end', `00${'80'.repeat(100)}`],
    ['with a size beyond 2^53', '0001ffffffffffffffffff7f'],
    ['with a super block of 2^30 blocks', '00010b8080808008'],
    ['of nothing', '00'.repeat(101)],
  ])('%s', async (_, hex) => {
    spoilMap(Buffer.from(hex, 'hex'));
    await expectRefused(/ERROR: \[029\]: .*block/);
  });

  it('with a wrong checksum of a block: what is restored is right or refused, never wrong', async () => {
    const { bno, bim, 'repo-size': size } = entry();
    const map = Buffer.from(good.bundle.subarray(bno + size - bim, bno + size));
    map.writeUInt8(map.readUInt8(bim - 1) ^ 1, bim - 1);
    spoilMap(map);
    // afresh the checksum of a block is of no use
    expect(await restore(data)).toMatchObject({ code: 0 });
    const file = join(data, 'base/1/1247');
    expect(sha1(readFileSync(file))).toBe(entry().checksum);
    // with delta the block seems to differ, and is fetched again
    writeFileSync(file, readFileSync(file).fill(0x5a, 0, 100));
    expect(await restore(data, '--delta')).toMatchObject({ code: 0 });
    expect(sha1(readFileSync(file))).toBe(entry().checksum);
  });

  it.each<[what: string, change: () => Record<string, unknown>]>([
    ['longer than what is stored', () => ({ bim: entry()['repo-size'] + 1 })],
    ['as long as what is stored', () => ({ bim: entry()['repo-size'] })],
    ['shorter than it is', () => ({ bim: entry().bim - 7 })],
    ['of blocks of another size', () => ({ bi: 2 })],
    ['of checksums of another size', () => ({ bic: 16 })],
  ])('%s', async (_, change) => {
    lie(change());
    await expectRefused(/ERROR: \[0(26|29|42)\]/);
  });

  it('of blocks as large as a disk is refused with the manifest, before anything is changed', async () => {
    lie({ bi: 2 ** 30 });
    const result = await restore(whole, '--delta');
    expect(result.stdout).toMatch(/ERROR: \[029\]: /);
    expect(result.stdout).toContain("file 'pg_data/base/1/1247' has blocks or checksums of blocks of an invalid size");
    expect(result.code).toBe(29);
    expect(result.stdout).not.toContain('remove');
  });

  it('ends an incr that would continue it', async () => {
    expect(await restore(data)).toMatchObject({ code: 0 });
    for (const hex of ['ff'.repeat(101), `00${'ff'.repeat(100)}`, '00010b8080808008']) {
      spoilMap(Buffer.from(hex, 'hex'));
      const path = join(data, 'base/1/1247');
      writeFileSync(path, readFileSync(path).fill(hex.length % 256, 0, 100));
      const result = await repo.run(project.command, [
        ...['backup', '--stanza=demo', '--type=diff', '--no-online', '--force', `--pg1-path=${data}`],
        ...[`--lock-path=${root}/lock`, '--repo1-bundle', '--repo1-block', '--compress-type=none'],
      ]);
      expect(result.stdout).toMatch(/ERROR: \[029\]: .*block/);
      expect(result.code).toBe(29);
      expect(await labels()).toEqual(known);
    }
  });
});
