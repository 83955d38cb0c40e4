/** The shared AWS files, `~/.aws/config` and `~/.aws/credentials`: which they are, which profile counts, what it says. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface SharedFiles {
  readonly config: string;
  readonly credentials: string;
  /** Name of the profile that counts. */
  readonly profile: string;
  /** Whether the environment names the profile: then it must be there. */
  readonly named: boolean;
}

/** @returns undefined when neither file exists and nothing names a profile: nothing has to be loaded then */
export function sharedFiles(environment: NodeJS.ProcessEnv): SharedFiles | undefined {
  const folder = join(environment.HOME || homedir(), '.aws');
  const named = environment.AWS_PROFILE || environment.AWS_DEFAULT_PROFILE || undefined;
  // older SDKs read the config file only when told to; now it takes a no to leave it out
  const config = /^(0|f|false|no)$/i.test(environment.AWS_SDK_LOAD_CONFIG ?? '')
    ? '/dev/null'
    : environment.AWS_CONFIG_FILE || join(folder, 'config');
  const credentials = environment.AWS_SHARED_CREDENTIALS_FILE || join(folder, 'credentials');
  if (named === undefined && !existsSync(credentials) && (config === '/dev/null' || !existsSync(config))) {
    return undefined;
  }
  return { config, credentials, profile: named ?? 'default', named: named !== undefined };
}

export interface ProfileSettings {
  readonly region?: string;
  readonly endpoint?: string;
}

/** Region and S3 endpoint of the profile; a file that is not there says nothing. */
export async function readProfile(files: SharedFiles, environment: NodeJS.ProcessEnv): Promise<ProfileSettings> {
  const { loadSharedConfigFiles } = await import('./shared-files-sdk.ts');
  const { configFile, credentialsFile } = await loadSharedConfigFiles({
    filepath: files.credentials,
    configFilepath: files.config,
  });
  const values = { ...configFile[files.profile], ...credentialsFile[files.profile] };
  const services = values.services === undefined ? undefined : configFile[`services.${values.services}`];
  const endpoint = services?.['s3.endpoint_url'] ?? values.endpoint_url;
  const ignored = environment.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS ?? values.ignore_configured_endpoint_urls;
  return {
    ...(values.region === undefined ? {} : { region: values.region }),
    ...(endpoint === undefined || ignored === 'true' ? {} : { endpoint }),
  };
}
