/**
 * A bucket as plain data, which crosses threads.
 *
 * Options make `GivenS3Settings` (`command/s3-settings.ts`), which may lack what the environment or a profile has. Where the
 * client is opened, `resolveS3Settings` (`resolve-settings.ts`) fills that in and gives `S3Settings`.
 */

/** How the key is found; the words of option repo-s3-key-type. */
export type KeyType = 'shared' | 'auto' | 'web-id' | 'pod-id' | 'process' | 'default';

export interface S3Settings {
  readonly bucket: string;
  /** URL of the service, with its port unless it is the protocol's: `https://s3.amazonaws.com`, `http://minio:9000`. */
  readonly endpoint: string;
  readonly region: string;
  /** Where the bucket's name goes: before the endpoint, or into the path. */
  readonly uriStyle: 'host' | 'path';
  readonly credentials: CredentialSettings;
  /** Name of the service in the signature, `s3`. */
  readonly service: string;
  /** Where sockets connect, when that is not what the endpoint says: a name or address, without brackets. */
  readonly host?: string;
  readonly port?: number;
  readonly caFile?: string;
  readonly caPath?: string;
  readonly verifyTls: boolean;
  /** Seconds without traffic after which the system asks whether the other end is still there; absent: 1. */
  readonly keepAliveIdle?: number;
  /** What TLS may use, in OpenSSL's words; absent: Node's own choice. */
  readonly ciphers?: { readonly tls12?: string; readonly tls13?: string };
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
  /** Retention of objects that are never rewritten. */
  readonly lock?: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number };
}

/**
 * As the options say it. Absent endpoint, region and style are found later; endpoint and host are as they are written, with
 * protocol and port if they have them; the port is there only if it was given.
 */
export interface GivenS3Settings extends Omit<S3Settings, 'endpoint' | 'region' | 'uriStyle'> {
  /** What the environment says of S3: worker threads have none of their own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly endpoint?: string;
  readonly region?: string;
  readonly uriStyle?: 'host' | 'path';
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
  /** Region of a token service that a profile needs. Filled by `resolveS3Settings`. */
  readonly region?: string;
  /** What the token service's certificate is checked by. */
  readonly certificates: Pick<S3Settings, 'caFile' | 'caPath'>;
  /** Milliseconds after which a service or program that should give credentials is given up. */
  readonly ioTimeout: number;
}
