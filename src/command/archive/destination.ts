/**
 * The place of one archived file in one repository, while it is written. A repository that fails must not keep the
 * others from getting the file, so nothing here throws: the first failure is kept.
 */
import type { Codecs, StepSpec } from '../../codec/codecs.ts';
import { openPipeline, type Pipeline } from '../../codec/pipeline.ts';
import { isWalSegmentFile } from '../../postgres/wal.ts';
import { archiveFilePath } from '../../repo/layout.ts';
import type { ByteSink, StagedSink } from '../../storage/storage.ts';
import type { PushTarget } from './push-target.ts';

export class Destination {
  readonly target: PushTarget;
  readonly #codecs: Codecs;
  #sink: { write: ByteSink['write']; abort(): Promise<void>; commit(path: string): Promise<void> } | undefined;
  #encryption: Pipeline | undefined;
  #pressure: Promise<void> | undefined;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(target: PushTarget, codecs: Codecs) {
    this.target = target;
    this.#codecs = codecs;
  }

  /** What went wrong, once something has. */
  get failure(): { readonly thrown: unknown } | undefined {
    return this.#failure;
  }

  /**
   * @param name of the file as PostgreSQL knows it
   * @param stored name it gets in the archive, when that is known already
   */
  async open(name: string, stored: string | undefined): Promise<void> {
    const { storage } = this.target.repo;
    await this.#attempt(async () => {
      const { paths } = storage;
      if (paths !== undefined) {
        const sink: StagedSink = await paths.stage(this.#pathOf(name));
        this.#sink = sink;
      } else if (stored !== undefined) {
        // PostgreSQL gives history files again
        const sink = await storage.write(this.#pathOf(stored), { permanent: isWalSegmentFile(name) });
        this.#sink = { write: chunk => sink.write(chunk), abort: () => sink.abort(), commit: () => sink.commit() };
      } else throw new Error('storage needs the name of a file before its content');
      const { passphrase } = this.target;
      if (passphrase === undefined) return;
      const steps: StepSpec[] = [{ step: 'encrypt', passphrase, raw: false }];
      this.#encryption = openPipeline(steps, this.#codecs, chunk => this.#write(chunk));
    });
  }

  /** Takes the chunk before it returns; a promise that it returns is back-pressure. */
  push(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) return undefined;
    try {
      if (this.#encryption === undefined) this.#write(chunk);
      else this.#encryption.push(chunk);
    } catch (thrown) {
      this.#failure = { thrown };
    }
    return this.#settle();
  }

  /** No more bytes come: makes the file durable under its name. Afterwards `failure` tells whether it is. */
  async commit(stored: string): Promise<void> {
    await this.#attempt(async () => {
      this.#encryption?.end();
      await this.#settle();
      if (this.#failure === undefined) await this.#sink?.commit(this.#pathOf(stored));
    });
    if (this.#failure !== undefined) await this.abort();
    this.#encryption?.close();
  }

  /** Removes what was written. */
  async abort(): Promise<void> {
    this.#encryption?.close();
    const sink = this.#sink;
    this.#sink = undefined;
    await this.#attempt(async () => sink?.abort());
  }

  #pathOf(name: string): string {
    const { repo, archiveId } = this.target;
    return `${archiveFilePath(repo.stanza, archiveId, name)}/${name}`;
  }

  #write(chunk: Uint8Array): void {
    const waiting = this.#sink?.write(chunk);
    if (waiting === undefined) return;
    const previous = this.#pressure;
    this.#pressure = previous === undefined ? waiting : Promise.all([previous, waiting]).then(() => undefined);
  }

  #settle(): Promise<void> | undefined {
    const pressure = this.#pressure;
    this.#pressure = undefined;
    return pressure === undefined ? undefined : this.#attempt(() => pressure);
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#failure ??= { thrown };
    }
  }
}
