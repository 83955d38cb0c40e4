/** What nobody should do to asynchronous archiving, and what comes all the same. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { SoakBed } from './bed.ts';
import { processesOf } from './processes.ts';

export class Harm {
  readonly #bed: SoakBed;

  constructor(bed: SoakBed) {
    this.#bed = bed;
  }

  /** Processes that push WAL are killed. */
  async killArchivers(): Promise<void> {
    const { random, journal, stanza } = this.#bed;
    const isBackground = random.chance(70);
    this.#bed.changeArchiver(isBackground || random.chance(50));
    for (let times = random.between(1, 4); times > 0; times--) {
      await this.#work();
      const end = performance.now() + 5000;
      let killed = false;
      while (!killed && performance.now() < end) {
        for (const { pid, line } of processesOf(stanza.folder)) {
          if (!line.includes(isBackground ? 'archive-push:async' : 'archive-push')) continue;
          await after(random.between(0, 40));
          killed = kill(pid) || killed;
        }
        await after(random.between(1, 20));
      }
      journal.note(killed ? 'kill' : 'late kill', `of ${isBackground ? 'the background of ' : ''}archive-push`);
    }
    await this.#works();
  }

  /** The spool has no space, or is not to be written, for a while. */
  async spoilSpool(): Promise<void> {
    const { random, journal, stanza, cluster } = this.#bed;
    const spool = join(stanza.folder, 'spool');
    const out = join(spool, 'archive', 'demo', 'out');
    if (!existsSync(out)) return;
    const milliseconds = random.between(500, 6000);
    const isMounted = cluster.user.foreign && random.chance(70) && mountSmall(spool, cluster.user.uid);
    // the foreground of 2.45 waits for archive-timeout where its background cannot write what is wrong
    this.#bed.changeArchiver(true, 'ours');
    journal.note('spool', `${isMounted ? 'full' : 'not to be written'} for ${milliseconds} ms`);
    try {
      if (isMounted) fill(spool);
      else chmodSync(out, 0o500);
      await this.#work();
      await after(milliseconds);
    } finally {
      if (isMounted) execFileSync('umount', ['-l', spool]);
      else chmodSync(out, 0o750);
    }
    await this.#works();
  }

  /** There is WAL to be archived. */
  async #work(): Promise<void> {
    await this.#bed.server.take(() => this.#bed.cluster.switchWal());
  }

  /** WAL is archived again. */
  async #works(): Promise<void> {
    await this.#bed.server.take(async () => {
      await this.#bed.archived(String(await this.#bed.cluster.value('select pg_current_wal_insert_lsn()')));
      await this.#bed.succeed('ours', ['check']);
    });
  }
}

/** @returns false when it has ended before */
function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** A small file system in place of the folder. @returns false where we may not mount one */
function mountSmall(folder: string, uid: number): boolean {
  try {
    const options = `size=64k,nr_inodes=16,uid=${uid},mode=750`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'pgbackstop-soak', folder], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

/** Leaves no byte and no name. */
function fill(folder: string): void {
  for (const bytes of [4096, 0]) {
    try {
      for (let n = 0; ; n++) writeFileSync(join(folder, `ballast-${bytes}-${n}`), Buffer.alloc(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}
