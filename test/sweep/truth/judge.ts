/** What must be said of damage, and what must come of it. Each of these throws when it does not. */
import { join } from 'node:path';
import type { CommandResult } from '../../support/command-run.ts';
import type { Random } from '../../support/random.ts';
import type { Sweep } from '../../support/sweep/sweep.ts';
import { describeFlip, type Flip, withFlips } from './flips.ts';
import { type Kind, type RepoFile, shownPath } from './repo-file.ts';
import type { KnownBackup, TruthBed } from './truth-bed.ts';

/** What the format has no checksum for: damage is told where the text is none any more, and cannot be known else. */
const withoutChecksum: ReadonlySet<Kind> = new Set(['timeline history', 'backup history file']);

/** What nothing is ever restored from. */
const neverRead: ReadonlySet<Kind> = new Set(['history manifest']);

/** Files that verify says are not what they should be, as it shows them. */
export function toldOf(log: readonly string[]): Set<string> {
  const told = new Set<string>();
  for (const line of log) {
    const match = /(?:file missing|invalid checksum|invalid size) '(.*)'$/.exec(line);
    const name = match?.[1] ?? /invalid result (.*?): \[\d+\]/.exec(line)?.[1];
    if (name !== undefined) told.add(name);
  }
  return told;
}

const said = (result: CommandResult): string =>
  [...result.log, result.output, result.error?.text ?? ''].filter(text => text !== '').join('\n');

export class Judge {
  readonly #sweep: Sweep;
  readonly #bed: TruthBed;
  readonly #repo: string;
  readonly #random: Random;

  constructor(sweep: Sweep, bed: TruthBed) {
    this.#sweep = sweep;
    this.#bed = bed;
    this.#repo = bed.repo;
    this.#random = sweep.random;
  }

  /** Nothing is damaged, and nothing is told. */
  async sound(): Promise<void> {
    const result = await this.#bed.verify();
    if (result.log.length > 0 || result.output !== '' || result.error !== undefined)
      throw new Error(`of a sound repository verify says\n${said(result)}`);
    for (const backup of this.#bed.backups) await this.#restoreExactly(backup);
  }

  /** One bit in each of some files: verify tells of all of them, and of no other file. */
  async round(flips: readonly Flip[]): Promise<void> {
    const all = flips.map(describeFlip).join('\n  ');
    const result = await withFlips(this.#repo, flips, () => this.#bed.verify());
    const fail = (what: string): never => {
      throw new Error(`${what}; damaged were\n  ${all}\nverify says\n${said(result)}`);
    };
    if (result.error !== undefined) fail('verify has failed');
    const told = toldOf(result.log);
    const shown = new Set(flips.map(({ file }) => shownPath(file)));
    for (const name of told) {
      // of two histories that contradict each other nobody knows which is the right one
      const isOpen = name.endsWith('.history') && [...shown].some(other => other.endsWith('.history'));
      if (!shown.has(name) && !isOpen) fail(`verify accuses ${name}, which is sound`);
    }
    for (const flip of flips) {
      const { kind } = flip.file;
      this.#sweep.tried(`verify: ${kind}`);
      if (this.#isTold(flip.file, told, result)) continue;
      if (withoutChecksum.has(kind)) this.#sweep.tried(`verify cannot know: ${kind}`);
      else if (neverRead.has(kind) || (await this.#isHarmless(flip))) this.#sweep.tried(`verify, no harm: ${kind}`);
      else fail(`verify does not tell of ${describeFlip(flip)}, which does harm`);
    }
  }

  #isTold(file: RepoFile, told: ReadonlySet<string>, result: CommandResult): boolean {
    if (file.twin !== undefined)
      return result.log.some(line => line.startsWith(`WARN: '${join(this.#repo, file.path)}' is damaged`));
    if (!told.has(shownPath(file))) return false;
    if (!result.output.includes('status: error'))
      throw new Error(`the status is not that of an error\n${said(result)}`);
    const isInvalid = file.label === undefined || result.output.includes(`backup: ${file.label}, status: invalid`);
    if (!isInvalid) throw new Error(`backup ${file.label} is not told of\n${said(result)}`);
    return true;
  }

  /** Whether all that can be had from the repository is what it was: the bit means nothing. */
  #isHarmless(flip: Flip): Promise<boolean> {
    const { kind, archived } = flip.file;
    return withFlips(this.#repo, [flip], async () => {
      if (archived !== undefined) return await this.#isSameArchived(archived);
      if (kind !== 'data file' && kind !== 'bundle' && kind !== 'block file') return false;
      for (const { label, content } of this.#bed.backups) {
        const restored = await this.#bed.restore(label);
        if (JSON.stringify(restored.content) !== JSON.stringify(content)) return false;
      }
      return true;
    });
  }

  async #isSameArchived(name: string): Promise<boolean> {
    const { bytes } = await this.#bed.get(name);
    return bytes?.equals(this.#bed.archived.get(name) ?? Buffer.alloc(0)) === true;
  }

  /** One bit: what is asked for comes as it was, or an error says why not. */
  async use(flip: Flip): Promise<void> {
    const { kind, archived, twin } = flip.file;
    await this.#sweep.case(describeFlip(flip), () =>
      withFlips(this.#repo, [flip], async () => {
        if (archived !== undefined) await this.#getFrom(flip, archived);
        else if (twin !== undefined || neverRead.has(kind)) await this.#restoreExactly(this.#anyBackup());
        else await this.#restoreFrom(flip);
        if (kind === 'archive.info' && !(await this.#isSameArchived([...this.#bed.archived.keys()][0] ?? '')))
          throw new Error('a segment is not got any more, though one copy of archive.info is sound');
      }),
    );
  }

  #anyBackup(): KnownBackup {
    return this.#random.pick(this.#bed.backups);
  }

  async #getFrom({ file }: Flip, name: string): Promise<void> {
    const { result, bytes } = await this.#bed.get(name);
    const expected = this.#bed.archived.get(name);
    if (withoutChecksum.has(file.kind)) {
      this.#sweep.tried(`archive-get: ${file.kind}`);
      return;
    }
    if (bytes === undefined) {
      if (result.code === 1) throw new Error(`'not in the archive' ends a recovery early\n${said(result)}`);
      const log = said(result);
      if (!log.includes(name)) throw new Error(`the error does not name ${name}\n${log}`);
      this.#sweep.tried(`archive-get fails: ${file.kind}`);
    } else if (expected !== undefined && bytes.equals(expected)) {
      this.#sweep.tried(`archive-get is right: ${file.kind}`);
    } else {
      throw new Error(`archive-get gave something else\n${said(result)}`);
    }
  }

