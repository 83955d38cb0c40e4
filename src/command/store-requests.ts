/** The requests of a process to object stores, by repository. */
import { formatSize } from '../base/units.ts';
import { type CounterMemory, newCounterMemory, RequestCounters, type RequestSummary } from '../storage/s3/requests.ts';

export class StoreRequests {
  readonly #memories = new Map<number, CounterMemory>();

  /** What the requests of a repository are counted in. @param key number of the repository */
  of(key: number): CounterMemory {
    const memory = this.#memories.get(key) ?? newCounterMemory();
    this.#memories.set(key, memory);
    return memory;
  }

  /** What has been counted, for repositories that were asked for anything, by number. */
  summaries(): [key: number, summary: RequestSummary][] {
    return [...this.#memories]
      .map(([key, memory]): [number, RequestSummary] => [key, new RequestCounters(memory).summary()])
      .filter(([, { total }]) => total > 0)
      .sort(([a], [b]) => a - b);
  }
}

/**
 * Lines for the end of a process, one of words for each repository and one of JSON for all: an object store bills by
 * request. The JSON begins with what pgBackRest prints of it.
 */
export function describeRequests(summaries: readonly [key: number, summary: RequestSummary][]): string[] {
  if (summaries.length === 0) return [];
  const lines = summaries.map(([key, { requests, total, retries, sent, received }]) => {
    const kinds = Object.entries(requests).map(([kind, count]) => `${count} ${kind}`);
    const again = retries > 0 ? `, ${retries} of them tried again` : '';
    return `repo${key}: ${total} requests (${kinds.join(', ')})${again}, ${formatSize(sent)} sent, ${formatSize(received)} received`;
  });
  const sum = (of: (summary: RequestSummary) => number) => summaries.reduce((all, [, summary]) => all + of(summary), 0);
  const retries = sum(summary => summary.retries);
  const statistics = {
    'http.request': { total: sum(summary => summary.total) },
    ...(retries > 0 ? { 'http.retry': { total: retries } } : {}),
    ...Object.fromEntries(summaries.map(([key, summary]) => [`repo${key}`, summary])),
  };
  return [...lines, `statistics: ${JSON.stringify(statistics)}`];
}
