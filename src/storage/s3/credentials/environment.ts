/** Credentials in environment variables: the SDKs' names, and the older ones that some tools still use. */
import { parseExpiration } from './key-json.ts';
import type { FoundKey } from './source.ts';

const keyNames = ['AWS_ACCESS_KEY_ID', 'AWS_ACCESS_KEY'] as const;
const secretNames = ['AWS_SECRET_ACCESS_KEY', 'AWS_SECRET_KEY'] as const;

/** Undefined unless there is a whole pair. */
export function environmentKey(environment: NodeJS.ProcessEnv): FoundKey | undefined {
  const [keyName, secretName] = [keyNames, secretNames].map(names => names.find(name => environment[name]));
  const [accessKeyId, secretAccessKey] = [environment[keyName ?? ''], environment[secretName ?? '']];
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  const { AWS_SESSION_TOKEN: sessionToken, AWS_CREDENTIAL_EXPIRATION: expiration } = environment;
  return {
    key: {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken ? { sessionToken } : {}),
      ...(expiration ? { expiration: parseExpiration(expiration, 'variable AWS_CREDENTIAL_EXPIRATION') } : {}),
    },
    from: `environment variables ${keyName} and ${secretName}`,
  };
}

/** Why the environment does not count, when it has half of a pair. */
export function halfPair(environment: NodeJS.ProcessEnv): string | undefined {
  const [keyName, secretName] = [keyNames, secretNames].map(names => names.find(name => environment[name]));
  if ((keyName === undefined) === (secretName === undefined)) return undefined;
  return keyName === undefined ? `${secretName} without AWS_ACCESS_KEY_ID` : `${keyName} without AWS_SECRET_ACCESS_KEY`;
}
