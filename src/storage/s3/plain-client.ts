/**
 * The requests that carry content, and the list that comes before them, without Amazon's SDK: it takes 30 ms to load and
 * 1.5 ms of processor time for each request, which is most of what a small file and a WAL segment cost. Signed by `aws4`;
 * failures look like the SDK's. All other requests are the SDK's.
 */
import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import aws4 from 'aws4';
import { type AnswerBody, collect } from './answer.ts';
import type { AccessKey } from './credentials/source.ts';
import { decodeEntities, parseList } from './list-answer.ts';
import { FalseAnswer } from './retry.ts';
import type { S3Settings } from './settings.ts';

/** What is asked for, in the words of S3's operations, as the SDK has them. */
export interface PlainInput {
  readonly Key?: string;
  readonly Body?: Uint8Array;
  readonly [name: string]: unknown;
}

/** Inputs that are headers. */
const headerNames: Readonly<Record<string, string>> = {
  ContentMD5: 'Content-MD5',
  IfMatch: 'If-Match',
  ObjectLockMode: 'X-Amz-Object-Lock-Mode',
  ObjectLockRetainUntilDate: 'X-Amz-Object-Lock-Retain-Until-Date',
  Range: 'Range',
  RequestPayer: 'X-Amz-Request-Payer',
  SSECustomerAlgorithm: 'X-Amz-Server-Side-Encryption-Customer-Algorithm',
  SSECustomerKey: 'X-Amz-Server-Side-Encryption-Customer-Key',
  SSEKMSKeyId: 'X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id',
  ServerSideEncryption: 'X-Amz-Server-Side-Encryption',
  Tagging: 'X-Amz-Tagging',
};

/** Inputs that are part of the query. */
const queryNames: Readonly<Record<string, string>> = {
  ContinuationToken: 'continuation-token',
  Delimiter: 'delimiter',
  PartNumber: 'partNumber',
  Prefix: 'prefix',
  UploadId: 'uploadId',
  VersionId: 'versionId',
};

const methods = { GetObject: 'GET', PutObject: 'PUT', UploadPart: 'PUT', ListObjectsV2: 'GET' } as const;

export type PlainOperation = keyof typeof methods;

export const isPlain = (operation: string): operation is PlainOperation => Object.hasOwn(methods, operation);

export class PlainClient {
  readonly #settings: S3Settings;
  readonly #agent: http.Agent;
  readonly #key: () => Promise<AccessKey>;
  readonly #endpoint: URL;

  constructor(settings: S3Settings, agent: http.Agent, key: () => Promise<AccessKey>) {
    this.#settings = settings;
    this.#agent = agent;
    this.#key = key;
    this.#endpoint = new URL(settings.endpoint);
  }

  /**
   * @returns what the SDK answers to this operation; undefined for a list that is not plain enough to be read here
   * @throws what the SDK throws, as far as it is looked at (ServiceFailure)
   */
  async ask(
    operation: PlainOperation,
    input: PlainInput,
    signal: AbortSignal | undefined,
  ): Promise<object | undefined> {
    const answer = await this.#send(operation, input, signal);
    const { headers } = answer;
    if (operation === 'GetObject') {
      return {
        Body: answer,
        ContentLength: headers['content-length'] === undefined ? undefined : Number(headers['content-length']),
        ContentRange: headers['content-range'],
        ETag: headers.etag,
      };
    }
    const content = await contentOf(answer);
    if (operation === 'ListObjectsV2') return parseList(content);
    if (isError(content)) throw new FalseAnswer('the answer to a write is an error');
    return { ETag: headers.etag };
  }

