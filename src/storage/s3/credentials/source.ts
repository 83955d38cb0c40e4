/** What a place that has credentials gives. */

/** Names are the SDK's, which takes it as it is. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** Absent: it does not end. */
  readonly expiration?: Date;
}

export interface FoundKey {
  readonly key: AccessKey;
  /** Where it is from, for people: `profile 'x' of '/home/me/.aws/credentials'`. Never a secret. */
  readonly from: string;
}

/**
 * Fetches credentials, anew each time. Undefined: this place is not configured, so that another one may be looked into.
 * Throws when it is configured and fails.
 */
export type CredentialSource = () => Promise<FoundKey | undefined>;
