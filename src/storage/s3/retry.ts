/**
 * Which failures of a request may pass, and how long to wait before the next try: longer each time, at random, so that
 * many processes do not come back at once.
 */
import { type BackstopError, isBackstopError } from '../../base/error.ts';

/** An answer that lacks what it must have: the success that it claims is not believed. */
export class FalseAnswer extends Error {
  override readonly name = 'FalseAnswer';
}

/** Answers that say "later". */
const passingStatus = new Set([408, 429, 500, 502, 503, 504]);

/** Names in an error body that say "later", whatever the status. */
const passingNames = new Set([
  'FalseAnswer',
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

/** Names that say "never". An error inside of an answer with status 200 gets status 503 from the SDK. */
const lastingNames = new Set([
  'AccessDenied',
  'EntityTooSmall',
  'EntityTooLarge',
  'InvalidPart',
  'InvalidPartOrder',
  'InvalidRequest',
  'MalformedXML',
  'NoSuchBucket',
  'NoSuchKey',
  'NoSuchUpload',
  'NotImplemented',
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
  'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
]);

/** What the SDK throws, as far as we look at it. */
export interface ServiceFailure {
  readonly name?: string;
  readonly message?: string;
  /** Of a system call, or of TLS. */
  readonly code?: string;
  readonly errno?: number;
  /** What came, when that was not HTTP. */
  readonly rawPacket?: Uint8Array;
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

/** Did the service say yes, and we could not make sense of it? A page of a proxy, or half an answer. */
export function isUnreadable(failure: ServiceFailure): boolean {
  const status = statusOf(failure);
  return failure.name === 'FalseAnswer' || (status !== undefined && status < 300 && failure.code === undefined);
}

/** Was a plain request answered in TLS? An alert, as servers send it to who does not begin with a greeting. */
export const speaksTls = ({ rawPacket }: ServiceFailure): boolean => rawPacket?.[0] === 0x15 && rawPacket[1] === 3;

/** May the same request succeed when it is sent again? */
export function mayPass(failure: ServiceFailure | BackstopError): boolean {
  // no credentials: who looked for them has tried as often as it should
  if (isBackstopError(failure)) return false;
  const name = failure.name ?? '';
  if (lastingNames.has(name)) return false;
  if (passingNames.has(name) || isUnreadable(failure)) return true;
  const status = statusOf(failure);
  if (status !== undefined && status >= 400) return passingStatus.has(status);
  const code = failure.code ?? '';
  return (
    name === 'TimeoutError' ||
    passingCodes.has(code) ||
    (code.startsWith('HPE_') && !speaksTls(failure)) ||
    failure.message === 'socket hang up'
  );
}

/** Longest wait of our own, in milliseconds: a service of which half the answers are failures gets some forty chances. */
const longestOwn = 2000;

/** Longest wait that a server may ask for, in milliseconds. */
const longestAsked = 60_000;

/** A name that is not known may be known soon, where a host has just started; one that is misspelled never will. */
const nameLimit = 10_000;

/** How often it was tried, and how long: in milliseconds. */
export interface Tries {
  /** 1 after the first failure. */
  readonly attempt: number;
  /** Since the first try, or since it last made progress. */
  readonly spent: number;
  readonly ioTimeout: number;
  /** Time to try for, when that is to be less than io-timeout. */
  readonly patience?: number | undefined;
}

/**
 * Decides on another try.
 * @param random from 0 to 1
 * @param now milliseconds since the epoch
 * @returns milliseconds to wait before it; undefined when it is of no use, or there is no time for it
 */
export function waitBefore(failure: ServiceFailure, tries: Tries, random: number, now: number): number | undefined {
  if (!mayPass(failure)) return undefined;
  const { attempt, spent, ioTimeout, patience = ioTimeout } = tries;
  const left = Math.min(patience, failure.code === 'ENOTFOUND' ? nameLimit : ioTimeout) - spent;
  const full = Math.min(longestOwn, 50 * 2 ** Math.min(attempt, 10));
  const own = full / 2 + (full / 2) * random;
  // a short io-timeout, too, allows for a connection that the server had closed meanwhile
  if (own > left && (attempt > 2 || tries.patience !== undefined)) return undefined;
  return Math.max(own, Math.min(left, askedWait(failure, now)));
}

/** What header Retry-After says, in milliseconds: seconds or a date. */
function askedWait(failure: ServiceFailure, now: number): number {
  const text = failure.$response?.headers?.['retry-after'];
  if (text === undefined) return 0;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.min(longestAsked, Math.max(0, wait)) : 0;
}
