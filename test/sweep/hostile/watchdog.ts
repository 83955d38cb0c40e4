/**
 * Ends this process when one case never ends: what turns in a circle never comes back to a timer, so that a thread looks
 * at the clock. The input of that case is kept.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { projectRoot } from '../../support/unprivileged-project.ts';

/** Seconds on the clock: much, for the machine may be busy. */
const patience = 90;

const inputRoom = 2 * 1024 * 1024;
const nameRoom = 128;
/** Number of the case, whether it runs, bytes of its input, bytes of its name. */
const numbers = 4;

const code = `
  const { workerData: { shared, patience, folder, numbers, nameRoom } } = require('node:worker_threads');
  const { mkdirSync, writeFileSync, writeSync } = require('node:fs');
  const state = new Int32Array(shared, 0, numbers);
  let seen = -1, since = Date.now();
  setInterval(() => {
    const [number, runs, length, nameLength] = state;
    if (number !== seen || runs === 0) { seen = number; since = Date.now(); return; }
    if (Date.now() - since < patience * 1000) return;
    const bytes = Buffer.from(shared, numbers * 4);
    mkdirSync(folder, { recursive: true });
    writeFileSync(folder + '/hostile-hang.bin', bytes.subarray(nameRoom, nameRoom + length));
    writeSync(2, 'hostile: a case of ' + bytes.toString('utf8', 0, nameLength) + ' does not end: ' + folder + '/hostile-hang.bin\\n');
    process.kill(process.pid, 'SIGKILL');
  }, 1000);
`;

export class Watchdog {
  readonly #shared = new SharedArrayBuffer(numbers * 4 + nameRoom + inputRoom);
  readonly #state = new Int32Array(this.#shared, 0, numbers);
  readonly #bytes = Buffer.from(this.#shared, numbers * 4);
  readonly #worker: Worker;

  constructor() {
    const folder = join(projectRoot(), '.test', 'sweep');
    const workerData = { shared: this.#shared, patience, folder, numbers, nameRoom };
    this.#worker = new Worker(code, { eval: true, workerData });
    this.#worker.unref();
  }

  /** A case begins. */
  enter(name: string, input: Buffer): void {
    this.#state[3] = this.#bytes.write(name, 0, nameRoom, 'utf8');
    this.#state[2] = input.copy(this.#bytes, nameRoom, 0, Math.min(input.length, inputRoom));
    Atomics.add(this.#state, 0, 1);
    this.#state[1] = 1;
  }

  /** It has ended. */
  leave(): void {
    this.#state[1] = 0;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
