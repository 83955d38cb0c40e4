/**
 * A pipeline is a list of steps that bytes pass through in order. Its specification is plain data, so the same list can
 * be run here, in a worker thread or on another host.
 */
import { BackstopError } from '../base/error.ts';
import type { Emit, Step } from './step.ts';

/** What every step's specification has: which step it is, and the name its result goes by (absent: no result). */
export interface AnyStepSpec {
  readonly step: string;
  readonly id?: string;
}

/** How steps of one name are made. Libraries are loaded by prepare() so that the steps themselves need no promises. */
export interface StepKind<S extends AnyStepSpec> {
  /** Loads what open() will need; cheap when it is loaded already. */
  prepare?(spec: S): Promise<void>;
  /** @throws assert when prepare() was needed and was not awaited */
  open(spec: S): Step;
}

/**
 * One kind for each step name in the union S. Layers above add their steps by spreading:
 * `{ ...codecs, 'page-checksum': pageChecksum }`.
 */
export type StepKinds<S extends AnyStepSpec> = { readonly [K in S['step']]: StepKind<Extract<S, { step: K }>> };

/** Results of the steps that have an id, by id. Plain data. */
export type StepResults = Readonly<Record<string, unknown>>;

export interface Pipeline {
  /** Passes the chunk through all steps before it returns; the chunk is the caller's again then. */
  push(chunk: Uint8Array): void;
  /** No more bytes come: every step gives out what it held back, first to last. Once. */
  end(): void;
  /** Valid after end(). */
  results(): StepResults;
  /** Frees the steps, whatever state they are in. May be called again. */
  close(): void;
}

/** Loads what the steps of the specification need. After it openPipeline() works without waiting. */
export async function prepareSteps<S extends AnyStepSpec>(spec: readonly S[], kinds: StepKinds<S>): Promise<void> {
  for (const step of spec) await kindOf(kinds, step).prepare?.(step);
}

/**
 * Opens a pipeline whose last step emits to the sink. Chunks given to the sink are valid only during that call.
 * With an empty specification the sink gets what is pushed.
 *
 * One push() can make a decompressing step emit many times its size, all within the call. A sink that cannot take bytes
 * synchronously should therefore be fed with small pushes, or be behind a `limit` step.
 */
export function openPipeline<S extends AnyStepSpec>(spec: readonly S[], kinds: StepKinds<S>, sink: Emit): Pipeline {
  const steps: Step[] = [];
  try {
    for (const step of spec) steps.push(kindOf(kinds, step).open(step));
  } catch (error) {
    closeAll(steps);
    throw error;
  }

  // emits[i] is where step i emits to; bound once, so that a chunk costs no closure
  const emits: Emit[] = new Array(steps.length);
  let next = sink;
  for (let index = steps.length - 1; index >= 0; index--) {
    const step = steps[index] as Step;
    const emit = next;
    emits[index] = emit;
    next = chunk => step.push(chunk, emit);
  }
  const first = next;

  let ended = false;
  let closed = false;
  return {
    push(chunk) {
      if (chunk.length > 0) first(chunk);
    },
    end() {
      if (ended) throw new BackstopError('assert', 'pipeline is already ended');
      ended = true;
      for (let index = 0; index < steps.length; index++) steps[index]?.end(emits[index] as Emit);
    },
    results() {
      if (!ended) throw new BackstopError('assert', 'pipeline has no results before its end');
      const results: Record<string, unknown> = {};
      for (const [index, { id }] of spec.entries()) {
        if (id !== undefined) results[id] = steps[index]?.result?.();
      }
      return results;
    },
    close() {
      if (closed) return;
      closed = true;
      closeAll(steps);
    },
  };
}

/**
 * Runs bytes that are in memory through the steps: for info files, manifests, maps and other small things.
 * @returns all output as one array, and the results
 */
export function transformBytes<S extends AnyStepSpec>(
  spec: readonly S[],
  kinds: StepKinds<S>,
  input: Uint8Array,
): { bytes: Uint8Array; results: StepResults } {
  const parts: Buffer[] = [];
  const pipeline = openPipeline(spec, kinds, chunk => parts.push(Buffer.from(chunk)));
  try {
    pipeline.push(input);
    pipeline.end();
    return { bytes: Buffer.concat(parts), results: pipeline.results() };
  } finally {
    pipeline.close();
  }
}

/** The digest that the hash step of this id gave. */
export function hashResult(results: StepResults, id: string): string {
  const value = results[id];
  if (typeof value !== 'string') throw new BackstopError('assert', `pipeline has no hash '${id}'`);
  return value;
}

/** The bytes that the count step of this id saw. */
export function countResult(results: StepResults, id: string): number {
  const value = results[id];
  if (typeof value !== 'number') throw new BackstopError('assert', `pipeline has no count '${id}'`);
  return value;
}

function kindOf<S extends AnyStepSpec>(kinds: StepKinds<S>, spec: S): StepKind<S> {
  // the map is typed by step name; which member of the union this is cannot be told to the compiler
  const kind = Object.hasOwn(kinds, spec.step)
    ? (kinds[spec.step as S['step']] as unknown as StepKind<S> | undefined)
    : undefined;
  // the specification may come from another host, so its type is a claim
  if (kind === undefined) throw new BackstopError('protocol', `there is no step '${spec.step}'`);
  return kind;
}

function closeAll(steps: readonly Step[]): void {
  for (const step of steps) step.close?.();
}
