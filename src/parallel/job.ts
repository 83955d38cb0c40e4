/** What the main thread and its workers say to each other: plain data only. */
import type { PlainError } from '../base/error.ts';

/** Jobs by name, each with the types of its input and output. A command declares its own. */
export type JobTypes = Readonly<Record<string, { readonly input: unknown; readonly output: unknown }>>;

export type JobHandlers<J extends JobTypes> = {
  readonly [N in keyof J]: (input: J[N]['input']) => Promise<J[N]['output']>;
};

/** One piece of work for a worker. `tag` stays in the main thread and comes back with the outcome. */
export type Job<J extends JobTypes, T> = {
  [N in keyof J]: { readonly name: N; readonly input: J[N]['input']; readonly tag: T };
}[keyof J];

export type Outcome<J extends JobTypes, T> = {
  [N in keyof J]: {
    readonly name: N;
    readonly tag: T;
    /** Number of the worker, from 1, as log lines show it. */
    readonly worker: number;
    readonly output: J[N]['output'];
  };
}[keyof J];

export interface JobRequest {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}

export type JobReply =
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly error: PlainError };
