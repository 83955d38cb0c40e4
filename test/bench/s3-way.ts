/**
 * The ways from the tools to the S3 server, in a process of their own, as their work is not the tools'. The bench sends
 * a WayRequest and is sent Ways; then it sends `count` whenever it wants to know, and is sent the requests since the
 * last time. Ends with the bench.
 */
import { FaultProxy } from '../support/s3/fault-proxy.ts';
import type { S3Place } from '../support/s3/lab-file.ts';
import { LatencyProxy } from '../support/s3/latency-proxy.ts';
import type { RequestKind } from '../support/s3/s3-request.ts';

/** How often each kind was asked for. */
export type RequestCounts = Readonly<Partial<Record<RequestKind, number>>>;

export interface WayRequest {
  readonly place: S3Place;
  /** Milliseconds of each way wanted. */
  readonly roundTrips: readonly number[];
}

export interface Way {
  readonly roundTrip: number;
  /** Port of 127.0.0.1 with TLS: the server's own TLS, a round trip away. For runs that are timed. */
  readonly port: number;
  /** The same, but what comes by is counted, which costs time. */
  readonly countedPort: number;
}

export type Ways = readonly Way[];

async function open({ place, roundTrips }: WayRequest): Promise<void> {
  const counter = await FaultProxy.start(place);
  const ways: Way[] = [];
  for (const roundTrip of roundTrips) {
    const direct = await LatencyProxy.start({ to: Number(new URL(place.https).port), roundTrip });
    const counted = await LatencyProxy.start({ to: counter.port, roundTrip });
    ways.push({ roundTrip, port: direct.port, countedPort: counted.port });
  }
  process.on('message', () => {
    process.send?.(counter.counts());
    counter.reset();
  });
  process.send?.(ways);
}

process.once('message', (request: WayRequest) => void open(request));
process.once('disconnect', () => process.exit());
// an interrupt is the bench's to handle, which takes the tool that is measured to its end
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
