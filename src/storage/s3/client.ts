/** One client of the service: sends requests, counts them, tries again what may pass, and says plainly what failed. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { type AnswerBody, collect } from './answer.ts';
import { openAgent, type ServiceAgent } from './connection.ts';
import { type Credentials, openCredentials } from './credentials.ts';
import { loadSdk, type Sdk } from './load-sdk.ts';
import { isPlain, PlainClient } from './plain-client.ts';
import type { RequestContent } from './request-content.ts';
import type { RequestCounters, RequestKind } from './requests.ts';
import { resolveS3Settings } from './resolve-settings.ts';
import { type ServiceFailure, statusOf, waitBefore } from './retry.ts';
import { s3Error } from './s3-error.ts';
import type { GivenS3Settings, S3Settings } from './settings.ts';

/** A class of commands of the SDK. */
type SdkCommand = new (input: never) => object;

/** Names of the operations that the SDK is loaded with. */
type Operation = { [K in keyof Sdk]: K extends `${infer O}Command` ? O : never }[keyof Sdk];

type CommandOf<O extends Operation> = `${O}Command` extends keyof Sdk ? Sdk[`${O}Command`] : never;

/** What a command is asked with; the bucket is known. */
type InputOf<C> = C extends SdkCommand
  ? Omit<ConstructorParameters<C>[0], 'Bucket' | 'Body'> & { readonly Body?: RequestContent }
  : never;

/** What a command answers. */
type OutputOf<C> = C extends new (
  input: never,
) => { resolveMiddleware(...given: never[]): (given: never) => Promise<{ output: infer R }> }
  ? R
  : never;

export interface S3AccessSettings {
  readonly label: string;
  readonly bucket: GivenS3Settings;
  readonly counters: RequestCounters;
  /** Told where the credentials come from. */
  readonly debug?: (message: string) => void;
}

export interface SendOptions {
  /** Bytes of the body, for the count. */
  readonly bodySize?: number;
  /** Ends the request, and the wait for its next try, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Makes another class of the SDK's command. */
  readonly wrap?: (sdk: Sdk) => SdkCommand;
  /** Milliseconds to try for, when that is to be less than io-timeout. */
  readonly patience?: number;
}

const verbs: Readonly<Record<RequestKind, string>> = {
  list: 'LIST',
  head: 'HEAD',
  get: 'GET',
  put: 'PUT',
  'create-upload': 'POST',
  'upload-part': 'PUT',
  'complete-upload': 'POST',
  'abort-upload': 'DELETE',
  delete: 'DELETE',
};

/** Where the SDK keeps what it is about to sign for. */
interface SigningContext {
  readonly __smithy_context?: {
    readonly selectedHttpAuthScheme?: {
      readonly httpAuthOption?: { readonly signingProperties?: { signingName?: string } };
    };
  };
}

export class S3Access {
  readonly settings: S3Settings;
  readonly label: string;
  readonly counters: RequestCounters;
  readonly credentials: Credentials;
  /** Whether content must come with its MD5; set once the service has said so. */
  wantsMd5: boolean;
  readonly #endpoint: URL;
  readonly #agent: ServiceAgent;
  readonly #plain: PlainClient | undefined;
  #loading: Promise<LoadedClient> | undefined;
  #closed = false;

  private constructor(parts: {
    readonly settings: S3Settings;
    readonly label: string;
    readonly counters: RequestCounters;
    readonly credentials: Credentials;
    readonly endpoint: URL;
    readonly agent: ServiceAgent;
  }) {
    const { settings, agent, credentials } = parts;
    this.settings = settings;
    this.label = parts.label;
    this.counters = parts.counters;
    this.credentials = credentials;
    this.wantsMd5 = settings.lock !== undefined;
    this.#endpoint = parts.endpoint;
    this.#agent = agent;
    // aws4 knows the rules of S3's signatures by the service's name
    this.#plain = settings.service === 's3' ? new PlainClient(settings, agent, credentials.provider) : undefined;
  }

