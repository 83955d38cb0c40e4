/**
 * Stands between a client and the lab's server, does to requests what its rules say, and counts what passes. It speaks
 * HTTP or TLS with the lab's certificate to the client; headers, Host among them, reach the server as they came.
 *
 *     const proxy = await FaultProxy.start(lab, { rules: mixedFaults(0.01), seed: 7 });
 *     const stanza = new TestStanza(cluster, 'a', repoOptions(lab, { bucket, port: proxy.port }));
 *     ...
 *     expect(proxy.count('UploadPart')).toBeLessThan(20);
 *     await proxy.close();
 *
 * For a longer way put a LatencyProxy before it. Free of vitest.
 */
import { readFileSync } from 'node:fs';
import {
  Agent,
  createServer as createHttpServer,
  type Server as HttpServer,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { Random } from '../random.ts';
import type { Answer, BreakPoint, Fault, FaultRule } from './faults.ts';
import type { S3Place } from './lab-file.ts';
import { portOf } from './latency-proxy.ts';
import { describeRequest, type RequestKind, type S3Request } from './s3-request.ts';

export interface FaultProxyOptions {
  /** TLS to the client when absent. */
  readonly tls?: boolean;
  /** The newest TLS that it speaks; 1.3 when absent. */
  readonly maxVersion?: 'TLSv1.2';
  /** The first that fits a request counts. */
  readonly rules?: readonly FaultRule[];
  /** Of the choices by probability; 1 when absent. */
  readonly seed?: number;
  /** Certificate and key in PEM to show instead of the lab's: files. */
  readonly certificate?: { readonly certificate: string; readonly key: string };
  /** Port of 127.0.0.1 with plain http to pass requests to, instead of the lab's: such as its gateway for temporary keys. */
  readonly to?: number;
  /** Where to listen; 127.0.0.1 and any free port when absent. */
  readonly address?: string;
  readonly port?: number;
}

/** One request as it came by. */
export interface SeenRequest extends S3Request {
  /** Of bodies, on the client's side. */
  requestBytes: number;
  answerBytes: number;
  /** Absent while there was no answer. */
  status?: number;
  readonly fault?: Fault;
  /** What TLS came to with the client, in the words of its standard: `TLS_AES_256_GCM_SHA384`. */
  readonly cipher?: string;
}

/** Milliseconds after which an idle connection to the server is not used again: it closes them after 65 seconds. */
const idleLimit = 20_000;

interface RunningRule {
  readonly rule: FaultRule;
  seen: number;
  done: number;
}

export class FaultProxy {
  /** All requests since the start or the last reset, in order of their arrival. */
  readonly requests: SeenRequest[] = [];
  readonly #dnsName: string;
  readonly #to: number;
  readonly #random: Random;
  readonly #http: HttpServer;
  readonly #agent = new Agent({ keepAlive: true, timeout: idleLimit });
  /** Connections as the system has them, below TLS; found by the client's port. */
  readonly #connections = new Map<number, Socket>();
  #rules: RunningRule[] = [];
  #listener: Server | undefined;
  readonly #address: string;
  #port: number;

  private constructor(lab: S3Place, options: FaultProxyOptions) {
    this.#dnsName = lab.dnsName;
    this.#to = options.to ?? Number(new URL(lab.http).port);
    this.#random = new Random(options.seed ?? 1);
    this.#address = options.address ?? '127.0.0.1';
    this.#port = options.port ?? 0;
    this.setRules(options.rules ?? []);
    const files = options.certificate ?? {
      certificate: join(dirname(lab.caFile), 'server.pem'),
      key: join(dirname(lab.caFile), 'server.key'),
    };
    // a request that hangs shall do so until the client gives up
    const limits = { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };
    this.#http =
      options.tls === false
        ? createHttpServer(limits)
        : createHttpsServer({
            ...limits,
            cert: readFileSync(files.certificate),
            key: readFileSync(files.key),
            ...(options.maxVersion && { maxVersion: options.maxVersion }),
          });
    this.#http.on('request', (request, response) => this.#handle(request, response));
    this.#http.on('checkContinue', (request, response) => this.#handle(request, response));
  }

  /** @param lab where certificate, name and server are taken from */
  static async start(lab: S3Place, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(lab, options);
    await proxy.up();
    return proxy;
  }

  /** Where it listens; stays the same when the proxy goes down and up again. */
  get port(): number {
    return this.#port;
  }

  /** Takes the place of all rules before; their counts begin anew. */
  setRules(rules: readonly FaultRule[]): void {
    this.#rules = rules.map(rule => ({ rule, seen: 0, done: 0 }));
  }

  /** Requests of a kind, or of all kinds, since the start or the last reset. */
  count(...kinds: readonly RequestKind[]): number {
    return kinds.length === 0 ? this.requests.length : this.requests.filter(({ kind }) => kinds.includes(kind)).length;
  }

  /** How many requests of each kind there were. */
  counts(): Partial<Record<RequestKind, number>> {
    const found: Partial<Record<RequestKind, number>> = {};
    for (const { kind } of this.requests) found[kind] = (found[kind] ?? 0) + 1;
    return found;
  }

  /** Bytes of all bodies. */
  bytes(): { readonly sent: number; readonly received: number } {
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return {
      sent: sum(this.requests.map(({ requestBytes }) => requestBytes)),
      received: sum(this.requests.map(({ answerBytes }) => answerBytes)),
    };
  }

  /** How many requests met a fault. */
  faults(): number {
    return this.requests.filter(({ fault }) => fault !== undefined).length;
  }

  /** Forgets the requests seen so far. */
  reset(): void {
    this.requests.length = 0;
  }

  /** As a server that is gone: connections break, new ones are refused. */
  async down(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    if (listener === undefined) return;
    const closed = new Promise(resolve => listener.close(resolve));
    for (const socket of this.#connections.values()) socket.resetAndDestroy();
    await closed;
  }

  /** Listens (again). */
  async up(): Promise<void> {
    if (this.#listener !== undefined) return;
    const listener = createTcpServer({ noDelay: true }, socket => {
      const { remotePort = 0 } = socket;
      this.#connections.set(remotePort, socket);
      socket.on('close', () => this.#connections.delete(remotePort));
      // the client went away: whoever works for it sees its own stream end
      socket.on('error', () => socket.destroy());
      this.#http.emit('connection', socket);
    });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(this.#port, this.#address, resolve);
    });
    this.#port = portOf(listener);
    this.#listener = listener;
  }

  async close(): Promise<void> {
    await this.down();
    this.#agent.destroy();
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const described = describeRequest(request, this.#dnsName);
    const fault = this.#faultFor(described);
    const cipher = request.socket instanceof TLSSocket ? request.socket.getCipher().standardName : undefined;
    const seen: SeenRequest = {
      ...described,
      requestBytes: 0,
      answerBytes: 0,
      ...(fault && { fault }),
      ...(cipher && { cipher }),
    };
    this.requests.push(seen);
    request.on('data', (chunk: Buffer) => {
      seen.requestBytes += chunk.length;
    });
    request.pause();
    this.#serve(request, response, seen).catch(() => this.#break('reset', request));
  }

  #faultFor(request: S3Request): Fault | undefined {
    for (const running of this.#rules) {
      const { kinds, key, when, probability = 1, skip = 0, times = Number.POSITIVE_INFINITY, fault } = running.rule;
      if (kinds?.includes(request.kind) === false || key?.test(request.key) === false) continue;
      if (when?.(request) === false) continue;
      running.seen++;
      if (running.seen <= skip || running.done >= times) continue;
      if (probability < 1 && this.#random.next() >= probability) continue;
      running.done++;
      return fault;
    }
    return undefined;
  }

  async #serve(request: IncomingMessage, response: ServerResponse, seen: SeenRequest): Promise<void> {
    const { fault } = seen;
    if (fault?.type === 'break') return await this.#serveBroken(request, response, seen, fault.how, fault.at);
    if (fault?.type === 'call') {
      await this.#serveBroken(request, response, seen, 'hang', fault.at);
      return fault.call();
    }
    if (fault?.type === 'answer') return await this.#serveInstead(request, response, seen, fault);
    if (fault?.type === 'delay') await sleep(fault.milliseconds);
    sendContinue(request, response);
    await this.#pass(response, seen, await this.#ask(request), fault?.type === 'alter');
  }

  async #serveInstead(
    request: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    answer: Answer,
  ): Promise<void> {
    sendContinue(request, response);
    const parts: Buffer[] = [];
    if (typeof answer.body === 'function') request.on('data', (chunk: Buffer) => parts.push(chunk));
    if (answer.performed) await readAll(await this.#ask(request));
    else await readAll(request);
    const body =
      typeof answer.body === 'string' ? answer.body : answer.body(Buffer.concat(parts).toString('utf8'), seen);
    seen.status = answer.status;
    response.writeHead(answer.status, {
      'content-type': 'application/xml',
      'content-length': Buffer.byteLength(body),
      'x-amz-request-id': 'tx00000000',
      ...answer.headers,
    });
    if (seen.method !== 'HEAD') seen.answerBytes = Buffer.byteLength(body);
    response.end(body);
  }

  async #serveBroken(
    request: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    how: 'reset' | 'close' | 'hang',
    at: BreakPoint,
  ): Promise<void> {
    const length = Number(request.headers['content-length'] ?? 0);
    if (at === 'upload' && length > 0) {
      sendContinue(request, response);
      await this.#uploadHalf(request, length);
    } else if (at === 'answer' || at === 'download') {
      sendContinue(request, response);
      const answer = await this.#ask(request);
      if (at === 'download') await passHalf(response, seen, answer);
      else await readAll(answer);
    }
    this.#break(how, request);
  }

  /** Sends the whole request to the server. @returns the server's answer, its body not yet read */
  async #ask(request: IncomingMessage): Promise<IncomingMessage> {
    const upstream = this.#open(request);
    // Node's pipe() does not tell the receiver that the sender broke off
    request.on('close', () => {
      if (!request.complete) upstream.destroy(new Error('the client went away'));
    });
    request.pipe(upstream);
    return await new Promise((resolve, reject) => {
      upstream.once('response', resolve);
      upstream.once('error', reject);
    });
  }

  /** The server gets half of the body and then a broken connection. */
  async #uploadHalf(request: IncomingMessage, length: number): Promise<void> {
    const upstream = this.#open(request);
    upstream.on('error', () => request.resume());
    let left = Math.ceil(length / 2);
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      await new Promise(resolve => upstream.write(part, resolve));
      if (left === 0) break;
    }
    upstream.destroy();
  }

  #open(request: IncomingMessage): ReturnType<typeof httpRequest> {
    const { method, url: path } = request;
    const headers = asSent(request.rawHeaders, ['connection', 'expect', 'keep-alive']);
    return httpRequest({ host: '127.0.0.1', port: this.#to, method, path, headers, agent: this.#agent });
  }

  async #pass(response: ServerResponse, seen: SeenRequest, answer: IncomingMessage, altered: boolean): Promise<void> {
    writeHead(response, seen, answer);
    await new Promise<void>((resolve, reject) => {
      answer.on('data', (chunk: Buffer) => {
        seen.answerBytes += chunk.length;
        // before it is piped on
        if (altered) chunk.set([(chunk[chunk.length >> 1] ?? 0) ^ 1], chunk.length >> 1);
      });
      answer.once('error', reject);
      response.once('finish', resolve);
      response.once('close', () => {
        answer.destroy();
        resolve();
      });
      answer.pipe(response);
    });
  }

  #break(how: 'reset' | 'close' | 'hang', request: IncomingMessage): void {
    if (how === 'hang') return;
    const socket = this.#connections.get(request.socket.remotePort ?? 0);
    if (how === 'reset') socket?.resetAndDestroy();
    else request.socket.destroySoon();
  }
}

/** A client that waits with its body for the server's leave gets it. */
function sendContinue(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue();
}

/** Headers as they came, but for those that are about the connection. */
function asSent(raw: readonly string[], without: readonly string[]): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = '', value = ''] = raw.slice(i, i + 2);
    if (without.includes(name.toLowerCase())) continue;
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

function writeHead(response: ServerResponse, seen: SeenRequest, answer: IncomingMessage): void {
  const { statusCode: status = 500, statusMessage } = answer;
  seen.status = status;
  response.sendDate = false;
  response.writeHead(status, statusMessage, asSent(answer.rawHeaders, ['connection', 'keep-alive']));
}

/** The head of the answer and half of its body, as far as the client takes it. */
async function passHalf(response: ServerResponse, seen: SeenRequest, answer: IncomingMessage): Promise<void> {
  writeHead(response, seen, answer);
  let left = Math.floor(Number(answer.headers['content-length'] ?? 0) / 2);
  response.flushHeaders();
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    seen.answerBytes += part.length;
    await new Promise(resolve => response.write(part, resolve));
    if (left === 0) break;
  }
}

async function readAll(stream: Readable): Promise<void> {
  for await (const _ of stream) {
    // only its end counts
  }
}
