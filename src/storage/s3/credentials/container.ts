/** Credentials of a container: EKS pod identity, ECS tasks, and whoever offers the same service. */
import { BackstopError } from '../../../base/error.ts';
import { ask, type Question, refused } from './ask.ts';
import { accessKeyIn, parseFields } from './key-json.ts';
import type { CredentialSource } from './source.ts';
import { readTokenFile } from './token-file.ts';

export interface ContainerSettings {
  readonly url: string;
  /** Environment variable that holds it. */
  readonly urlVariable: string;
  /** What proves who asks, kept fresh in a file. */
  readonly tokenFile?: string;
  /** The same, as it is. */
  readonly token?: string;
  readonly timeout: number;
  readonly tries: number;
}

const service = 'credentials service of the container';

export function containerSource(settings: ContainerSettings): CredentialSource {
  const { url: text, urlVariable, tokenFile, timeout, tries } = settings;
  return async () => {
    const url = parseUrl(text, urlVariable);
    const token =
      tokenFile === undefined
        ? settings.token
        : await readTokenFile(tokenFile, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE');
    const question: Question = {
      url,
      method: 'GET',
      headers: { accept: 'application/json', ...(token === undefined ? {} : { authorization: token }) },
      service,
      timeout,
      tries,
      hint: `does the agent run that ${urlVariable} speaks of?`,
    };
    const answer = await ask(question);
    if (answer.status !== 200) {
      throw refused(answer, question, detailOf(answer.text, token), 'is a role associated with this pod or task?');
    }
    return {
      key: accessKeyIn(parseFields(answer.text, service), 'Token', service),
      from: `container credentials of '${url.origin}'`,
    };
  };
}

/** What the environment says of a container. Undefined: nothing. */
export function environmentContainer(
  environment: NodeJS.ProcessEnv,
  limits: Pick<ContainerSettings, 'timeout' | 'tries'>,
): CredentialSource | undefined {
  const {
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: path,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: full,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
    AWS_CONTAINER_AUTHORIZATION_TOKEN: token,
  } = environment;
  if (!path && !full) return undefined;
  return containerSource({
    ...limits,
    url: path ? `http://169.254.170.2${path}` : (full ?? ''),
    urlVariable: path ? 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI' : 'AWS_CONTAINER_CREDENTIALS_FULL_URI',
    ...(tokenFile ? { tokenFile } : token ? { token } : {}),
  });
}

function parseUrl(text: string, variable: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new BackstopError('format', `invalid URL in ${variable}`, {
    hint: 'it must be a URL, as http://169.254.170.23/v1/credentials.',
  });
}

/** The service's own words for a refusal, as far as they are where they should be. */
function detailOf(text: string, token: string | undefined): string | undefined {
  const detail = /"[mM]essage"\s*:\s*"((?:[^"\\]|\\.){1,500})"/.exec(text)?.[1];
  return token === undefined ? detail : detail?.replaceAll(token, '<redacted>');
}
