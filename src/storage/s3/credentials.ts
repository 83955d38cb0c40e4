/** Finds the key for a bucket as repo-s3-key-type says. */
import type { Clock } from '../../base/clock.ts';
import { BackstopError } from '../../base/error.ts';
import { openAgent } from './connection.ts';
import { type Credentials, refreshed } from './credentials/refresh.ts';
import type { CredentialSource } from './credentials/source.ts';
import { parseEndpoint } from './endpoint-url.ts';
import type { CredentialSettings } from './settings.ts';

export type { Credentials };

export interface CredentialContext {
  /** Told which place has credentials, and of failures that are not fatal yet. Never a secret. */
  readonly debug?: (message: string) => void;
  readonly clock?: Clock;
}

/** Nothing is asked before the first use. What a key type does not need is not loaded. */
export function openCredentials(
  settings: CredentialSettings,
  environment: NodeJS.ProcessEnv,
  { debug, clock }: CredentialContext = {},
): Credentials {
  let source: CredentialSource | undefined;
  const find: CredentialSource = async () => {
    source ??= await sourceOf(settings, environment);
    return source();
  };
  return refreshed(find, { label: settings.label, debug, clock });
}

const webVariables = ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE'] as const;
const podVariables = ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] as const;

/** How often a service that gives credentials is asked when it fails. */
const tries = 3;

async function sourceOf(settings: CredentialSettings, environment: NodeJS.ProcessEnv): Promise<CredentialSource> {
  const { label, role, ioTimeout: timeout } = settings;
  switch (settings.keyType) {
    case 'shared':
      return sharedSource(settings);
    case 'auto': {
      const { instanceSource } = await import('./credentials/instance.ts');
      return instanceSource({ timeout, tries, ...(role === undefined ? {} : { role }) }, environment);
    }
    case 'web-id': {
      const [roleArn, tokenFile] = needed(settings, environment, webVariables);
      const { webIdentitySource } = await import('./credentials/web-identity.ts');
      return webIdentitySource({
        sts: parseEndpoint(settings.stsHost ?? 'sts.amazonaws.com', `option '${label}-s3-sts-host'`, ['https:']),
        role: roleArn,
        tokenFile,
        sessionName: environment.AWS_ROLE_SESSION_NAME || 'pgbackstop',
        timeout,
        tries,
        openAgent: sts => openAgent(sts, { ...settings.certificates, verifyTls: true }, environment),
      });
    }
    case 'pod-id': {
      const [url, tokenFile] = needed(settings, environment, podVariables);
      const { containerSource } = await import('./credentials/container.ts');
      return containerSource({ url, urlVariable: podVariables[0], tokenFile, timeout, tries });
    }
    case 'process': {
      const { processSource } = await import('./credentials/process.ts');
      return processSource({ command: settings.processCommand ?? [], timeout }, environment);
    }
    case 'default': {
      const { defaultSource } = await import('./credentials/default-chain.ts');
      return defaultSource(settings, environment);
    }
  }
}

function sharedSource({ label, key, keySecret, token }: CredentialSettings): CredentialSource {
  return async () => {
    if (key === undefined || keySecret === undefined) {
      const missing = key === undefined ? 'key' : 'key-secret';
      throw new BackstopError('option-required', `command requires option: ${label}-s3-${missing}`);
    }
    return {
      key: { accessKeyId: key, secretAccessKey: keySecret, ...(token === undefined ? {} : { sessionToken: token }) },
      from: `option ${label}-s3-key`,
    };
  };
}

/** The values of environment variables that a key type cannot do without. */
function needed<const N extends readonly [string, string]>(
  { label, keyType }: CredentialSettings,
  environment: NodeJS.ProcessEnv,
  names: N,
): [string, string] {
  const [first, second] = names.map(name => environment[name]);
  if (first && second) return [first, second];
  const missing = names.filter(name => !environment[name]).map(name => `'${name}'`);
  throw new BackstopError(
    'option-invalid',
    `option '${label}-s3-key-type' is '${keyType}' but ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set`,
    {
      hint: 'Kubernetes sets them in the containers of a service account that has a role; does this process inherit them?',
    },
  );
}
