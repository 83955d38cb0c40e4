/** What an object store bills for: requests by kind, and what was moved. Counted over all threads of the process. */

export const requestKinds = [
  'list',
  'head',
  'get',
  'put',
  'create-upload',
  'upload-part',
  'complete-upload',
  'abort-upload',
  'delete',
] as const;

export type RequestKind = (typeof requestKinds)[number];

const amounts = [...requestKinds, 'retry', 'sent', 'received'] as const;
type Amount = (typeof amounts)[number];

/** Memory that threads share: plain data for a worker's settings. */
export type CounterMemory = SharedArrayBuffer;

export const newCounterMemory = (): CounterMemory => new SharedArrayBuffer(amounts.length * 8);

/** Counters over memory that other threads count in too. */
export class RequestCounters {
  readonly #values: BigInt64Array;

  constructor(memory: CounterMemory) {
    this.#values = new BigInt64Array(memory);
  }

  /** A request is sent, also one that is a retry. */
  request(kind: RequestKind, bodySize: number): void {
    this.#add(kind, 1);
    if (bodySize > 0) this.#add('sent', bodySize);
  }

  retry(): void {
    this.#add('retry', 1);
  }

  /** Bytes of content have come. */
  received(bytes: number): void {
    this.#add('received', bytes);
  }

  /** @returns how often each kind was asked for, without those that never were; bytes of content sent and received */
  summary(): RequestSummary {
    const of = (amount: Amount) => Number(Atomics.load(this.#values, amounts.indexOf(amount)));
    const kinds = requestKinds.map(kind => [kind, of(kind)] as const).filter(([, count]) => count > 0);
    return {
      requests: Object.fromEntries(kinds),
      total: kinds.reduce((sum, [, count]) => sum + count, 0),
      retries: of('retry'),
      sent: of('sent'),
      received: of('received'),
    };
  }

  #add(amount: Amount, value: number): void {
    Atomics.add(this.#values, amounts.indexOf(amount), BigInt(value));
  }
}

export interface RequestSummary {
  readonly requests: Readonly<Partial<Record<RequestKind, number>>>;
  /** Sum over all kinds, retries among them. */
  readonly total: number;
  readonly retries: number;
  /** Bytes. */
  readonly sent: number;
  readonly received: number;
}
