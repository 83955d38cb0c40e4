/** Backups of all kinds by both tools in turns, some of them killed or stopped, and expiry. */
import { setTimeout as after } from 'node:timers/promises';
import { expect } from 'vitest';
import { codecs, type Name, type SoakBed } from './bed.ts';
import { type BackupType, type Catalog, judgeKnowsBlocks } from './catalog.ts';
import { expectRetention } from './retention.ts';

export class Backups {
  readonly #bed: SoakBed;
  readonly #catalog: Catalog;

  constructor(bed: SoakBed, catalog: Catalog) {
    this.#bed = bed;
    this.#catalog = catalog;
  }

  /** A tool that can make a backup of this type after what is there. */
  async #toolFor(type: BackupType): Promise<Name> {
    const list = await this.#catalog.list();
    const prior = type === 'incr' ? list.at(-1) : list.findLast(backup => backup.type === 'full');
    return this.#bed.anyTool(type === 'full' || prior === undefined ? undefined : this.#catalog.readers(prior));
  }

  #arguments(name: Name, type: BackupType): string[] {
    const { random } = this.#bed;
    const args = ['backup', `--type=${type}`, `--compress-type=${random.pick(codecs)}`];
    args.push(`--process-max=${random.between(1, 2)}`);
    if (random.chance(30)) args.push('--delta');
    if (random.chance(50)) {
      args.push('--repo1-bundle', `--repo1-bundle-limit=${random.pick(['16KiB', '1MiB', '2MiB'])}`);
      if ((name === 'ours' || judgeKnowsBlocks) && random.chance(50)) args.push('--repo1-block');
    } else if (random.chance(30) && (name === 'ours' || !this.#catalog.hasBundles)) {
      // the real tool looks for a file to link even where an earlier backup has it in a bundle
      args.push('--repo1-hardlink');
    }
    return args;
  }

  /**
   * The server may be stopped meanwhile, and then the backup must fail: it is made again. Neither tool can make one in whose
   * first moments a tablespace is created: the server has not told of it when the backup began.
   */
  async #make(name: Name, args: readonly string[]): Promise<void> {
    for (;;) {
      await this.#bed.up();
      const { stops } = this.#bed;
      const { spaceChanges } = this.#bed.objects;
      const { code, signal, stdout, stderr } = await this.#bed.attempt(name, args);
      if (code === 0) break;
      if (/tablespace with oid \d+ not found/.test(stderr) && spaceChanges !== this.#bed.objects.spaceChanges) {
        this.#bed.journal.note('backup with a new tablespace', `by ${name}: ${code}`);
        continue;
      }
      const said = `${name} ${args.join(' ')} ended with ${code ?? signal}\n${stdout}${stderr}`;
      if (stops === this.#bed.stops) throw new Error(said);
      this.#bed.journal.note('backup without its server', `${code}: ${stderr.split('\n')[0]}`);
      expect(stderr, said).toMatch(/ERROR: \[\d{3}\]/);
    }
    await this.#catalog.learn();
  }

  async backup(type: BackupType): Promise<void> {
    const name = await this.#toolFor(type);
    const args = this.#arguments(name, type);
    this.#bed.changeArchiver();
    this.#bed.journal.add(`backup by ${name}: ${args.join(' ')}`);
    await this.#make(name, args);
  }

  /** A backup is killed; the next one of the same kind goes on with it, or removes it, and so does one of another kind. */
  async killed(): Promise<void> {
    const { random, journal } = this.#bed;
    const type = random.pick(['full', 'full', 'diff', 'incr'] as const);
    const name = await this.#toolFor(type);
    const args = [...this.#arguments(name, type), '--manifest-save-threshold=1KiB'];
    this.#bed.changeArchiver();
    await this.#bed.up();
    const { stops } = this.#bed;
    const { spaceChanges } = this.#bed.objects;
    const killAfter = random.between(100, 1500);
    const { code, signal, stdout, stderr } = await this.#bed.attempt(name, args, { killAfter });
    journal.note('kill', `of ${name} after ${killAfter} ms (${signal ?? 'too late'}): ${args.join(' ')}`);
    const isDisturbed = stops !== this.#bed.stops || spaceChanges !== this.#bed.objects.spaceChanges;
    if (signal === undefined && !isDisturbed) expect(code, `${stdout}${stderr}`).toBe(0);
    // a killed one may be listed already while it expires what is too old
    await this.#catalog.learn();
    if (random.chance(50)) {
      journal.add(`backup again by ${name}`);
      await this.#make(name, args);
    }
  }

  /**
   * All work of the stanza is stopped, in the middle of a backup: nothing begins until it is allowed again. The backup itself
   * goes on, if it is not forced to end; but its WAL has to wait, so that nobody waits for it here.
   */
  async stopped(): Promise<void> {
    const { random, journal } = this.#bed;
    const force = random.chance(50);
    const args = this.#arguments('ours', 'incr');
    const running = this.#bed.attempt('ours', args);
    await after(random.between(50, 800));
    await this.#bed.succeed('ours', force ? ['stop', '--force'] : ['stop']);
    const refused = await this.#bed.attempt('ours', ['backup']);
    const archiving = await this.#bed.attempt('ours', ['archive-push', 'pg_wal/000000010000000000000001']);
    await after(random.between(0, 3000));
    await this.#bed.succeed('ours', ['start']);
    const interrupted = await running;
    journal.note('stop', `${force ? '--force ' : ''}in a backup that ended with ${interrupted.code}`);
    // the lock is asked for first, and the backup may have it still
    expect(refused.code === 50 ? 62 : refused.code, refused.stdout + refused.stderr).toBe(62);
    expect(archiving, archiving.stdout + archiving.stderr).toMatchObject({ code: 62 });
    if (interrupted.code !== 0) expect(interrupted.stderr).toMatch(/ERROR: \[\d{3}\]/);
    await this.#catalog.learn();
  }

  async expire(): Promise<void> {
    const { random, journal } = this.#bed;
    const name = this.#bed.anyTool();
    const before = await this.#catalog.list();
    const newest = before.findLast(({ type }) => type === 'full');
    const single = before.filter(({ label }) => newest !== undefined && label !== newest.label);
    const args = ['expire'];
    if (random.chance(30) && single.length > 0) {
      args.push(`--set=${random.pick(single).label}`);
    } else {
      // not with a set: WAL would go that the backups that stay need to go further than to their end
      args.push(`--repo1-retention-full=${random.between(1, 3)}`);
      if (random.chance(30)) args.push('--repo1-retention-diff=1');
    }
    if (random.chance(15)) args.push('--dry-run');
    const killAfter = random.chance(30) ? random.between(50, 300) : undefined;
    const attempt = killAfter === undefined ? {} : { killAfter };
    const { code, signal, stdout, stderr } = await this.#bed.attempt(name, args, attempt);
    journal.note('expire', `by ${name}: ${args.join(' ')}${signal === undefined ? '' : ` (${signal})`}`);
    if (signal !== undefined) journal.note('kill', 'of expire');
    else expect(code, `${stdout}${stderr}`).toBe(0);
    const labels = await this.#expectWhole();
    expect(labels).toContain(newest?.label);
    if (args.includes('--dry-run')) expect(labels).toEqual(before.map(({ label }) => label));
  }

  /** Every backup has what it refers to. @returns their labels */
  async #expectWhole(): Promise<string[]> {
    const list = await this.#catalog.list();
    const labels = list.map(({ label }) => label);
    for (const { reference } of list) for (const label of reference ?? []) expect(labels).toContain(label);
    return labels;
  }

  /** With nobody at work: what retention says is there, and nothing else. */
  async retained(): Promise<void> {
    // where there are fewer full backups than are to be kept, all WAL stays
    const output = await this.#bed.succeed('ours', ['expire', '--repo1-retention-full=1']);
    await this.#expectWhole();
    const { stanza, journal } = this.#bed;
    expectRetention(stanza.repo, await this.#catalog.list(), output, journal.count('kill'));
  }
}
