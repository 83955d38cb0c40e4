/** Tells the demo: titles with times, the commands as typed, and their output. Colours on a terminal only. */

export class Narrator {
  readonly #colour: boolean;
  readonly #out: NodeJS.WriteStream;
  #step = 0;

  readonly #signal: AbortSignal;

  /** @param signal no further step begins once it is aborted */
  constructor(out: NodeJS.WriteStream, env: NodeJS.ProcessEnv, signal: AbortSignal) {
    this.#out = out;
    this.#signal = signal;
    this.#colour = out.isTTY === true && env.NO_COLOR === undefined;
  }

  #paint(code: number, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  line(text = ''): void {
    this.#out.write(`${text}\n`);
  }

  /** Does one step of the story, with its title before and its time after. */
  async step<T>(title: string, act: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    this.#step++;
    this.line(this.#paint(1, `${this.#step}. ${title}`));
    const begin = performance.now();
    const result = await act();
    this.line(this.#paint(2, `   done in ${((performance.now() - begin) / 1000).toFixed(1)} s`));
    return result;
  }

  /** A command as one could type it. */
  command(text: string): void {
    this.line(this.#paint(36, `   $ ${text}`));
  }

  /** What a command said, or a fact about it. */
  output(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.line(line === '' ? '' : `   ${line}`);
  }

  success(text: string): void {
    this.line(this.#paint(32, text));
  }

  failure(text: string): void {
    this.line(this.#paint(31, text));
  }
}
