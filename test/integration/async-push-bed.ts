/** Asynchronous archive-push without a server: segments that are ready, what the spool says of them, and the archiver's part. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { inspectLock } from '../../src/base/lock.ts';
import { ArchiveBed, type ArchiveBedOptions, type Outcome } from '../command/archive/archive-bed.ts';
import type { RunOptions } from '../support/unprivileged.ts';

export const segmentName = (number: number): string =>
  `00000001${'0'.repeat(8)}${number.toString(16).toUpperCase().padStart(8, '0')}`;

export class AsyncPushBed {
  readonly bed: ArchiveBed;

  private constructor(bed: ArchiveBed) {
    this.bed = bed;
  }

  static async create(options: ArchiveBedOptions = {}): Promise<AsyncPushBed> {
    return new AsyncPushBed(await ArchiveBed.create(options));
  }

  get out(): string {
    return join(this.bed.folder, 'spool/archive/demo/out');
  }

  get spool(): string {
    return join(this.bed.folder, 'spool/archive/demo');
  }

  /** PostgreSQL has ended a segment. @returns its content */
  ready(number: number, ...fields: Parameters<ArchiveBed['segment']> extends [string, ...infer Rest] ? Rest : never) {
    const name = segmentName(number);
    const content = this.bed.segment(name, ...fields);
    this.bed.write(`data/pg_wal/archive_status/${name}.ready`, '');
    return content;
  }

  /** As archive_command does it. */
  push(number: number | string, options: readonly string[] = [], run: RunOptions = {}): Promise<Outcome> {
    const name = typeof number === 'number' ? segmentName(number) : number;
    return this.bed.push(`pg_wal/${name}`, ['--archive-async', '--log-level-file=detail', ...options], run);
  }

  /** PostgreSQL's archiver: hands over what is ready, in order, until nothing is or the command fails. */
  async archive(options: readonly string[] = []): Promise<Outcome | undefined> {
    for (;;) {
      const [name] = this.waiting();
      if (name === undefined) return undefined;
      const outcome = await this.push(name, options);
      if (outcome.code !== 0) return outcome;
      this.take(name);
    }
  }

  /** PostgreSQL takes note that the file is archived, and lets it go. */
  take(name: string): void {
    rmSync(join(this.bed.dataDirectory, `pg_wal/archive_status/${name}.ready`));
    rmSync(join(this.bed.dataDirectory, `pg_wal/${name}`));
  }

  waiting(): string[] {
    return readdirSync(join(this.bed.dataDirectory, 'pg_wal/archive_status'))
      .map(name => name.replace('.ready', ''))
      .sort();
  }

  /** Names in the spool's `out`. */
  statuses(): string[] {
    return existsSync(this.out) ? readdirSync(this.out).sort() : [];
  }

  status(file: string): string {
    return readFileSync(join(this.out, file), 'utf8');
  }

  /** The background process's log. */
  log(): string {
    const file = join(this.bed.folder, 'log/demo-archive-push-async.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** The process that holds the archive lock. */
  background(): number | undefined {
    const lock = inspectLock(join(this.bed.folder, 'lock/demo-archive-1.lock'));
    return lock.state === 'held' ? lock.content?.pid : undefined;
  }

  async backgroundEnds(): Promise<void> {
    await until(() => inspectLock(join(this.bed.folder, 'lock/demo-archive-1.lock')).state !== 'held');
  }

  dispose(): void {
    this.bed.dispose();
  }
}

export async function until(condition: () => boolean, milliseconds = 20_000): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${milliseconds} ms for nothing: ${condition}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}
