/** What can go wrong between a client and S3, and when it does. */
import type { RequestKind, S3Request } from './s3-request.ts';

/** Where a connection breaks. An upload or download without a body breaks at its start or answer. */
export type BreakPoint =
  /** Nothing reached the server. */
  | 'start'
  /** The server got half of the request's body. */
  | 'upload'
  /** The server has done it, its answer is lost. */
  | 'answer'
  /** Half of the answer's body has come; Content-Length is that of the whole. */
  | 'download';

export type Fault =
  | { readonly type: 'delay'; readonly milliseconds: number }
  /** `reset` is a TCP reset, `close` an orderly end, `hang` is silence for good. */
  | { readonly type: 'break'; readonly how: 'reset' | 'close' | 'hang'; readonly at: BreakPoint }
  /** The server's answer with as many bytes of content, but others. */
  | { readonly type: 'alter' }
  /** Calls when it has come that far, and never answers: to end the client there. */
  | { readonly type: 'call'; readonly at: Exclude<BreakPoint, 'download'>; readonly call: () => void }
  | Answer;

/** An answer in the place of the server's. */
export interface Answer {
  readonly type: 'answer';
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Left out in the answer to HEAD. The request's body is given where it asks for it. */
  readonly body: string | ((requestBody: string, request: S3Request) => string);
  /** The server gets the request, and its own answer is thrown away. */
  readonly performed?: boolean;
}

/** When a fault happens: to the requests that all the given conditions hold for. */
export interface FaultRule {
  readonly fault: Fault;
  readonly kinds?: readonly RequestKind[];
  readonly key?: RegExp;
  /** Any further condition. */
  readonly when?: (request: S3Request) => boolean;
  /** 0 to 1; 1 when absent. */
  readonly probability?: number;
  /** The so many requests before that fit pass untouched; 0 when absent. */
  readonly skip?: number;
  /** The rule ends after so many faults. */
  readonly times?: number;
}

