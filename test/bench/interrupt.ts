/** An interrupt ends the command that is measured, which has it from the terminal too, and the bench after it. */

export interface Interrupt {
  /** Was there one? */
  readonly seen: boolean;
  /** @throws when there was one: what was made is cleaned up on the way out */
  check(): void;
}

/** From now on SIGINT and SIGTERM no longer end this process by themselves. */
export function watchInterrupt(): Interrupt {
  let seen = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      seen = true;
    });
  }
  return {
    get seen() {
      return seen;
    },
    check() {
      if (seen) throw new Error('interrupted');
    },
  };
}
