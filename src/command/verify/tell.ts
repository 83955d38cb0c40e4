/** Tells of files that are not what they should be, and counts them. */
import type { Log } from '../../base/log.ts';
import type { VerifyVerdict } from './job.ts';
import type { Fault } from './outcome.ts';

const words = { missing: 'file missing', checksum: 'invalid checksum', size: 'invalid size' } as const;

export class Told {
  /** Problems that make the status an error. */
  errors = 0;
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param file path below the stanza's directory */
  fault(verdict: Exclude<VerifyVerdict, 'valid'>, file: string, worker: number): Fault {
    this.errors++;
    const log = this.#log.worker(worker);
    if (typeof verdict === 'string') {
      log.info(`${words[verdict]} '${file}'`);
      return verdict;
    }
    log.info(`invalid result ${file}: [${verdict.code}] ${verdict.message}`);
    return 'other';
  }
}