/** S3's error document. @param more further elements */
export function errorBody(code: string, message: string, more: Readonly<Record<string, string>> = {}): string {
  const elements = Object.entries({ Code: code, Message: message, ...more, RequestId: 'tx00000000', HostId: 'proxy' });
  const xml = elements.map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${xml}</Error>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function answer(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { type: 'answer', status, headers, body: errorBody(code, message) };
}

/** @param retryAfter seconds; no such header when absent */
export function slowDown(retryAfter?: number): Answer {
  const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  return answer(503, 'SlowDown', 'Please reduce your request rate.', headers);
}

/** @param performed the server has done what was asked, and then failed to say so */
export function internalError(performed = false): Answer {
  return { ...answer(500, 'InternalError', 'We encountered an internal error. Please try again.'), performed };
}

/** @param retryAfter seconds; no such header when absent */
export function tooManyRequests(retryAfter?: number): Answer {
  const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  return answer(429, 'TooManyRequests', 'Please reduce your request rate.', headers);
}

export function requestTimeout(): Answer {
  const message = 'Your socket connection to the server was not read from or written to within the timeout period.';
  return answer(408, 'RequestTimeout', message);
}

/** A gateway before the server that does not speak S3: the body is HTML. @param status 502 or 504 */
export function badGateway(status = 502): Answer {
  const body = `<html><body><h1>${status} Bad Gateway</h1></body></html>`;
  return { type: 'answer', status, headers: { 'content-type': 'text/html' }, body };
}

/** @param seconds by how much the server's clock is ahead of the client's */
export function skewedClock(seconds: number): Answer {
  const server = new Date(Date.now() + seconds * 1000);
  return {
    type: 'answer',
    status: 403,
    headers: { date: server.toUTCString() },
    body: errorBody(
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      {
        RequestTime: new Date().toISOString().replace(/[-:]|\.\d+/g, ''),
        ServerTime: server.toISOString(),
        MaxAllowedSkewMilliseconds: '900000',
      },
    ),
  };
}

/** As AWS answers when the bucket lives elsewhere. */
export function bucketElsewhere(region: string): Answer {
  const message =
    'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.';
  return {
    type: 'answer',
    status: 301,
    headers: { 'x-amz-bucket-region': region },
    body: errorBody('PermanentRedirect', message, { Endpoint: `s3.${region}.amazonaws.com` }),
  };
}

/** As AWS answers when the signature names another region than the endpoint's. */
export function wrongSigningRegion(given: string, expected: string): Answer {
  const message = `The authorization header is malformed; the region '${given}' is wrong; expecting '${expected}'`;
  return {
    type: 'answer',
    status: 400,
    headers: { 'x-amz-bucket-region': expected },
    body: errorBody('AuthorizationHeaderMalformed', message, { Region: expected }),
  };
}

export function notImplemented(): Answer {
  return answer(501, 'NotImplemented', 'A header or query you provided requested a function that is not implemented.');
}

export function expiredToken(): Answer {
  return answer(400, 'ExpiredToken', 'The provided token has expired.');
}

/** An error in an answer whose status says 200, as S3 sends it when the error comes after the first byte. */
export function errorInside200(code = 'InternalError'): Answer {
  return answer(200, code, 'We encountered an internal error. Please try again.');
}

/** DeleteObjects: a good answer in which every key, or those that fit, is refused. Deletes nothing. */
export function deletionsRefused(code = 'AccessDenied', keys = /^/): Answer {
  return {
    type: 'answer',
    status: 200,
    body: requestBody => {
      const refused = [...requestBody.matchAll(/<Key>([^<]*)<\/Key>/g)].filter(([, key = '']) => keys.test(key));
      const errors = refused.map(
        ([key]) => `<Error>${key}<Code>${code}</Code><Message>Access Denied</Message></Error>`,
      );
      return `<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${errors.join('')}</DeleteResult>`;
    },
  };
}

/** Like Google's storage: no multi-object delete. */
export const noBatchDelete: FaultRule = { kinds: ['DeleteObjects'], fault: notImplemented() };

/** A server that does not know the newer checksums, in headers or after the body, and says so. */
export const noChecksums: FaultRule = {
  when: ({ headers }) =>
    headers['x-amz-trailer'] !== undefined ||
    headers['x-amz-content-sha256']?.endsWith('-TRAILER') === true ||
    Object.keys(headers).some(name => name.startsWith('x-amz-checksum-') || name === 'x-amz-sdk-checksum-algorithm'),
  fault: notImplemented(),
};

/** Faults that an honest client survives, each with the same probability (0 to 1) per request that it fits. */
export function mixedFaults(probability: number): FaultRule[] {
  const any: readonly Fault[] = [
    { type: 'delay', milliseconds: 100 },
    { type: 'break', how: 'reset', at: 'start' },
    { type: 'break', how: 'reset', at: 'answer' },
    { type: 'break', how: 'close', at: 'answer' },
    slowDown(),
    slowDown(1),
    internalError(),
    internalError(true),
    badGateway(502),
    badGateway(504),
    requestTimeout(),
    tooManyRequests(),
  ];
  const downloads: readonly Fault[] = [
    { type: 'break', how: 'reset', at: 'download' },
    { type: 'break', how: 'close', at: 'download' },
  ];
  const uploads: readonly Fault[] = [
    { type: 'break', how: 'reset', at: 'upload' },
    { type: 'break', how: 'close', at: 'upload' },
  ];
  return [
    ...any.map(fault => ({ fault, probability })),
    ...downloads.map(fault => ({ fault, probability, kinds: ['GetObject', 'ListObjectsV2'] as const })),
    ...uploads.map(fault => ({ fault, probability, kinds: ['PutObject', 'UploadPart'] as const })),
    { fault: errorInside200(), probability, kinds: ['CompleteMultipartUpload', 'DeleteObjects'] },
    { fault: deletionsRefused('InternalError'), probability, kinds: ['DeleteObjects'] },
  ];
}
