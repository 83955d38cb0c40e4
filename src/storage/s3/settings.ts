/** A bucket as plain data, which crosses threads. Who fills it: command/open.ts, from options and the environment. */

/** How the key is found; the words of option repo-s3-key-type. */
export type KeyType = 'shared' | 'auto' | 'web-id' | 'pod-id' | 'process' | 'default';

export interface S3Settings {
  readonly bucket: string;
  /** Name of the service, `https://` or `http://` and a port before and after it where given: `s3.amazonaws.com`. */
  readonly endpoint: string;
  readonly region: string;
  /** Where the bucket's name goes: before the endpoint, or into the path. */
  readonly uriStyle: 'host' | 'path';
  readonly credentials: CredentialSettings;
  /** Name of the service in the signature, `s3`. */
  readonly service: string;
  /** Where sockets connect, when that is not what the endpoint says. */
  readonly host?: string;
  readonly port?: number;
  readonly caFile?: string;
  readonly caPath?: string;
  readonly verifyTls: boolean;
  readonly kmsKeyId?: string;
  /** Base64 of 32 bytes. */
  readonly sseCustomerKey?: string;
  readonly requesterPays: boolean;
  readonly tags: Readonly<Record<string, string>>;
  /** Bytes of a part of a multipart upload, as the user wants it; absent: sized to the file. */
  readonly chunkSize?: number;
  /** Milliseconds without a byte after which a request is given up. */
  readonly ioTimeout: number;
  /** Only what was there at that time, in milliseconds since the epoch; for versioned buckets. */
  readonly targetTime?: number;
}

export interface CredentialSettings {
  readonly keyType: KeyType;
  /** Label of the repository, `repo1`: for messages. */
  readonly label: string;
  readonly key?: string;
  readonly keySecret?: string;
  readonly token?: string;
  /** Role to ask the instance for, with keyType auto; absent: the one that it has. */
  readonly role?: string;
  /** Program and arguments, with keyType process. */
  readonly processCommand?: readonly string[];
  /** Host of the token service, with keyType web-id. */
  readonly stsHost?: string;
  readonly region: string;
}
