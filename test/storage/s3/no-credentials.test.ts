import { expect, test } from 'vitest';
import { BackstopError } from '../../../src/base/error.ts';
import { mayPass } from '../../../src/storage/s3/retry.ts';

test('a request that has no credentials is not tried again: whoever looked for them has done that', () => {
  expect(mayPass(new BackstopError('option-required', 'no credentials found for the bucket of repo1'))).toBe(false);
  expect(mayPass(new BackstopError('host-connect', 'unable to ask the token service'))).toBe(false);
  expect(mayPass({ code: 'ECONNRESET' })).toBe(true);
});
