/**
 * The requests of backups, restores, push and get without Amazon's SDK: it takes 30 ms and 20 MB in each thread to load, and
 * 1.5 ms of processor time for each request, which is most of what a small file and a WAL segment cost. Signed by `aws4`;
 * failures look like the SDK's. All other requests are the SDK's.
 */
import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import aws4 from 'aws4';
import { type AnswerBody, collect } from './answer.ts';
import type { AccessKey } from './credentials/source.ts';
import { decodeEntities, encodeEntities, parseList } from './list-answer.ts';
import { digestOf, noContent, type RequestContent, sendContent } from './request-content.ts';
import { FalseAnswer } from './retry.ts';
import type { S3Settings } from './settings.ts';

/** What is asked for, in the words of S3's operations, as the SDK has them. */
export interface PlainInput {
  readonly Key?: string;
  readonly Body?: RequestContent;
  readonly MultipartUpload?: { readonly Parts: readonly { readonly PartNumber: number; readonly ETag: string }[] };
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

const methods = {
  AbortMultipartUpload: 'DELETE',
  CompleteMultipartUpload: 'POST',
  CreateMultipartUpload: 'POST',
  DeleteObject: 'DELETE',
  GetObject: 'GET',
  HeadObject: 'HEAD',
  ListObjectsV2: 'GET',
  PutObject: 'PUT',
  UploadPart: 'PUT',
} as const;

/** What the query of an operation begins with. */
const queryStarts: Readonly<Partial<Record<PlainOperation, readonly [string, string]>>> = {
  CreateMultipartUpload: ['uploads', ''],
  ListObjectsV2: ['list-type', '2'],
};

/** Inputs that are in other places. */
const placed = new Set(['Key', 'Body', 'Bucket', 'MultipartUpload']);

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
    if (operation === 'GetObject') return { ...described(answer), Body: answer };
    const content = await contentOf(answer);
    switch (operation) {
      case 'ListObjectsV2':
        return parseList(content);
      case 'CreateMultipartUpload':
      case 'CompleteMultipartUpload':
        // with status 200, too, the answer may be an error
        if (isError(content)) throw failure(503, answer.headers, content);
        return { UploadId: field(content, 'UploadId'), ETag: field(content, 'ETag') };
      case 'PutObject':
      case 'UploadPart':
        if (isError(content)) throw new FalseAnswer('the answer to a write is an error');
        return { ETag: answer.headers.etag };
      default:
        return described(answer);
    }
  }

  async #send(operation: PlainOperation, input: PlainInput, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const { bucket, region, service, uriStyle, ioTimeout } = this.#settings;
    const { hostname, port, protocol } = this.#endpoint;
    const { accessKeyId, secretAccessKey, sessionToken } = await this.#key();
    signal?.throwIfAborted();
    const method = methods[operation];
    const { Key: key = '' } = input;
    const body = input.MultipartUpload === undefined ? (input.Body ?? noContent) : partList(input.MultipartUpload);
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
        'X-Amz-Content-Sha256': digestOf('sha256', body).toString('hex'),
        ...(method === 'PUT' || method === 'POST' ? { 'Content-Length': body.length } : {}),
        ...(input.MultipartUpload === undefined ? {} : { 'Content-Type': 'application/xml' }),
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
  body: RequestContent,
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
    sendContent(request, body, protocol === https);
  });
}

function divide(operation: PlainOperation, input: PlainInput): { headers: Record<string, string>; query: string } {
  const headers: Record<string, string> = {};
  const start = queryStarts[operation];
  const query: (readonly [string, string])[] = start === undefined ? [] : [start];
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined || placed.has(name)) continue;
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

/** What the head of an answer says of an object. */
function described({ headers }: IncomingMessage): object {
  const text = (name: string): string | undefined => headers[name] as string | undefined;
  const time = (name: string) => {
    const date = new Date(text(name) ?? Number.NaN);
    return Number.isNaN(date.getTime()) ? undefined : date;
  };
  return {
    ContentLength: headers['content-length'] === undefined ? undefined : Number(headers['content-length']),
    ContentRange: headers['content-range'],
    DeleteMarker: text('x-amz-delete-marker') === 'true',
    ETag: headers.etag,
    LastModified: time('last-modified'),
    ObjectLockLegalHoldStatus: text('x-amz-object-lock-legal-hold'),
    ObjectLockRetainUntilDate: time('x-amz-object-lock-retain-until-date'),
  };
}

/** The parts of an upload, as its end names them. */
function partList({ Parts }: NonNullable<PlainInput['MultipartUpload']>): RequestContent {
  const parts = Parts.map(
    ({ ETag, PartNumber }) => `<Part><ETag>${encodeEntities(ETag)}</ETag><PartNumber>${PartNumber}</PartNumber></Part>`,
  );
  const text = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`;
  const bytes = Buffer.from(text);
  return { pieces: [bytes], length: bytes.length };
}

/** The text of the first element of this name, whatever its namespace is called. */
function field(content: string, name: string): string | undefined {
  // no pattern looks for the end: each of many starts without one would have all of the rest searched
  for (const { index, 0: start, 1: empty } of content.matchAll(new RegExp(`<(?:\\w{1,64}:)?${name}(/)?>`, 'g'))) {
    if (empty !== undefined) return '';
    const from = index + start.length;
    const isVerbatim = content.startsWith(verbatimStart, from);
    const end = isVerbatim ? content.indexOf(verbatimEnd, from) : content.indexOf('<', from);
    if (end < 0) return undefined;
    if (isVerbatim && content.startsWith('</', end + verbatimEnd.length)) {
      return content.slice(from + verbatimStart.length, end);
    }
    if (!isVerbatim && content[end + 1] === '/') return decodeEntities(content.slice(from, end));
  }
  return undefined;
}

const verbatimStart = '<![CDATA[';
const verbatimEnd = ']]>';

/** What an answer with a status of 300 or more says, as the SDK would throw it. */
async function failureOf(answer: IncomingMessage): Promise<Error> {
  return failure(answer.statusCode ?? 0, answer.headers, await contentOf(answer));
}

function failure(statusCode: number, headers: IncomingMessage['headers'], content: string): Error {
  const isOurs = isError(content);
  const name = (isOurs ? field(content, 'Code') : undefined) ?? (statusCode === 404 ? 'NotFound' : 'UnknownError');
  const region = isOurs ? field(content, 'Region') : undefined;
  return Object.assign(new Error((isOurs ? field(content, 'Message') : undefined) ?? 'UnknownError'), {
    name,
    $metadata: { httpStatusCode: statusCode },
    $response: { statusCode, headers },
    ...(region === undefined ? {} : { Region: region }),
  });
}
