/**
 * Which failures of a request may pass, and how long to wait before the next try: longer each time, at random, so that
 * many processes do not come back at once.
 */
import { type BackstopError, isBackstopError } from '../../base/error.ts';

/** Answers that say "later". */
const passingStatus = new Set([408, 429, 500, 502, 503, 504]);

/** Names in an error body that say "later", whatever the status. */
const passingNames = new Set([
  'RequestTimeout',
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'TooManyRequests',
  'BandwidthLimitExceeded',
  'OperationAborted',
  'IncompleteBody',
]);

/** Failures of a connection that another one may not have. */
const passingCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ERR_STREAM_PREMATURE_CLOSE',
  'HPE_INVALID_CONSTANT',
  'HPE_INVALID_EOF_STATE',
]);

/** What the SDK throws, as far as we look at it. */
export interface ServiceFailure {
  readonly name?: string;
  readonly message?: string;
  /** Of a system call, or of TLS. */
  readonly code?: string;
  readonly errno?: number;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: {
    readonly statusCode?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
  };
  readonly cause?: unknown;
}

/** @returns the status of the answer; undefined when none came */
export const statusOf = (failure: ServiceFailure): number | undefined =>
  failure.$metadata?.httpStatusCode ?? failure.$response?.statusCode;

/** May the same request succeed when it is sent again? */
export function mayPass(failure: ServiceFailure | BackstopError): boolean {
  // no credentials: who looked for them has tried as often as it should
  if (isBackstopError(failure)) return false;
  if (passingNames.has(failure.name ?? '')) return true;
  const status = statusOf(failure);
  if (status !== undefined && status >= 400) return passingStatus.has(status);
  return (
    failure.name === 'TimeoutError' ||
    passingCodes.has(failure.code ?? '') ||
    (failure.code ?? '').startsWith('HPE_') ||
    failure.message === 'socket hang up' ||
    failure.message === 'aborted'
  );
}

/** Longest wait that a server may ask for, in milliseconds. */
const longestAsked = 60_000;

/**
 * Milliseconds to wait before a retry.
 * @param attempt 1 after the first failure
 * @param random from 0 to 1
 */
export function waitBefore(attempt: number, failure: ServiceFailure, random: number, now: number): number {
  const asked = retryAfter(failure, now);
  const own = Math.min(10_000, 50 * 2 ** Math.min(attempt, 10));
  const jittered = own / 2 + (own / 2) * random;
  return asked === undefined ? jittered : Math.max(jittered, asked);
}

/** What header Retry-After says, in milliseconds: seconds or a date. */
function retryAfter(failure: ServiceFailure, now: number): number | undefined {
  const text = failure.$response?.headers?.['retry-after'];
  if (text === undefined) return undefined;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.min(longestAsked, Math.max(0, wait)) : undefined;
}