  async #restoreFrom({ file }: Flip): Promise<void> {
    const { label, content } = this.#anyBackup();
    const restored = await this.#bed.restore(label);
    const log = said(restored.result);
    if (restored.content === undefined) {
      const isNamed = log.includes(restored.target) || log.includes(join(this.#repo, file.path));
      if (!isNamed) throw new Error(`the error names no file\n${log}`);
      this.#sweep.tried(`restore fails: ${file.kind}`);
    } else {
      checkSame(restored.content, content, log);
      this.#sweep.tried(`restore is right: ${file.kind}`);
    }
  }

  async #restoreExactly({ label, content }: KnownBackup): Promise<void> {
    const restored = await this.#bed.restore(label);
    const log = said(restored.result);
    if (restored.content === undefined) throw new Error(`restore of ${label} failed\n${log}`);
    checkSame(restored.content, content, log);
    this.#sweep.tried('restore is right: info files');
  }

  /** A bit in both copies of an info file: nothing is restored by guess. */
  async pair(first: Flip, second: Flip): Promise<void> {
    const { kind, label } = first.file;
    await this.#sweep.case(`${describeFlip(first)}, ${describeFlip(second)}`, () =>
      withFlips(this.#repo, [first, second], async () => {
        const result = await this.#bed.verify();
        const expected = label === undefined ? `No usable ${kind} file` : `backup: ${label}, status: invalid`;
        if (!result.output.includes(expected)) throw new Error(`verify does not tell\n${said(result)}`);
        this.#sweep.tried(`verify, both copies: ${kind}`);
        if (kind === 'archive.info') {
          const got = await this.#bed.get([...this.#bed.archived.keys()][0] ?? '');
          if (got.bytes !== undefined || got.result.code === 1) throw new Error(`archive-get\n${said(got.result)}`);
          return;
        }
        const restored = await this.#bed.restore(label ?? this.#anyBackup().label);
        if (restored.content !== undefined) throw new Error(`it was restored\n${said(restored.result)}`);
        if (!said(restored.result).includes(join(this.#repo, first.file.path)))
          throw new Error(`the error names no file\n${said(restored.result)}`);
      }),
    );
  }
}

function checkSame(
  actual: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string>>,
  log: string,
): void {
  const names = new Set([...Object.keys(actual), ...Object.keys(expected)]);
  const other = [...names].filter(name => actual[name] !== expected[name]);
  if (other.length > 0) {
    const lines = other.map(
      name => `${name}: ${actual[name] ?? 'not there'} instead of ${expected[name] ?? 'nothing'}`,
    );
    throw new Error(`restored without an error, but not right\n${lines.join('\n')}\n${log}`);
  }
}
