/** A bucket as the options of a repository describe it. What they leave open is found where the client is opened. */
import { BackstopError } from '../base/error.ts';
import { parseTimestamp, timestampForm } from '../base/parse-time.ts';
import type { OptionName } from '../config/table.ts';
import type { GivenS3Settings, KeyType } from '../storage/s3/settings.ts';

/** The options of a repository in S3, without their `repo1-`. */
export interface S3Options {
  readonly 's3-bucket'?: string | undefined;
  readonly 's3-endpoint'?: string | undefined;
  readonly 's3-region'?: string | undefined;
  readonly 's3-uri-style'?: 'host' | 'path' | undefined;
  readonly 's3-service'?: string | undefined;
  readonly 's3-key-type'?: KeyType | undefined;
  readonly 's3-key'?: string | undefined;
  readonly 's3-key-secret'?: string | undefined;
  readonly 's3-token'?: string | undefined;
  readonly 's3-role'?: string | undefined;
  readonly 's3-process-cmd'?: readonly string[] | undefined;
  readonly 's3-sts-host'?: string | undefined;
  readonly 's3-kms-key-id'?: string | undefined;
  readonly 's3-sse-customer-key'?: string | undefined;
  readonly 's3-requester-pays'?: boolean | undefined;
  readonly 's3-object-lock-mode'?: 'governance' | 'compliance' | undefined;
  readonly 's3-object-lock-days'?: number | undefined;
  readonly 'storage-host'?: string | undefined;
  readonly 'storage-port'?: number | undefined;
  readonly 'storage-ca-file'?: string | undefined;
  readonly 'storage-ca-path'?: string | undefined;
  readonly 'storage-verify-tls'?: boolean | undefined;
  readonly 'storage-tag'?: ReadonlyMap<string, string> | undefined;
  readonly 'storage-upload-chunk-size'?: number | undefined;
}

/** What is read of the settings of a command. */
export interface S3OptionSource {
  readonly values: {
    readonly 'io-timeout'?: number | undefined;
    readonly 'tcp-keep-alive-idle'?: number | undefined;
    readonly 'tls-cipher-12'?: string | undefined;
    readonly 'tls-cipher-13'?: string | undefined;
    readonly 'repo-target-time'?: string | undefined;
  };
  optionIsSet(name: OptionName, key?: number): boolean;
}

const lockModes = { governance: 'GOVERNANCE', compliance: 'COMPLIANCE' } as const;

/**
 * @param key number of the repository
 * @param environment of the process
 * @throws option-required without a bucket, option-invalid-value for a time that is none
 */
export function s3Settings(
  settings: S3OptionSource,
  key: number,
  options: S3Options,
  environment: NodeJS.ProcessEnv,
): GivenS3Settings {
  const label = `repo${key}`;
  const bucket = options['s3-bucket'];
  if (bucket === undefined) {
    throw new BackstopError('option-required', `command requires option: ${label}-s3-bucket`);
  }
  /** The value, unless it is only the default. */
  const given = <T>(name: OptionName, value: T | undefined): T | undefined =>
    settings.optionIsSet(name, key) ? value : undefined;
  const keyType = options['s3-key-type'] ?? 'default';
  const mode = options['s3-object-lock-mode'];
  const days = options['s3-object-lock-days'];
  const certificates = withoutUndefined({ caFile: options['storage-ca-file'], caPath: options['storage-ca-path'] });
  const { 'tls-cipher-12': tls12, 'tls-cipher-13': tls13 } = settings.values;
  const ioTimeout = settings.values['io-timeout'] ?? 60_000;
  return withoutUndefined({
    ...certificates,
    environment: environmentOfS3(environment, keyType),
    bucket,
    endpoint: options['s3-endpoint'],
    region: options['s3-region'],
    uriStyle: given('repo-s3-uri-style', options['s3-uri-style']),
    credentials: withoutUndefined({
      label,
      certificates,
      keyType,
      key: options['s3-key'],
      keySecret: options['s3-key-secret'],
      token: options['s3-token'],
      role: options['s3-role'],
      processCommand: options['s3-process-cmd'],
      stsHost: options['s3-sts-host'],
      ioTimeout,
    }),
    service: options['s3-service'] ?? 's3',
    host: options['storage-host'],
    port: given('repo-storage-port', options['storage-port']),
    verifyTls: options['storage-verify-tls'] ?? true,
    keepAliveIdle: settings.values['tcp-keep-alive-idle'],
    ciphers: tls12 === undefined && tls13 === undefined ? undefined : withoutUndefined({ tls12, tls13 }),
    kmsKeyId: options['s3-kms-key-id'],
    sseCustomerKey: options['s3-sse-customer-key'],
    requesterPays: options['s3-requester-pays'] ?? false,
    tags: Object.fromEntries(options['storage-tag'] ?? []),
    chunkSize: given('repo-storage-upload-chunk-size', options['storage-upload-chunk-size']),
    ioTimeout,
    targetTime: targetTime(settings.values['repo-target-time']),
    lock: mode === undefined || days === undefined ? undefined : { mode: lockModes[mode], days },
  });
}

/**
 * What S3 and those who give keys for it look at. A program that prints keys gets all that `process.env` has by now, as nobody
 * knows what it needs.
 */
function environmentOfS3(environment: NodeJS.ProcessEnv, keyType: KeyType): Record<string, string> {
  const programs = keyType === 'process' || keyType === 'default';
  const wanted = programs ? /^/ : /^(AWS_.*|HOME|PATH|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS)$/;
  const entries = Object.entries(environment).filter(
    (entry): entry is [string, string] => wanted.test(entry[0]) && entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}

/** @returns milliseconds since the epoch */
function targetTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = parseTimestamp(text);
  if (seconds === undefined) {
    throw new BackstopError('option-invalid-value', `'${text}' is not valid for 'repo-target-time' option`, {
      hint: timestampForm,
    });
  }
  return Math.round(seconds * 1000);
}

type WithoutUndefined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

function withoutUndefined<T extends object>(values: T): WithoutUndefined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as WithoutUndefined<T>;
}
