/** The S3 server that both tools keep their repositories in, and the ways to it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { repoLines } from '../support/s3/repo-options.ts';
import { projectRoot } from '../support/unprivileged-project.ts';
import type { RequestCounts, Way, WayRequest, Ways } from './s3-way.ts';

/** Milliseconds that a request and its answer travel: to a server beside us, and to one elsewhere. */
export const roundTrips = [0, 50] as const;
export type RoundTrip = (typeof roundTrips)[number];

export class ObjectStore {
  readonly #lab: S3Lab;
  readonly #process: ChildProcess;
  readonly #ways: Ways;

  private constructor(lab: S3Lab, process: ChildProcess, ways: Ways) {
    this.#lab = lab;
    this.#process = process;
    this.#ways = ways;
  }

  /** The server that PGBACKSTOP_S3_LAB names, else one of our own, which ends with this process. */
  static async start(): Promise<ObjectStore> {
    const lab = await s3Lab();
    const child = fork(join(projectRoot(), '.test', 's3-way.cjs'));
    const request: WayRequest = {
      place: {
        http: lab.http,
        https: lab.https,
        dnsName: lab.dnsName,
        caFile: lab.caFile,
        region: lab.region,
        key: lab.key,
        secret: lab.secret,
      },
      roundTrips,
    };
    child.send(request);
    return new ObjectStore(lab, child, await answerOf<Ways>(child));
  }

  /** A repository that keeps its place until it is emptied. */
  repository(name: string): BucketRepository {
    return new BucketRepository(this.#lab, name, roundTrip => this.#way(roundTrip));
  }

  /** Requests that came by on counted ways since the last call. */
  async counts(): Promise<RequestCounts> {
    this.#process.send('count');
    return await answerOf<RequestCounts>(this.#process);
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.disconnect();
    await ended;
  }

  #way(roundTrip: RoundTrip): Way {
    const way = this.#ways.find(each => each.roundTrip === roundTrip);
    if (way === undefined) throw new Error(`there is no way of ${roundTrip} ms`);
    return way;
  }
}

/** @throws when the process ends instead */
async function answerOf<T>(child: ChildProcess): Promise<T> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const ended = once(child, 'exit', { signal }).then(() => {
    throw new Error('the process of the ways to the S3 server ended');
  });
  try {
    const [answer] = (await Promise.race([once(child, 'message', { signal }), ended])) as [T];
    return answer;
  } finally {
    ended.catch(() => undefined); // that nobody waits for it any more
    waiting.abort();
  }
}

/** A repository in a bucket of its own; each time it is emptied the bucket is another one. */
export class BucketRepository {
  readonly name: string;
  readonly #lab: S3Lab;
  readonly #way: (roundTrip: RoundTrip) => Way;
  #bucket: string | undefined;

  constructor(lab: S3Lab, name: string, way: (roundTrip: RoundTrip) => Way) {
    this.#lab = lab;
    this.name = name;
    this.#way = way;
  }

  async empty(): Promise<void> {
    await this.remove();
    this.#bucket = await this.#lab.newBucket();
  }

  /** What it holds is gone from the server's memory. */
  async remove(): Promise<void> {
    if (this.#bucket !== undefined) await this.#lab.delete(this.#bucket, (await this.#lab.list(this.#bucket)).keys());
    this.#bucket = undefined;
  }

  /** Lines of a configuration file that lead there. @param counted on the way where requests are counted */
  lines(roundTrip: RoundTrip, counted: boolean): string {
    if (this.#bucket === undefined) throw new Error(`the repository ${this.name} was not made yet`);
    const { port, countedPort } = this.#way(roundTrip);
    return repoLines(this.#lab, { bucket: this.#bucket, path: '/repo', port: counted ? countedPort : port });
  }
}

/** A repository in a bucket as one row sees it: so far away. */
export interface DistantRepository {
  readonly bucket: BucketRepository;
  readonly roundTrip: RoundTrip;
}
