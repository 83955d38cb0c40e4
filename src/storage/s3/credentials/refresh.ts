/** Keeps credentials fresh: fetched at the first use, again before they end, once for all who wait. */
import { type Clock, systemClock } from '../../../base/clock.ts';
import { asBackstopError, BackstopError } from '../../../base/error.ts';
import type { AccessKey, CredentialSource, FoundKey } from './source.ts';

/** Credentials for the SDK. */
export interface Credentials {
  /** @throws an error of ours when there are none, or they have ended and no new ones can be got */
  readonly provider: () => Promise<AccessKey>;
  /** Where they were found, for people and never a secret; undefined before the first use. */
  readonly describe: () => string | undefined;
  /** What must not be in a message: all of the key in use. */
  readonly secrets: () => readonly string[];
}

export interface RefreshOptions {
  /** Label of the repository, `repo1`: for messages. */
  readonly label: string;
  readonly debug?: ((message: string) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/** Milliseconds before their end in which credentials are renewed; a request must not outlive them. */
const margin = 5 * 60_000;
/** Longest wait between two tries of that. */
const longestPause = 30_000;

export function refreshed(source: CredentialSource, options: RefreshOptions): Credentials {
  const { label, debug = () => undefined, clock = systemClock } = options;
  let current: FoundKey | undefined;
  let pending: Promise<AccessKey> | undefined;
  let notBefore = 0;

  /** Milliseconds for which the key is still good. */
  const remaining = (found: FoundKey): number =>
    found.key.expiration === undefined ? Number.POSITIVE_INFINITY : found.key.expiration.getTime() - clock.now();

  const fetchKey = async (): Promise<FoundKey> => {
    const found = await source();
    if (found === undefined)
      throw new BackstopError('option-required', `no credentials found for the bucket of ${label}`);
    if (remaining(found) > 0) return found;
    throw new BackstopError('protocol', `credentials of ${label} from ${found.from} have ended ${endOf(found)}`, {
      hint: ['renew them where they come from.', 'is the clock of this host right?'],
    });
  };

  const renew = async (): Promise<AccessKey> => {
    try {
      current = await fetchKey();
      const until = current.key.expiration === undefined ? '' : `, good until ${endOf(current)}`;
      debug(`credentials of ${label} from ${current.from}${until}`);
    } catch (thrown) {
      if (current === undefined) throw thrown;
      const error = asBackstopError(thrown);
      if (remaining(current) <= 0) {
        throw new BackstopError(
          error.kind,
          `credentials of ${label} from ${current.from} have ended ${endOf(current)} and cannot be renewed: ${error.message}`,
          { hint: error.hints, cause: error },
        );
      }
      debug(`unable to renew credentials of ${label}, good until ${endOf(current)}: ${error.message}`);
    }
    // short-lived ones, and those whose source fails, are not asked for with each request
    notBefore = clock.now() + Math.min(longestPause, Math.max(0, remaining(current)) / 2);
    return current.key;
  };

  return {
    provider: () => {
      if (pending !== undefined) return pending;
      if (current !== undefined) {
        const left = remaining(current);
        if (left >= margin || (left > 0 && clock.now() < notBefore)) return Promise.resolve(current.key);
      }
      pending = renew().finally(() => {
        pending = undefined;
      });
      return pending;
    },
    describe: () => current?.from,
    secrets: () => {
      const { accessKeyId, secretAccessKey, sessionToken } = current?.key ?? {};
      return [sessionToken, secretAccessKey, accessKeyId].filter(text => text !== undefined);
    },
  };
}

const endOf = ({ key }: FoundKey): string => (key.expiration?.toISOString() ?? '').replace('.000Z', 'Z');
