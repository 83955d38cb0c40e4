/** An HTTP service on a local port that answers as a test says. Free of vitest. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface Reply {
  readonly status?: number;
  readonly body?: string;
  /** Answers nothing. */
  readonly silent?: true;
}

export class LocalService {
  readonly url: string;
  /** All since the start, in order of their arrival. */
  readonly requests: readonly Request[];
  readonly #server: http.Server;

  private constructor(url: string, requests: readonly Request[], server: http.Server) {
    this.url = url;
    this.requests = requests;
    this.#server = server;
  }

  /** @param certificate for TLS; plain http when absent */
  static async start(
    reply: (request: Request) => Reply | Promise<Reply>,
    certificate?: Certificate,
  ): Promise<LocalService> {
    const requests: Request[] = [];
    const handle = async (incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const { method = '', url = '', headers } = incoming;
      const request = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
      requests.push(request);
      const { status = 200, body = '', silent } = await reply(request);
      if (silent !== true) response.writeHead(status).end(body);
    };
    const listener: http.RequestListener = (incoming, response) => void handle(incoming, response);
    const server =
      certificate === undefined
        ? http.createServer(listener)
        : https.createServer(
            { cert: readFileSync(certificate.certificate), key: readFileSync(certificate.key) },
            listener,
          );
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return new LocalService(`${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, requests, server);
  }

  /** Breaks what is open. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