  /** Nothing is sent yet, but a connection is begun. */
  static async open({ label, bucket: given, counters, debug }: S3AccessSettings): Promise<S3Access> {
    const { environment } = given;
    // the SDK looks into the process's
    if (!isMainThread) Object.assign(process.env, environment);
    const settings = await resolveS3Settings(given, environment);
    const endpoint = new URL(settings.endpoint);
    const agent = openAgent(endpoint, settings, environment);
    const host = settings.uriStyle === 'host' ? `${settings.bucket}.${endpoint.hostname}` : endpoint.hostname;
    agent.openEarly({
      host: host.replace(/^\[|\]$/g, ''),
      port: Number(endpoint.port || (endpoint.protocol === 'http:' ? 80 : 443)),
    });
    // it is on its way after this turn, while loading keeps us busy
    await new Promise(setImmediate);
    const credentials = openCredentials(settings.credentials, environment, debug === undefined ? {} : { debug });
    return new S3Access({ settings, label, counters, credentials, endpoint, agent });
  }

  /** What is under way fails, and is not tried again. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
    // a failure to load it was told to who asked for it
    this.#loading?.then(({ keep }) => keep()).catch(() => undefined);
  }

  /**
   * Sends a request until it is answered, or cannot be, or has been tried for io-timeout.
   * @param key what is named in an error
   * @param check throws FalseAnswer for an answer that is none
   * @throws an error of ours; file-missing for status 404
   */
  async send<O extends Operation>(
    kind: RequestKind,
    key: string,
    operation: O,
    input: InputOf<CommandOf<O>>,
    check: (output: OutputOf<CommandOf<O>>) => void = () => undefined,
    options: SendOptions = {},
  ): Promise<OutputOf<CommandOf<O>>> {
    const begun = Date.now();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(kind, operation, input, check, options);
      } catch (thrown) {
        if (options.signal?.aborted) throw options.signal.reason;
        const told = kind === 'head' && isSilent(thrown) ? await this.#reasonOf(thrown, input) : thrown;
        await this.#mayTryAgain(told, { verb: verbs[kind], key, attempt, begun }, options);
      }
    }
  }

  async #once<O extends Operation>(
    kind: RequestKind,
    operation: O,
    input: InputOf<CommandOf<O>>,
    check: (output: OutputOf<CommandOf<O>>) => void,
    options: SendOptions,
  ): Promise<OutputOf<CommandOf<O>>> {
    this.counters.request(kind, options.bodySize ?? 0);
    const asked = { ...this.#common, ...(input as object) };
    const output = (await this.#ask(kind, operation, asked, options)) as OutputOf<CommandOf<O>>;
    check(output);
    return output;
  }

  async #ask(kind: RequestKind, operation: Operation, input: object, options: SendOptions): Promise<unknown> {
    if (this.#plain !== undefined && isPlain(operation)) {
      const answer = await this.#plain.ask(operation, { ...input }, options.signal);
      if (answer !== undefined) return answer;
      // was answered in a way that is not the usual one: the SDK understands it, or tells why not
      this.counters.request(kind, options.bodySize ?? 0);
    }
    return await this.#askSdk(operation, input, options);
  }

  async #askSdk(operation: Operation, input: object, { signal, wrap }: SendOptions): Promise<unknown> {
    this.#loading ??= loadClient(this.settings, this.#agent, this.credentials);
    const { sdk, client } = await this.#loading;
    const Command = wrap?.(sdk) ?? sdk[`${operation}Command`];
    const { Body: content } = input as { readonly Body?: RequestContent };
    const given = content === undefined ? input : { ...input, Body: Buffer.concat(content.pieces) };
    return await client.send(new Command(given as never) as never, signal === undefined ? {} : { abortSignal: signal });
  }

  /** Asks for a byte of what HEAD was refused for: the answer to HEAD has no room for the reason. */
  async #reasonOf(refusal: unknown, input: object): Promise<unknown> {
    try {
      const { Body } = await this.#once(
        'get',
        'GetObject',
        { ...(input as { Key: string }), Range: 'bytes=0-0' },
        () => undefined,
        {},
      );
      (Body as IncomingMessage | undefined)?.destroy();
      return refusal;
    } catch (reason) {
      return statusOf(reason as ServiceFailure) === statusOf(refusal as ServiceFailure) ? reason : refusal;
    }
  }

  /**
   * Waits before the next try of a read that broke off.
   * @param begun when it was first tried, or last made progress
   * @throws the error when another try is of no use, or there is no time for it
   */
  async waitToRetry(thrown: unknown, key: string, attempt: number, begun: number, signal: AbortSignal): Promise<void> {
    await this.#mayTryAgain(thrown, { verb: 'GET', key, attempt, begun }, { signal });
  }

  get #common(): object {
    return {
      Bucket: this.settings.bucket,
      ...(this.settings.requesterPays ? { RequestPayer: 'requester' } : {}),
    };
  }

  async #mayTryAgain(
    thrown: unknown,
    { verb, key, attempt, begun }: { verb: string; key: string; attempt: number; begun: number },
    { signal, patience }: SendOptions,
  ): Promise<void> {
    const failure = thrown as ServiceFailure;
    const now = Date.now();
    const { ioTimeout, sseCustomerKey } = this.settings;
    const wait = waitBefore(failure, { attempt, spent: now - begun, ioTimeout, patience }, Math.random(), now);
    if (wait !== undefined && !this.#closed) {
      this.counters.retry();
      try {
        await sleep(wait, undefined, signal === undefined ? {} : { signal });
      } catch (aborted) {
        throw signal?.reason ?? aborted;
      }
      return;
    }
    throw s3Error(thrown, {
      verb,
      key,
      label: this.label,
      endpoint: this.#endpoint,
      settings: this.settings,
      secrets: [...this.credentials.secrets(), ...(sseCustomerKey === undefined ? [] : [sseCustomerKey])],
      ...(attempt > 1 ? { triedFor: now - begun } : {}),
    });
  }
}

