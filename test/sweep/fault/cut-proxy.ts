/**
 * Stands between a client and PostgreSQL on a Unix socket, counts the messages of both, and cuts the connection or falls
 * silent at one of them.
 */
import { chmodSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

export type Side = 'client' | 'server';

/** What happens at a message. */
export interface Cut {
  readonly side: Side;
  /** Message of that side, from 1, all connections together. */
  readonly nth: number;
  /**
   * `before`: both connections break, and the message does not arrive. `after`: it arrives, and both break. `silence`: nothing goes on, in either direction, for good.
   */
  readonly how: 'before' | 'after' | 'silence';
}

export class CutProxy {
  readonly #server: Server;
  readonly #target: string;
  readonly #open = new Set<Socket>();
  #cut: Cut | undefined;
  #silent = false;
  #counts: Record<Side, number> = { client: 0, server: 0 };
  #done = false;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer(client => this.#serve(client));
  }

  /**
   * @param folder where its socket is made
   * @param target folder of the server's socket
   */
  static async start(folder: string, target: string, port: number): Promise<CutProxy> {
    const name = `.s.PGSQL.${port}`;
    const proxy = new CutProxy(join(target, name));
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(join(folder, name), resolve);
    });
    chmodSync(join(folder, name), 0o777);
    return proxy;
  }

  /** Begins to count anew. @param cut none when absent */
  set(cut?: Cut): void {
    this.#cut = cut;
    this.#silent = false;
    this.#done = false;
    this.#counts = { client: 0, server: 0 };
  }

  get counts(): Readonly<Record<Side, number>> {
    return this.#counts;
  }

  /** The cut has happened. */
  get done(): boolean {
    return this.#done;
  }

  async close(): Promise<void> {
    this.breakAll();
    await new Promise(resolve => this.#server.close(resolve));
  }

  /** What is silent ends too. */
  breakAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #serve(client: Socket): void {
    const server = createConnection(this.#target);
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#open.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.#open.delete(socket);
        if (!this.#silent) end();
      });
    }
    const pass = (side: Side, from: Socket, to: Socket, messages: Messages): void => {
      from.on('data', (chunk: Buffer) => {
        for (const message of messages.take(chunk)) {
          if (this.#silent || to.destroyed) return;
          const cut = this.#turn(side);
          if (cut === 'silence') {
            this.#silent = true;
            return;
          }
          if (cut === 'before') return end();
          if (cut === 'after') {
            // the other side gets it, and nobody an answer
            to.end(message);
            from.destroy();
            return;
          }
          to.write(message);
        }
      });
    };
    pass('client', client, server, new Messages(false));
    pass('server', server, client, new Messages(true));
  }

  #turn(side: Side): Cut['how'] | undefined {
    this.#counts[side]++;
    if (this.#cut?.side !== side || this.#cut.nth !== this.#counts[side]) return undefined;
    this.#done = true;
    return this.#cut.how;
  }
}

/** Cuts a stream into the messages of PostgreSQL's protocol. */
class Messages {
  #rest: Buffer = Buffer.alloc(0);
  /** The first message of a client has no type. */
  #typed: boolean;

  constructor(typed: boolean) {
    this.#typed = typed;
  }

  take(chunk: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const found: Buffer[] = [];
    for (;;) {
      const start = this.#typed ? 1 : 0;
      if (this.#rest.length < start + 4) return found;
      const length = start + this.#rest.readInt32BE(start);
      if (this.#rest.length < length) return found;
      found.push(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
      this.#typed = true;
    }
  }
}
