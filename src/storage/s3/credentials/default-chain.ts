/**
 * Where credentials are looked for when no option says it: the first place that has some wins. The order is that of the
 * SDKs, except that keys in the environment win over a profile that it names, too.
 */
import { BackstopError } from '../../../base/error.ts';
import { openAgent } from '../connection.ts';
import { parseEndpoint } from '../endpoint-url.ts';
import type { CredentialSettings } from '../settings.ts';
import { environmentContainer } from './container.ts';
import { environmentKey, halfPair } from './environment.ts';
import { instanceDisabled, instanceSource } from './instance.ts';
import { profileSource } from './profile-key.ts';
import type { CredentialSource } from './source.ts';
import { webIdentitySource } from './web-identity.ts';

/** Outside of Amazon's machines nobody answers, and that should not take long. */
const instanceTimeout = 1000;

export function defaultSource(settings: CredentialSettings, environment: NodeJS.ProcessEnv): CredentialSource {
  return async () => {
    const fromEnvironment = environmentKey(environment);
    if (fromEnvironment !== undefined) return fromEnvironment;
    const sources = [
      profileSource(settings, environment),
      webIdentity(settings, environment),
      environmentContainer(environment, { timeout: settings.ioTimeout, tries: 3 }),
    ];
    for (const source of sources) {
      const found = await source?.();
      if (found !== undefined) return found;
    }
    let reason = 'switched off by AWS_EC2_METADATA_DISABLED';
    if (!instanceDisabled(environment)) {
      try {
        return await instanceSource({ timeout: instanceTimeout, tries: 1 }, environment)();
      } catch (error) {
        if (!(error instanceof BackstopError)) throw error;
        reason = error.message;
      }
    }
    throw nothingFound(settings.label, environment, reason);
  };
}

function webIdentity(settings: CredentialSettings, environment: NodeJS.ProcessEnv): CredentialSource | undefined {
  const { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile } = environment;
  if (!role || !tokenFile) return undefined;
  const { AWS_ENDPOINT_URL_STS: ownUrl, AWS_ENDPOINT_URL: url } = environment;
  const region = settings.region ?? 'us-east-1';
  const amazon = `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
  return webIdentitySource({
    sts: parseEndpoint(ownUrl || url || amazon, ownUrl ? 'AWS_ENDPOINT_URL_STS' : 'AWS_ENDPOINT_URL'),
    role,
    tokenFile,
    sessionName: environment.AWS_ROLE_SESSION_NAME || 'pgbackstop',
    timeout: settings.ioTimeout,
    tries: 3,
    openAgent: sts => openAgent(sts, { ...settings.certificates, verifyTls: true }, environment),
  });
}

function nothingFound(label: string, environment: NodeJS.ProcessEnv, instance: string): BackstopError {
  const half = halfPair(environment);
  const profile = environment.AWS_PROFILE || environment.AWS_DEFAULT_PROFILE || 'default';
  return new BackstopError('option-required', `no credentials found for the bucket of ${label}`, {
    hint: [
      `set ${label}-s3-key and ${label}-s3-key-secret, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or ${label}-s3-key-type.`,
      `looked into: environment (${half ?? 'no key'}), profile '${profile}' of the shared AWS files, web identity, container, instance (${instance}).`,
    ],
  });
}
