import { describe, expect, it } from 'vitest';
import { describeRequests, StoreRequests } from '../../src/command/store-requests.ts';
import { RequestCounters } from '../../src/storage/s3/requests.ts';

describe('requests to object stores', () => {
  it('are added up over all that count in the memory of a repository, and told by kind', () => {
    const requests = new StoreRequests();
    const [one, other] = [new RequestCounters(requests.of(1)), new RequestCounters(requests.of(1))];
    one.request('put', 2048);
    other.request('put', 1024);
    other.retry();
    one.request('get', 0);
    one.received(10);
    new RequestCounters(requests.of(3)).request('list', 0);
    requests.of(2);
    const [first, third, json = '', ...more] = describeRequests(requests.summaries());
    expect(more).toEqual([]);
    expect(first).toBe('repo1: 3 requests (1 get, 2 put), 1 of them tried again, 3KB sent, 10B received');
    expect(third).toBe('repo3: 1 requests (1 list), 0B sent, 0B received');
    expect(JSON.parse(json.replace('statistics: ', ''))).toEqual({
      'http.request': { total: 4 },
      'http.retry': { total: 1 },
      repo1: { requests: { get: 1, put: 2 }, total: 3, retries: 1, sent: 3072, received: 10 },
      repo3: { requests: { list: 1 }, total: 1, retries: 0, sent: 0, received: 0 },
    });
  });

  it('are not mentioned where there were none', () => {
    expect(describeRequests(new StoreRequests().summaries())).toEqual([]);
  });
});
