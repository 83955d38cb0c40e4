/** One after another: who takes the turn waits for all who took it before. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve();

  take<Result>(run: () => Promise<Result>): Promise<Result> {
    const mine = this.#last.then(run);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

export const sleep = (milliseconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, milliseconds));

/** @throws when the condition does not come true; the time is generous, as the machine may be busy */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  milliseconds = 900_000,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${milliseconds} ms in vain: ${what}`);
    await sleep(100);
  }
}
