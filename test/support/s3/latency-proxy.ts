/**
 * A longer way to a server: every byte arrives later, and no fewer bytes a second get through. Works on TCP, so it is the
 * same for every client, and TLS passes as it is. A new connection costs a round trip before its first byte, as on a
 * real way; slow start and loss are not part of the model.
 */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';

export interface LatencyOptions {
  /** Port of 127.0.0.1 where the server is. */
  readonly to: number;
  /** Milliseconds of the round trip, half of it each way. */
  readonly roundTrip: number;
}

/** Bytes on the way at which the sender has to wait: many times what the delay holds at any speed we reach. */
const mostOnTheWay = 64 * 1024 * 1024;

export class LatencyProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>, port: number) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = port;
  }

  static async start({ to, roundTrip }: LatencyOptions): Promise<LatencyProxy> {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, noDelay: true }, client => {
      const upstream = tcpConnect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true });
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        // an error of one side is a broken connection for the other
        socket.on('error', () => other.destroy());
        socket.on('close', () => sockets.delete(socket));
      }
      carry(client, upstream, roundTrip / 2, performance.now() + roundTrip);
      carry(upstream, client, roundTrip / 2, 0);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new LatencyProxy(server, sockets, portOf(server));
  }

  async close(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** The port that a server listens on. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port');
  return address.port;
}

/**
 * Moves bytes, and then the end, from one socket to the other, each as late as it would be on the longer way.
 * @param earliest by the clock of `performance`: nothing leaves before it
 */
function carry(from: Socket, to: Socket, delay: number, earliest: number): void {
  const onTheWay: { readonly due: number; readonly bytes: Buffer | undefined }[] = [];
  let held = 0;
  let timer: NodeJS.Timeout | undefined;

  const resumeWhenRoom = (): void => {
    if (from.isPaused() && held + to.writableLength < mostOnTheWay / 2) from.resume();
  };
  const deliver = (): void => {
    timer = undefined;
    const now = performance.now();
    let arrived = 0;
    to.cork();
    for (const { due, bytes } of onTheWay) {
      if (due > now) break;
      arrived++;
      if (bytes === undefined) {
        to.end();
      } else {
        held -= bytes.length;
        to.write(bytes);
      }
    }
    to.uncork();
    onTheWay.splice(0, arrived);
    resumeWhenRoom();
    schedule();
  };
  const schedule = (): void => {
    const [next] = onTheWay;
    if (next !== undefined && timer === undefined && !to.destroyed) {
      timer = setTimeout(deliver, Math.max(0, next.due - performance.now()));
    }
  };
  const send = (bytes: Buffer | undefined): void => {
    onTheWay.push({ due: Math.max(performance.now(), earliest) + delay, bytes });
    held += bytes?.length ?? 0;
    // the shortest timer is a millisecond, which would be a way too
    if (delay === 0 && !to.destroyed) deliver();
    if (held + to.writableLength > mostOnTheWay) from.pause();
    schedule();
  };

  from.on('data', send);
  from.on('end', () => send(undefined));
  to.on('drain', resumeWhenRoom);
  to.on('close', () => clearTimeout(timer));
}
