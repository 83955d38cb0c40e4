/**
 * Fills in what options leave open: endpoint, region and URI style come from the environment, the AWS profile, or follow from
 * each other. What an option says is never overridden.
 */
import { isIP } from 'node:net';
import { BackstopError } from '../../base/error.ts';
import { type ProfileSettings, readProfile, sharedFiles } from './credentials/profile.ts';
import { parseEndpoint } from './endpoint-url.ts';
import type { GivenS3Settings, S3Settings } from './settings.ts';

/**
 * @throws option-required when no region can be found, format for an endpoint or host that is none
 */
export async function resolveS3Settings(given: GivenS3Settings, environment: NodeJS.ProcessEnv): Promise<S3Settings> {
  const { label } = given.credentials;
  const { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: ignored } = environment;
  const found = {
    region: given.region || environment.AWS_REGION || environment.AWS_DEFAULT_REGION || undefined,
    endpoint:
      given.endpoint ||
      (ignored === 'true' ? undefined : environment.AWS_ENDPOINT_URL_S3 || environment.AWS_ENDPOINT_URL) ||
      undefined,
  };
  const profile = found.region === undefined || found.endpoint === undefined ? await profileOf(environment) : {};
  const url = found.endpoint ?? profile.endpoint;
  const endpoint = url === undefined ? undefined : parseEndpoint(url, originOf(given, environment, label));
  const region =
    found.region ?? profile.region ?? (endpoint === undefined || isAmazon(endpoint) ? undefined : 'us-east-1');
  if (region === undefined) {
    throw new BackstopError('option-required', `no region is known for the bucket of ${label}`, {
      hint: [
        `set option ${label}-s3-region, or AWS_REGION in the environment, to the region in which the bucket was made.`,
        ...(endpoint === undefined ? [`for a service that is not Amazon's, set option ${label}-s3-endpoint.`] : []),
      ],
    });
  }
  const place = endpoint ?? new URL(`https://s3.${region}.${domainOf(region)}`);
  const { host: hostText, port, credentials, environment: _, ...rest } = given;
  const host = hostText === undefined ? undefined : parseEndpoint(hostText, `option '${label}-storage-host'`);
  const connectPort = port ?? (host === undefined ? undefined : portOf(host));
  // where the socket goes decides whether TLS is spoken there
  if (host !== undefined) place.protocol = host.protocol;
  return {
    ...rest,
    endpoint: place.origin,
    region,
    uriStyle: given.uriStyle ?? (needsPath(place, given.endpoint === undefined) ? 'path' : 'host'),
    credentials: { ...credentials, region },
    ...(host === undefined ? {} : { host: host.hostname.replace(/^\[|\]$/g, '') }),
    ...(connectPort === undefined ? {} : { port: connectPort }),
  };
}

async function profileOf(environment: NodeJS.ProcessEnv): Promise<ProfileSettings> {
  const files = sharedFiles(environment);
  return files === undefined ? {} : readProfile(files, environment);
}

function originOf(given: GivenS3Settings, environment: NodeJS.ProcessEnv, label: string): string {
  if (given.endpoint) return `option '${label}-s3-endpoint'`;
  const variable = ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'].find(name => environment[name]);
  return variable ?? 'endpoint_url of the AWS profile';
}

const portOf = (url: URL): number => Number(url.port) || (url.protocol === 'http:' ? 80 : 443);

const isAmazon = ({ hostname }: URL): boolean => /(^|\.)amazonaws\.(com|com\.cn|eu)$/.test(hostname);

const domainOf = (region: string): string =>
  region.startsWith('cn-') ? 'amazonaws.com.cn' : region.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com';

/** Nobody makes a name for each bucket of a service on a host of one's own, and before an address there is no room for one. */
function needsPath(endpoint: URL, fromEnvironment: boolean): boolean {
  return (fromEnvironment && !isAmazon(endpoint)) || isIP(endpoint.hostname.replace(/^\[|\]$/g, '')) !== 0;
}
