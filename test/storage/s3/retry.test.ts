import { describe, expect, test } from 'vitest';
import { FalseAnswer, mayPass, type ServiceFailure, waitBefore } from '../../../src/storage/s3/retry.ts';

const answer = (status: number, name = 'Unknown', headers: Record<string, string> = {}): ServiceFailure => ({
  name,
  message: 'UnknownError',
  $metadata: { httpStatusCode: status },
  $response: { statusCode: status, headers },
});

describe('another try', () => {
  test.each([
    ['408', answer(408)],
    ['429', answer(429, 'TooManyRequests')],
    ['500', answer(500, 'InternalError')],
    ['502 of a gateway', answer(502)],
    ['503', answer(503, 'SlowDown')],
    ['504', answer(504)],
    ["400 that means 'later'", answer(400, 'RequestTimeout')],
    ['a reset', { name: 'TimeoutError', code: 'ECONNRESET', message: 'socket hang up' }],
    ['a broken pipe', { name: 'TimeoutError', code: 'EPIPE' }],
    ['silence', { name: 'TimeoutError', message: 'the request socket timed out' }],
    ['a broken answer', { code: 'HPE_INVALID_CONSTANT', rawPacket: Buffer.from('garbage') }],
    ['half an answer', { name: 'Error', message: 'XML parse error', $metadata: { httpStatusCode: 200 } }],
    ['an answer without what it must have', new FalseAnswer('no ETag')],
  ])('may help after %s', (_, failure) => expect(mayPass(failure)).toBe(true));

  test.each([
    ['403', answer(403, 'AccessDenied')],
    ['404', answer(404, 'NoSuchKey')],
    ['400', answer(400, 'AuthorizationHeaderMalformed')],
    ['301', answer(301, 'PermanentRedirect')],
    ['501', answer(501, 'NotImplemented')],
    ['a refusal inside of an answer with status 200', answer(503, 'AccessDenied')],
    ['a clock that is wrong', answer(403, 'RequestTimeTooSkewed')],
    ['a certificate that is wrong', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }],
    ['TLS where http is asked for', { code: 'HPE_INVALID_CONSTANT', rawPacket: Buffer.from([0x15, 3, 1]) }],
    ['a defect', new TypeError('x is not a function')],
  ])('is of no use after %s', (_, failure) => expect(mayPass(failure)).toBe(false));
});

describe('the wait before it', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  const wait = (failure: ServiceFailure, attempt: number, spent: number, more: { patience?: number } = {}) =>
    waitBefore(failure, { attempt, spent, ioTimeout: 60_000, ...more }, 1, now);

  test('doubles up to two seconds, of which half is at random', () => {
    const full = Array.from({ length: 10 }, (_, i) => wait(answer(500), i + 1, 0));
    expect(full).toEqual([100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000]);
    expect(waitBefore(answer(500), { attempt: 3, spent: 0, ioTimeout: 60_000 }, 0, now)).toBe(200);
  });

  test('is what Retry-After says, in seconds or as a date, if that is longer', () => {
    expect(wait(answer(503, 'SlowDown', { 'retry-after': '7' }), 1, 0)).toBe(7000);
    expect(wait(answer(503, 'SlowDown', { 'retry-after': 'Sat, 21 Nov 2026 12:00:05 GMT' }), 1, 0)).toBe(5000);
    expect(wait(answer(503, 'SlowDown', { 'retry-after': '0' }), 1, 0)).toBe(100);
    expect(wait(answer(503, 'SlowDown', { 'retry-after': 'soon' }), 1, 0)).toBe(100);
    expect(wait(answer(503, 'SlowDown', { 'retry-after': '-5' }), 1, 0)).toBe(100);
  });

  test('ends with io-timeout, whatever the service asks for', () => {
    expect(wait(answer(503, 'SlowDown', { 'retry-after': '86400' }), 1, 57_000)).toBe(3000);
    expect(wait(answer(503, 'SlowDown', { 'retry-after': '86400' }), 3, 61_000)).toBeUndefined();
    expect(wait(answer(503, 'SlowDown'), 9, 58_500)).toBeUndefined();
  });

  test('comes twice at least: the server may have closed the connection meanwhile', () => {
    expect(wait({ code: 'ECONNRESET' }, 2, 61_000)).toBe(200);
    expect(wait({ code: 'ECONNRESET' }, 3, 61_000)).toBeUndefined();
    expect(wait({ code: 'ECONNRESET' }, 1, 5100, { patience: 5000 })).toBeUndefined();
  });

  test('for a name that is not known is over after ten seconds: it may be misspelled', () => {
    expect(wait({ code: 'ENOTFOUND' }, 5, 5000)).toBe(1600);
    expect(wait({ code: 'ENOTFOUND' }, 7, 9500)).toBeUndefined();
    expect(wait({ code: 'EAI_AGAIN' }, 7, 9500)).toBe(2000);
  });
});
