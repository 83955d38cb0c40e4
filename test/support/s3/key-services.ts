/** Answers of the services that give keys for a time: an instance's metadata (IMDSv2), and Amazon's token service (STS). */
import type { Reply, Request } from './local-service.ts';

export interface ServedKey {
  readonly key: string;
  readonly secret: string;
  readonly token: string;
  /** As services write it: `2026-01-01T00:00:00Z`. */
  readonly expiration: string;
}

/** Hours from now, as services write times. */
export const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();

/** Where an instance's metadata has its roles. */
export const rolesPath = '/latest/meta-data/iam/security-credentials/';

/** The key of a role, as an instance's metadata has it. @param more fields in the place of these */
export const instanceKey = ({ key, secret, token, expiration }: ServedKey, more: object = {}): string =>
  JSON.stringify({
    Code: 'Success',
    AccessKeyId: key,
    SecretAccessKey: secret,
    Token: token,
    Expiration: expiration,
    ...more,
  });

/**
 * The metadata service of an instance, which wants its token.
 * @param roles with what is at their name, the instance's own first
 */
export function instanceReply({ method, path, headers }: Request, roles: Readonly<Record<string, string>>): Reply {
  if (method === 'PUT' && path === '/latest/api/token') return { body: 'IMDSTOKEN' };
  if (headers['x-aws-ec2-metadata-token'] !== 'IMDSTOKEN') return { status: 401 };
  if (path === rolesPath) return { body: Object.keys(roles)[0] ?? '' };
  const found = path.startsWith(rolesPath) ? roles[path.slice(rolesPath.length)] : undefined;
  return found === undefined ? { status: 404 } : { body: found };
}

/** Answer of the token service to AssumeRoleWithWebIdentity. */
export const webIdentityAnswer = ({ key, secret, token, expiration }: ServedKey): string =>
  `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
    <SessionToken>${escaped(token)}</SessionToken><SecretAccessKey>${escaped(secret)}</SecretAccessKey>
    <Expiration>${expiration}</Expiration><AccessKeyId>${escaped(key)}</AccessKeyId>
  </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