  async #send(operation: PlainOperation, input: PlainInput, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const { bucket, region, service, uriStyle, ioTimeout } = this.#settings;
    const { hostname, port, protocol } = this.#endpoint;
    const { accessKeyId, secretAccessKey, sessionToken } = await this.#key();
    signal?.throwIfAborted();
    const method = methods[operation];
    const { Key: key = '', Body: body } = input;
    const name = uriStyle === 'host' ? `${bucket}.${hostname}` : hostname;
    const host = port === '' ? name : `${name}:${port}`;
    const { headers, query } = divide(operation, input);
    const request = {
      host,
      hostname: name.replace(/^\[|\]$/g, ''),
      ...(port === '' ? {} : { port }),
      method,
      path: `${uriStyle === 'path' ? `/${encode(bucket)}` : ''}/${key.split('/').map(encode).join('/')}${query}`,
      service,
      region,
      headers: {
        // aws4 would make it of the name without brackets, where that is an IPv6 address
        Host: host,
        ...headers,
        'X-Amz-Content-Sha256': createHash('sha256')
          .update(body ?? '')
          .digest('hex'),
        ...(method === 'PUT' ? { 'Content-Length': body?.length ?? 0 } : {}),
        'User-Agent': 'pgbackstop',
      },
    };
    aws4.sign(request, { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) });
    const answer = await exchange(
      protocol === 'https:' ? https : http,
      { ...request, agent: this.#agent, timeout: ioTimeout, ...(signal === undefined ? {} : { signal }) },
      body,
    );
    if ((answer.statusCode ?? 0) >= 300) throw await failureOf(answer);
    return answer;
  }
}

/** Sends a request and waits for the head of its answer. */
function exchange(
  protocol: typeof http | typeof https,
  options: http.RequestOptions,
  body: Uint8Array | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let answer: IncomingMessage | undefined;
    const request = protocol.request(options, received => {
      answer = received;
      // refused before all of the body was sent: who has answered may never read the rest, and Node would wait for that
      received.once('end', () => {
        if (!request.writableFinished) request.destroy();
      });
      resolve(received);
    });
    request.on('error', reject);
    request.on('timeout', () => {
      const error = Object.assign(new Error(`no byte for ${options.timeout} ms`), { name: 'TimeoutError' });
      answer?.destroy(error);
      request.destroy(error);
    });
    request.end(body);
  });
}

function divide(operation: PlainOperation, input: PlainInput): { headers: Record<string, string>; query: string } {
  const headers: Record<string, string> = {};
  const query: [string, string][] = operation === 'ListObjectsV2' ? [['list-type', '2']] : [];
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined || name === 'Key' || name === 'Body' || name === 'Bucket') continue;
    const [header, parameter] = [headerNames[name], queryNames[name]];
    const text = value instanceof Date ? value.toISOString().replace(/\.\d+/, '') : String(value);
    if (header !== undefined) headers[header] = text;
    else if (parameter !== undefined) query.push([parameter, text]);
    else throw new TypeError(`${operation} has no input ${name}`);
    if (name === 'SSECustomerKey') {
      headers[`${header}-MD5`] = createHash('md5').update(Buffer.from(text, 'base64')).digest('base64');
    }
  }
  const pairs = query.map(([name, text]) => `${encode(name)}=${encode(text)}`);
  return { headers, query: pairs.length === 0 ? '' : `?${pairs.sort().join('&')}` };
}

/** As signatures want it. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

async function contentOf(answer: IncomingMessage): Promise<string> {
  return Buffer.from(await collect(answer as AnswerBody)).toString();
}

const isError = (content: string): boolean => /<Error[\s>]/.test(content);

/** What an answer with a status of 300 or more says, as the SDK would throw it. */
async function failureOf(answer: IncomingMessage): Promise<Error> {
  const { statusCode = 0, headers } = answer;
  const content = await contentOf(answer);
  const field = (name: string) => {
    const [, text] = new RegExp(`<${name}>([^<]*)</${name}>`).exec(content) ?? [];
    return text === undefined ? undefined : decodeEntities(text);
  };
  const isOurs = isError(content);
  const name = (isOurs ? field('Code') : undefined) ?? (statusCode === 404 ? 'NotFound' : 'UnknownError');
  const region = isOurs ? field('Region') : undefined;
  return Object.assign(new Error((isOurs ? field('Message') : undefined) ?? 'UnknownError'), {
    name,
    $metadata: { httpStatusCode: statusCode },
    $response: { statusCode, headers },
    ...(region === undefined ? {} : { Region: region }),
  });
}
