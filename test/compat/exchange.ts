/**
 * One row of the matrices: one tool makes a stanza and a full backup; the other pushes WAL into that archive, restores the
 * backup, and continues the stanza with a backup of its own, which the first one restores. Both must find the repository
 * sound and say the same of it.
 *
 * Debian's real tool does not know blocks: in these rows we restore what it cannot, and it begins with bundles.
 */
import { expect } from 'vitest';
import type { Target } from '../support/cluster.ts';
import { listTree, type OptionValues, type TestStanza, type Tool } from '../support/stanza.ts';
import { type Bench, comparableInfo, judgeHasLevel, judgeKnowsBlocks } from './support.ts';

/** What a row says. */
export const exchanged = {
  codec: ['none', 'gz', 'lz4', 'zst', 'bz2'],
  cipher: ['plain', 'encrypted'],
  first: ['ours', 'real'],
  kind: ['full', 'diff', 'incr', 'delta'],
  layout: ['files', 'bundle', 'block'],
} as const;
export type ExchangeRow = { readonly [Name in keyof typeof exchanged]: (typeof exchanged)[Name][number] };

const layoutOptions: Readonly<Record<ExchangeRow['layout'], OptionValues>> = {
  files: {},
  // both a bundle that is full and files that are too large for one
  bundle: { 'repo1-bundle': 'y', 'repo1-bundle-size': '2MiB', 'repo1-bundle-limit': '1MiB' },
  // Debian's real tool refuses a configuration with blocks, which were not finished then: we are told by argument
  block: { 'repo1-bundle': 'y', ...(judgeKnowsBlocks ? { 'repo1-block': 'y' } : {}) },
};

/** Options of a stanza for the row. */
export const optionsOf = ({ codec, cipher, layout }: ExchangeRow): OptionValues => ({
  'compress-type': codec,
  'compress-level': codec === 'bz2' || codec === 'gz' ? 1 : 3,
  ...(cipher === 'plain' ? {} : { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x+y/z#1;2==' }),
  ...layoutOptions[layout],
});

const backupArguments: Readonly<Record<ExchangeRow['kind'], readonly string[]>> = {
  full: ['--type=full'],
  diff: ['--type=diff'],
  incr: ['--type=incr'],
  delta: ['--type=incr', '--delta'],
};

/**
 * Runs the row to its end, with two backups in the stanza.
 * @param name of the row: the restore points are named for it
 */
export async function exchange(bench: Bench, stanza: TestStanza, row: ExchangeRow, name: string): Promise<void> {
  const { archiver, ours, real } = bench;
  const blocks = row.layout === 'block';
  const oursOnly = blocks && !judgeKnowsBlocks;
  const first = row.first === 'ours' ? ours : real;
  const second = row.first === 'ours' && !oursOnly ? real : ours;

  archiver.use(stanza, first);
  await stanza.run(first, 'stanza-create');
  const backup = async (tool: Tool, kind: ExchangeRow['kind']): Promise<string> =>
    await stanza.run(tool, 'backup', ...backupArguments[kind], ...(oursOnly && tool === ours ? ['--repo1-block'] : []));
  await backup(first, 'full');
  const full = await stanza.latest(first);
  // WAL from here on comes from the other tool, and later again from the first one
  archiver.use(stanza, row.first === 'ours' ? real : ours);
  const one = await archiver.markTarget(`${name} one`);
  const data = stanza.newDataDirectory();
  await restoreAndCompare(stanza, second, one, [], data);

  await backup(second, row.kind);
  archiver.use(stanza, first);
  const two = await archiver.markTarget(`${name} two`);
  const label = await stanza.latest(ours);
  const [prior, letter = ''] = [label.slice(0, full.length), label.at(-1)];
  expect(letter).toBe(row.kind === 'full' ? 'F' : row.kind === 'diff' ? 'D' : 'I');
  expect(prior === full).toBe(row.kind !== 'full');
  const manifest = await stanza.run(ours, 'manifest', '--output=json', `--set=${label}`);
  expect(/"block":\{"size":/.test(manifest)).toBe(blocks);
  expect(/"bundle":\{"id":/.test(manifest)).toBe(row.layout !== 'files');
  const [next, where] = row.kind === 'delta' ? [['--delta'], data] : [[], stanza.newDataDirectory()];
  await restoreAndCompare(stanza, oursOnly ? ours : first, two, next, where);

  await expectSound(stanza, ours);
  if (!oursOnly) await expectSound(stanza, real);
  expect(await expectSameInfo(bench, stanza)).toHaveLength(2);
  if (row.kind === 'incr' && !oursOnly) await expectSameFiles(stanza, ours, real);
}

/** Both tools say the same of the stanza. @returns its backups */
export async function expectSameInfo({ ours, real }: Bench, stanza: TestStanza): Promise<readonly unknown[]> {
  const theirs = await stanza.run(real, 'info', '--output=json');
  expect(comparableInfo(await stanza.run(ours, 'info', '--output=json'))).toEqual(comparableInfo(theirs));
  return JSON.parse(theirs)[0].backup;
}

async function restoreAndCompare(
  stanza: TestStanza,
  tool: Tool,
  target: Target,
  args: readonly string[],
  data: string,
): Promise<void> {
  const aim = ['--type=name', `--target=${target.name}`, '--target-action=promote'];
  const restored = await stanza.restore(tool, [...aim, ...args], data);
  await restored.start();
  await restored.waitFor('select not pg_is_in_recovery()');
  expect(await restored.fingerprint()).toBe(target.fingerprint);
  expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
  await restored.stop();
  expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
}

export const expectSound = async (stanza: TestStanza, tool: Tool): Promise<void> =>
  expect(await whatVerifyFinds(stanza, tool)).toEqual([]);

/** Lines of `verify` but for its begin and end: it does not mention what is good. */
export async function whatVerifyFinds(stanza: TestStanza, tool: Tool): Promise<string[]> {
  const { code, stdout } = await stanza.attempt(tool, ['verify', '--log-level-console=info']);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(0)).toMatch(/verify command begin/);
  if (code === 0) expect(lines.at(-1)).toMatch(/verify command end: completed successfully/);
  return lines.filter(line => !/INFO: verify command (begin|end: completed)/.test(line));
}

async function expectSameFiles(stanza: TestStanza, ours: Tool, real: Tool): Promise<void> {
  const [one, other] = [await stanza.restore(ours, ['--type=none']), await stanza.restore(real, ['--type=none'])];
  const files = listRestored(one.dataDirectory);
  expect(files.length).toBeGreaterThan(300);
  expect(files).toEqual(listRestored(other.dataDirectory));
}

/** What was restored, but for two things that level 2.59.1 and we do otherwise than 2.45. */
export function listRestored(dataDirectory: string): string[] {
  return listTree(dataDirectory, name => {
    if (judgeHasLevel) return 'all';
    // we mark it as restored
    if (name === 'global/pg_control') return 'name only';
    // 2.45 makes it even for type none
    return name === 'recovery.signal' ? 'nothing' : 'all';
  });
}