/** Was a request refused for a reason that is told in the content of an answer only? */
function isSilent(thrown: unknown): boolean {
  const status = statusOf(thrown as ServiceFailure);
  return status === 400 || status === 403;
}

/** The headers of an object that is encrypted with a key of ours. */
export function customerKey(settings: S3Settings): object {
  return settings.sseCustomerKey === undefined
    ? {}
    : { SSECustomerAlgorithm: 'AES256', SSECustomerKey: settings.sseCustomerKey };
}

interface LoadedClient {
  readonly sdk: Sdk;
  readonly client: InstanceType<Sdk['S3Client']>;
  /** Keeps compiled code for the next run. */
  readonly keep: () => void;
}

/** The SDK, set up so that it does what it is told and nothing else. */
async function loadClient(settings: S3Settings, agent: ServiceAgent, credentials: Credentials): Promise<LoadedClient> {
  const { sdk, keep } = await loadSdk();
  const endpoint = new URL(settings.endpoint);
  const client = new sdk.S3Client({
    endpoint: endpoint.href,
    region: settings.region,
    forcePathStyle: settings.uriStyle === 'path',
    credentials: credentials.provider,
    // tries are counted and bounded here, where a body that broke off is tried again too
    maxAttempts: 1,
    retryMode: 'standard',
    // the signature covers a SHA-256 of the content: every server checks it, while some refuse these
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // would wait one round trip before each body
    expectContinueHeader: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    useArnRegion: false,
    disableS3ExpressSessionAuth: true,
    disableMultiregionAccessPoints: true,
    // a wrong clock is told, not made up for from the second request on
    disableClockSkewCorrection: true,
    defaultsMode: 'legacy',
    // what is set here is not looked for in files of the user
    userAgentAppId: async () => undefined,
    defaultUserAgentProvider: async () => [['pgbackstop']],
    requestHandler: new sdk.NodeHttpHandler({
      ...(endpoint.protocol === 'https:' ? { httpsAgent: agent as never } : { httpAgent: agent as never }),
      connectionTimeout: settings.ioTimeout,
      socketTimeout: settings.ioTimeout,
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    }),
  } as never);
  client.middlewareStack.add(
    (next, context) => args => {
      const request = args.request as { query?: Record<string, unknown> };
      // for Amazon's statistics; not every service takes a parameter that it does not know
      delete request.query?.['x-id'];
      const { __smithy_context: { selectedHttpAuthScheme: scheme } = {} } = context as SigningContext;
      if (scheme?.httpAuthOption?.signingProperties !== undefined)
        scheme.httpAuthOption.signingProperties.signingName = settings.service;
      return next(args);
    },
    { step: 'build', name: 'plainRequest' },
  );
  client.middlewareStack.add(
    (next, { commandName }) =>
      async args => {
        const result = await next(args);
        const response = result.response as { readonly statusCode: number; body: unknown };
        if (commandName !== 'GetObjectCommand' || response.statusCode >= 300)
          response.body = await collect(response.body as AnswerBody);
        return result;
      },
    { step: 'deserialize', priority: 'low', name: 'boundedAnswer' },
  );
  return { sdk, client, keep };
}
