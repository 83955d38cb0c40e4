/** Credentials of a profile of the shared AWS files: keys, a role, SSO, a process, whatever the SDK knows. */
import { BackstopError } from '../../../base/error.ts';
import { type SharedFiles, sharedFiles } from './profile.ts';
import type { AccessKey, CredentialSource } from './source.ts';
import { withoutSecrets } from './without-secrets.ts';

/** What a profile that gives credentials has at least one of, and how it is called in messages. */
const kinds = [
  ['role_arn', 'role'],
  ['aws_access_key_id', undefined],
  ['web_identity_token_file', 'web identity'],
  ['credential_process', 'process'],
  ['sso_session', 'SSO'],
  ['sso_account_id', 'SSO'],
  ['sso_start_url', 'SSO'],
  ['login_session', 'login'],
] as const;

export interface ProfileKeySettings {
  /** Region of the token service, for a profile that has none. */
  readonly region?: string;
}

/** Undefined: there are no files, and no profile is asked for. */
export function profileSource(
  settings: ProfileKeySettings,
  environment: NodeJS.ProcessEnv,
): CredentialSource | undefined {
  const files = sharedFiles(environment);
  if (files === undefined) return undefined;
  const { profile } = files;
  return async () => {
    const { loadSharedConfigFiles } = await import('./shared-files-sdk.ts');
    // as these files may be changed while we run
    const paths = { filepath: files.credentials, configFilepath: files.config, ignoreCache: true };
    const { configFile, credentialsFile } = await loadSharedConfigFiles(paths);
    const values = { ...configFile[profile], ...credentialsFile[profile] };
    if (Object.keys(values).length === 0 && files.named) throw noProfile(files);
    const kind = kinds.find(([name]) => values[name] !== undefined);
    if (kind === undefined) return undefined;
    const [name, word] = kind;
    const file = credentialsFile[profile]?.[name] === undefined ? files.config : files.credentials;
    const from = `profile '${profile}' of '${file}'${word === undefined ? '' : ` (${word})`}`;
    const plain = word === undefined ? plainKey(values) : undefined;
    if (plain !== undefined) return { key: plain, from };
    try {
      const { fromIni } = await loadProfileSdk();
      const { accessKeyId, secretAccessKey, sessionToken, expiration } = await fromIni({
        ...paths,
        profile,
        ...(settings.region === undefined ? {} : { parentClientConfig: { region: settings.region } }),
      })();
      return {
        key: {
          accessKeyId,
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
          ...(expiration === undefined ? {} : { expiration }),
        },
        from,
      };
    } catch (error) {
      const secrets = [configFile, credentialsFile].flatMap(file => Object.values(file).flatMap(secretsOf));
      throw failed(error, from, word, profile, secrets);
    }
  };
}

/** Keys in the profile itself: most have nothing else, and the rest of the SDK takes long to load. */
function plainKey(values: Readonly<Record<string, string | undefined>>): AccessKey | undefined {
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey, aws_session_token: token } = values;
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, ...(token === undefined ? {} : { sessionToken: token }) };
}

function loadProfileSdk(): Promise<typeof import('./profile-sdk.ts')> {
  // it would tell users of Node 20 in their archive log what versions of the SDK in 2027 will need
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  return import('./profile-sdk.ts');
}

/** What must not be told: the SDK's messages repeat the command of a process. */
function secretsOf(values: Readonly<Record<string, string | undefined>>): string[] {
  return ['aws_secret_access_key', 'aws_session_token', 'credential_process'].flatMap(name => values[name] ?? []);
}

function failed(
  error: unknown,
  from: string,
  word: string | undefined,
  profile: string,
  secrets: readonly string[],
): BackstopError {
  const { message } = error as Error;
  const told = secrets.reduce((text, secret) => text.replaceAll(secret, '<redacted>'), message);
  const hint =
    word === 'SSO' || word === 'login'
      ? `log in again: aws ${word === 'SSO' ? 'sso ' : ''}login --profile ${profile}`
      : `does 'aws sts get-caller-identity --profile ${profile}' work as this user?`;
  // no cause: with it, its text would be in the log
  return new BackstopError('protocol', `unable to get credentials from ${from}: ${withoutSecrets(told)}`, { hint });
}

function noProfile({ profile, config, credentials }: SharedFiles): BackstopError {
  return new BackstopError(
    'option-required',
    `profile '${profile}' is neither in '${config}' nor in '${credentials}'`,
    {
      hint: 'AWS_PROFILE names it; is HOME that of the right user?',
    },
  );
}
