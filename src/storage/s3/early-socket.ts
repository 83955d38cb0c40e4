/**
 * A connection that is begun before anybody asks for it: to reach a service that is far away takes as long as two requests,
 * and meanwhile there is a lot to be loaded.
 */
import type { Socket } from 'node:net';

/** Where a request goes, by its URL. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export class EarlySocket {
  #socket: Socket | undefined;
  #host: string | undefined;

  open({ host }: Target, socket: Socket): void {
    this.#host = host;
    this.#socket = socket;
    // alone it is no reason to go on, nor is its failure one to end: who asks then gets another one, which tells the same
    socket.unref();
    socket.on('error', ignore);
  }

  /** @returns undefined when there is none for this host, or it has failed */
  take(host: string | null | undefined): Socket | undefined {
    const socket = this.#socket;
    if (socket === undefined || host !== this.#host) return undefined;
    this.#socket = undefined;
    if (socket.destroyed || socket.readableEnded) return undefined;
    socket.ref();
    socket.removeListener('error', ignore);
    return socket;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

const ignore = (): void => undefined;
