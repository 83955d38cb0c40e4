/** Processes of ours and of the real tool, as /proc shows them. */
import { readdirSync, readFileSync } from 'node:fs';
import { sleep } from './turn.ts';

export interface Process {
  readonly pid: number;
  readonly line: string;
}

/** What is gone while it is looked at. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** All processes with a configuration in this folder, but for the shells that start them. */
export function processesOf(folder: string): Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => ({ pid: Number(name), line: readOrNothing(`/proc/${name}/cmdline`).replaceAll('\0', ' ') }))
    .filter(({ line }) => line.includes(`--config=${folder}`) && !/^\S*sh /.test(line));
}

/** The most memory that processes of ours had, in megabytes, by command and role. */
export class MemoryWatch {
  readonly peaks = new Map<string, number>();
  readonly #folder: string;
  readonly #program: string;
  #isEnding = false;
  readonly #running: Promise<void>;

  /** @param program the launcher of our tool */
  constructor(folder: string, program: string) {
    this.#folder = folder;
    this.#program = program;
    this.#running = this.#run();
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (; !this.#isEnding; await sleep(500)) {
      for (const { pid, line } of processesOf(this.#folder)) {
        if (!line.includes(this.#program)) continue;
        const [, kilobytes = '0'] = /VmHWM:\s+(\d+) kB/.exec(readOrNothing(`/proc/${pid}/status`)) ?? [];
        const command = /\s(archive-get|archive-push|backup|restore|expire|verify|check|info)(:\w+)?(\s|$)/.exec(line);
        const name = command === null ? 'other' : `${command[1]}${command[2] ?? ''}`;
        this.peaks.set(name, Math.max(this.peaks.get(name) ?? 0, Math.round(Number(kilobytes) / 1024)));
      }
    }
  }
}
