/**
 * Hostile repository: whole commands of the real program on repositories that somebody has changed. Each ends, with a code
 * that says what is wrong, within some memory; nothing outside of the repository and of what is restored is touched.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { errorCodes } from '../../../src/base/error.ts';
import { OfflineBed, type Outcome } from '../../integration/offline-bed.ts';
import { Random } from '../../support/random.ts';
import type { OptionValues } from '../../support/stanza.ts';
import { Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { makeOutside, shape, spoil } from './hostile-repo.ts';

const sweep = new Sweep('hostile');
let bed: OfflineBed;
let root: string;
let outside: string;

const cipher = { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'secret' };
const allVariants: readonly OptionValues[] = [
  { 'repo1-bundle': 'y', 'repo1-block': 'y' },
  { 'compress-type': 'gz' },
  { 'compress-type': 'zst', 'repo1-bundle': 'y', 'repo1-block': 'y', ...cipher },
  { 'compress-type': 'lz4', 'repo1-bundle': 'y' },
  { 'compress-type': 'bz2', ...cipher },
];

const variants = allVariants.slice(0, shortOrFull(3, allVariants.length));

beforeAll(async () => {
  bed = new OfflineBed();
  root = bed.newFolder();
  outside = join(root, 'outside');
  makeOutside(outside);
  execFileSync('chown', ['-R', '--reference', root, outside]);
  for (const [index, options] of variants.entries()) {
    bed.configure({ ...options, 'repo1-path': template(index) });
    bed.makeFolders(template(index));
    await bed.run('stanza-create');
    await bed.push('000000010000000000000001');
    await bed.run('backup', '--type=full', '--force');
    bed.cluster.write('base/5/1247', Buffer.alloc(3 * 8192, index + 1));
    await bed.push('000000010000000000000002');
    await bed.run('backup', '--type=incr', '--force');
  }
});
afterAll(() => {
  bed?.dispose();
  sweep.report('commands');
});

const template = (index: number): string => join(root, `template-${index}`);

/** Codes that stand for mistakes of ours. */
const mistakes: readonly (number | undefined)[] = [
  ...[undefined, errorCodes.assert, errorCodes.unhandled, errorCodes.unknown, errorCodes.memory, errorCodes.term],
  ...[1, 2, 126, 127, 134, 137, 139, 128 + errorCodes.assert, 128 + errorCodes.unhandled],
];

/** Most memory that a command may take, in kilobytes: twice what sound repositories of this size need. */
const mostMemory = 700 * 1024;

/** Runs a command, and sees that it ended as one may. */
async function attempt(command: string, args: readonly string[]): Promise<Outcome> {
  const running = bed.start(command, args);
  let memory = 0;
  const watch = setInterval(() => {
    memory = Math.max(memory, memoryOf(running.pid));
  }, 25);
  const outcome = await running.done.finally(() => clearInterval(watch));
  const said = `${command} ${args.join(' ')} ended with ${outcome.code ?? outcome.signal}\n${outcome.output.slice(-4000)}`;
  // PostgreSQL's word for what the archive does not have
  const isMissing = command === 'archive-get' && outcome.code === 1;
  if (!isMissing) expect(mistakes, said).not.toContain(outcome.code);
  expect(outcome.output, said).not.toMatch(/\bat .*(main|thread)\.cjs:\d+|TypeError|RangeError \[|Maximum call stack/);
  if (outcome.code !== 0 && !isMissing && command !== 'verify')
    expect(outcome.output, said).toMatch(/ERROR: \[\d{3}\]|error|invalid|missing/i);
  expect(memory, `kilobytes: ${said}`).toBeLessThan(mostMemory);
  sweep.tried(`${command}: ${outcome.code === 0 ? 'well' : 'refused'}`);
  return outcome;
}

/** Most kilobytes that a process ever had; 0 when it is gone. */
function memoryOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The commands, one after another; those that change the repository at last. */
async function runAll(repo: string, random: Random): Promise<void> {
  const backups = join(repo, 'backup/demo');
  const names = existsSync(backups) && statSync(backups).isDirectory() ? readdirSync(backups) : [];
  const labels = names.filter(name => /^\d{8}-\d{6}F/.test(name));
  const [target, space] = [bed.newFolder(), bed.newFolder()];
  const label = labels.at(random.between(-2, 0)) ?? '20261121-020956F';
  const segment = random.pick(['000000010000000000000001', '000000010000000000000002', '00000002.history']);
  const reading: readonly [string, ...string[]][] = [
    ['info', '--output=json'],
    ['info', `--set=${label}`],
    ['verify', '--output=text', '--verbose'],
    ['restore', `--set=${label}`, `--pg1-path=${target}`, `--tablespace-map-all=${space}`],
    ['restore', '--delta', `--pg1-path=${target}`, `--tablespace-map-all=${space}`],
    ['archive-get', segment, join(space, 'fetched')],
    ['repo-ls', '--recurse', '--output=json'],
    ['manifest', `--set=${label}`, '--output=json'],
  ];
  const changing: readonly [string, ...string[]][] = [
    ['annotate', `--set=${label}`, '--annotation=a=b'],
    ['backup', '--type=incr', '--force'],
    ['archive-push', join(bed.cluster.data, 'pg_wal/000000010000000000000002')],
    ['expire', '--repo1-retention-full=1', '--repo1-retention-archive=1'],
  ];
  const chosen = (commands: typeof reading, most: number) =>
    commands.filter((_, index) => shortOrFull(index % commands.length < most, true));
  const before = shape(repo);
  for (const [command, ...args] of shuffled(chosen(reading, 4), random)) {
    const { code, stdout } = await attempt(command, args);
    if (code === 0 && args.includes('--output=json'))
      expect(() => JSON.parse(stdout), `${command}: ${stdout}`).not.toThrow();
  }
  expect(shape(repo)).toBe(before);
  for (const [command, ...args] of shuffled(chosen(changing, 2), random)) await attempt(command, args);
  await attempt('stop', []);
  await attempt('stanza-delete', []);
  rmSync(target, { recursive: true });
  rmSync(space, { recursive: true });
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const rest = [...list];
  return list.map(() => rest.splice(random.between(0, rest.length - 1), 1)[0] as T);
}

it('commands on hostile repositories end, say why, and touch nothing else', async () => {
  const beyond = [outside, bed.cluster.data];
  const repo = join(root, 'repo');
  for (let number = 1; number <= shortOrFull(4, 120); number++) {
    // of its own, so that one case can be seen again alone
    const random = new Random(sweep.seed * 1000 + number);
    const index = (number - 1) % variants.length;
    rmSync(repo, { recursive: true, force: true });
    execFileSync('cp', ['-a', template(index), repo]);
    bed.configure({ ...variants[index], 'repo1-path': repo, 'spool-path': bed.newFolder() });
    const done = Array.from({ length: random.between(1, 3) }, () => spoil(repo, outside, random));
    execFileSync('chown', ['-hR', '--reference', root, repo]);
    const before = beyond.map(shape).join('\n');
    await sweep.case(`case ${number}: ${done.join('; ')}`, async () => {
      await runAll(repo, random);
      expect(beyond.map(shape).join('\n')).toBe(before);
      expect(existsSync('/tmp/evil')).toBe(false);
    });
  }
}, 3_600_000);
