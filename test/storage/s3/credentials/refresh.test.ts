import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../../src/base/clock.ts';
import { BackstopError, isBackstopError } from '../../../../src/base/error.ts';
import { refreshed } from '../../../../src/storage/s3/credentials/refresh.ts';
import type { FoundKey } from '../../../../src/storage/s3/credentials/source.ts';

const minute = 60_000;

/** Credentials over a source that gives keys 1, 2, 3, ... each good for `life` from its own start, or fails. */
function scene(life: number | undefined) {
  let now = Date.parse('2026-11-21T00:00:00Z');
  let asked = 0;
  let failing: string | undefined;
  const lines: string[] = [];
  const clock: Clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
  const source = async (): Promise<FoundKey> => {
    asked++;
    await new Promise(resolve => setTimeout(resolve, 1));
    if (failing !== undefined) throw new BackstopError('host-connect', failing, { hint: 'is it up?' });
    const ends = life === undefined ? {} : { expiration: new Date(now + life) };
    return {
      key: { accessKeyId: `key${asked}`, secretAccessKey: 'verysecret', sessionToken: 'verysecret', ...ends },
      from: 'the source',
    };
  };
  const credentials = refreshed(source, { label: 'repo1', debug: line => void lines.push(line), clock });
  return {
    ...credentials,
    use: async () => (await credentials.provider()).accessKeyId,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    fail: (message: string | undefined) => {
      failing = message;
    },
    asked: () => asked,
    lines,
  };
}

describe('credentials', () => {
  test('are not asked for before the first use, and then once for all who wait', async () => {
    const { use, asked, describe, lines } = scene(60 * minute);
    expect([asked(), describe()]).toEqual([0, undefined]);
    expect(await Promise.all([use(), use(), use()])).toEqual(['key1', 'key1', 'key1']);
    expect([asked(), describe()]).toEqual([1, 'the source']);
    expect(lines).toEqual(['credentials of repo1 from the source, good until 2026-11-21T01:00:00Z']);
  });

  test('are renewed five minutes before they end, through ten hours', async () => {
    const { use, pass, asked } = scene(60 * minute);
    await use();
    pass(54 * minute);
    expect(await use()).toBe('key1');
    pass(1 * minute + 1);
    expect(await Promise.all([use(), use()])).toEqual(['key2', 'key2']);
    for (let passed = 0; passed < 600; passed++) {
      pass(minute);
      await use();
    }
    expect(asked()).toBe(2 + Math.floor(600 / 56));
  });

  test('that do not end are kept', async () => {
    const { use, pass, asked, lines } = scene(undefined);
    await use();
    pass(1e12);
    expect([await use(), asked(), lines]).toEqual(['key1', 1, ['credentials of repo1 from the source']]);
  });

  test('are used on when they cannot be renewed yet', async () => {
    const { use, pass, fail, asked, lines } = scene(60 * minute);
    await use();
    pass(56 * minute);
    fail('source is down');
    expect([await use(), await use(), asked()]).toEqual(['key1', 'key1', 2]);
    expect(lines.slice(1)).toEqual([
      'unable to renew credentials of repo1, good until 2026-11-21T01:00:00Z: source is down',
    ]);
    pass(31_000);
    fail(undefined);
    expect([await use(), asked()]).toEqual(['key3', 3]);
  });

  test('that have ended for good are an error, until there are new ones', async () => {
    const { use, pass, fail } = scene(60 * minute);
    await use();
    fail('source is down');
    pass(60 * minute);
    const error = await use().catch((thrown: unknown) => thrown);
    if (!isBackstopError(error)) throw error;
    expect(error.text).toBe(
      'credentials of repo1 from the source have ended 2026-11-21T01:00:00Z and cannot be renewed: source is down\nHINT: is it up?',
    );
    expect(error.kind).toBe('host-connect');
    fail(undefined);
    expect(await use()).toBe('key3');
  });

  test('may fail at first and be there later', async () => {
    const { use, fail, asked } = scene(60 * minute);
    fail('source is down');
    await expect(Promise.all([use(), use()])).rejects.toThrow('source is down');
    expect(asked()).toBe(1);
    fail(undefined);
    expect(await use()).toBe('key2');
  });

  test('with a short life are not asked for with each request', async () => {
    const { use, pass, asked } = scene(2 * minute);
    for (let second = 0; second < 60; second++) {
      await use();
      pass(1000);
    }
    expect(asked()).toBeLessThanOrEqual(3);
  });

  test('that have ended when they come are told', async () => {
    const { use, lines } = scene(-minute);
    await expect(use()).rejects.toThrow('credentials of repo1 from the source have ended 2026-11-20T23:59:00Z');
    expect(lines.join()).not.toContain('verysecret');
  });
});
