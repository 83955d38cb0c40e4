/** Credentials of the role of this EC2 instance, from its metadata service (IMDSv2). */
import { BackstopError } from '../../../base/error.ts';
import { type Answer, ask, type Question, refused } from './ask.ts';
import { accessKeyIn, parseFields } from './key-json.ts';
import type { CredentialSource } from './source.ts';

export interface InstanceSettings {
  /** The role to ask for; absent: the one that the instance has. */
  readonly role?: string;
  readonly timeout: number;
  readonly tries: number;
}

const rolesPath = '/latest/meta-data/iam/security-credentials';
const service = 'metadata service of the instance';

export function instanceSource(settings: InstanceSettings, environment: NodeJS.ProcessEnv): CredentialSource {
  const base = metadataUrl(environment);
  const hint =
    'is this an EC2 instance? In a container, the hop limit of its metadata must be 2 (aws ec2 modify-instance-metadata-options).';
  const question = (method: 'GET' | 'PUT', path: string, headers: Readonly<Record<string, string>>): Question => ({
    url: new URL(path, base),
    method,
    headers,
    service,
    timeout: settings.timeout,
    tries: settings.tries,
    hint,
  });
  const fetchText = async (path: string, headers: Readonly<Record<string, string>>, missing: () => Error) => {
    const asked = question('GET', path, headers);
    const answer: Answer = await ask(asked);
    if (answer.status === 404) throw missing();
    if (answer.status !== 200) throw refused(answer, asked, undefined, 'is access to the metadata service allowed?');
    return answer.text;
  };

  return async () => {
    const token = await ask(question('PUT', '/latest/api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': '300' }));
    // a service that gives no tokens is an older one, which does not want any
    const headers: Record<string, string> =
      token.status === 200 ? { 'x-aws-ec2-metadata-token': token.text.trim() } : {};
    const role =
      settings.role ??
      (
        await fetchText(
          `${rolesPath}/`,
          headers,
          () =>
            new BackstopError('protocol', 'the instance has no role to take credentials of', {
              hint: 'is a valid IAM role associated with this instance?',
            }),
        )
      )
        .trim()
        .split('\n')[0];
    if (role === undefined || role === '') throw new BackstopError('format', `${service} gave an empty name of a role`);
    const text = await fetchText(
      `${rolesPath}/${encodeURIComponent(role)}`,
      headers,
      () =>
        new BackstopError('protocol', `role '${role}' not found`, {
          hint: `is '${role}' a valid IAM role associated with this instance?`,
        }),
    );
    const fields = parseFields(text, service);
    if (fields.Code !== 'Success') {
      const code = typeof fields.Code === 'string' ? fields.Code : 'code field is missing';
      throw new BackstopError('format', `unable to retrieve temporary credentials: ${code}`, {
        hint: `may this instance assume role '${role}'?`,
      });
    }
    return { key: accessKeyIn(fields, 'Token', service), from: `instance role '${role}'` };
  };
}

/** Is an instance's metadata not to be asked at all? */
export const instanceDisabled = ({ AWS_EC2_METADATA_DISABLED: disabled }: NodeJS.ProcessEnv): boolean =>
  /^true$/i.test(disabled ?? '');

function metadataUrl(environment: NodeJS.ProcessEnv): URL {
  const { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: mode } = environment;
  const text = endpoint || (/^ipv6$/i.test(mode ?? '') ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new BackstopError('format', 'invalid URL in AWS_EC2_METADATA_SERVICE_ENDPOINT', {
    hint: 'it must be a URL, as http://169.254.169.254.',
  });
}
