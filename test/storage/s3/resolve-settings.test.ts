import { describe, expect, test } from 'vitest';
import { isBackstopError } from '../../../src/base/error.ts';
import { resolveS3Settings } from '../../../src/storage/s3/resolve-settings.ts';
import type { GivenS3Settings } from '../../../src/storage/s3/settings.ts';
import { bare, folder, given } from './credentials/service.ts';

const options = (more: Partial<GivenS3Settings>): GivenS3Settings => ({
  environment: {},
  bucket: 'b',
  credentials: given({}),
  service: 's3',
  verifyTls: true,
  requesterPays: false,
  tags: {},
  ioTimeout: 1000,
  ...more,
});

/** `REGION STYLE ENDPOINT HOST:PORT` */
async function resolved(more: Partial<GivenS3Settings>, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const { region, uriStyle, endpoint, host, port } = await resolveS3Settings(options(more), bare(environment));
  return `${region} ${uriStyle} ${endpoint} ${host ?? ''}:${port ?? ''}`;
}

async function failure(more: Partial<GivenS3Settings>, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    return await resolved(more, environment);
  } catch (error) {
    if (isBackstopError(error)) return `[0${error.code}] ${error.text}`;
    throw error;
  }
}

const home = (profiles: string) => folder({ '.aws/config': profiles });
const minio = { AWS_ENDPOINT_URL: 'http://minio:9000' };

describe('region', () => {
  const HOME = home('[default]\nregion = file-1\n[profile work]\nregion = work-1\n');
  const cases: [more: Partial<GivenS3Settings>, environment: NodeJS.ProcessEnv, region: string][] = [
    [{ region: 'r' }, { AWS_REGION: 'a', AWS_DEFAULT_REGION: 'd', HOME }, 'r'],
    [{}, { AWS_REGION: 'a', AWS_DEFAULT_REGION: 'd', HOME }, 'a'],
    [{}, { AWS_REGION: '', AWS_DEFAULT_REGION: 'd', HOME }, 'd'],
    [{}, { HOME }, 'file-1'],
    [{}, { HOME, AWS_PROFILE: 'work' }, 'work-1'],
    [{ endpoint: 'minio:9000' }, { HOME }, 'file-1'],
    [{ endpoint: 'minio:9000' }, {}, 'us-east-1'],
    [{}, minio, 'us-east-1'],
    [{ endpoint: 'https://storage.googleapis.com' }, {}, 'us-east-1'],
  ];
  test.each(cases)('%j %j', async (more, environment, region) => {
    expect((await resolveS3Settings(options(more), bare(environment))).region).toBe(region);
  });

  test('is also that of the credentials', async () => {
    expect((await resolveS3Settings(options({ region: 'r' }), bare())).credentials.region).toBe('r');
  });

  test('must be known for Amazon', async () => {
    expect(await failure({})).toMatch(
      /^\[037\] no region is known for the bucket of repo1\nHINT: set option repo1-s3-region, or AWS_REGION/,
    );
    expect(await failure({})).toContain('repo1-s3-endpoint');
    expect(await failure({ endpoint: 's3.amazonaws.com' })).toMatch(/^\[037\] no region/);
    expect(await failure({ endpoint: 's3.cn-north-1.amazonaws.com.cn' })).toMatch(/^\[037\] no region/);
  });
});

describe('endpoint and style', () => {
  const services =
    '[default]\nendpoint_url = http://file:1\n[profile s]\nservices = my\nendpoint_url = http://all:1\n[services my]\ns3 =\n  endpoint_url = http://only-s3:1\n[profile off]\nendpoint_url = http://x\nignore_configured_endpoint_urls = true\n';
  const HOME = home(services);
  const AWS_REGION = 'eu-west-1';
  const amazon = 'eu-west-1 host https://s3.eu-west-1.amazonaws.com :';
  const cases: [more: Partial<GivenS3Settings>, environment: NodeJS.ProcessEnv, found: string][] = [
    [{}, { AWS_REGION }, amazon],
    [{ region: 'cn-north-1' }, {}, 'cn-north-1 host https://s3.cn-north-1.amazonaws.com.cn :'],
    [{ region: 'eusc-de-east-1' }, {}, 'eusc-de-east-1 host https://s3.eusc-de-east-1.amazonaws.eu :'],
    [{ endpoint: 's3.amazonaws.com' }, { AWS_REGION, ...minio }, 'eu-west-1 host https://s3.amazonaws.com :'],
    [{}, { AWS_REGION, ...minio, HOME }, 'eu-west-1 path http://minio:9000 :'],
    [{}, { AWS_REGION, ...minio, AWS_ENDPOINT_URL_S3: 'https://s3only' }, 'eu-west-1 path https://s3only :'],
    [{ uriStyle: 'host' }, { AWS_REGION, ...minio }, 'eu-west-1 host http://minio:9000 :'],
    [{}, { AWS_REGION, ...minio, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }, amazon],
    [
      {},
      { AWS_REGION, AWS_ENDPOINT_URL: 'https://s3.us-gov-west-1.amazonaws.com/' },
      'eu-west-1 host https://s3.us-gov-west-1.amazonaws.com :',
    ],
    [{}, { AWS_REGION, HOME }, 'eu-west-1 path http://file:1 :'],
    [{}, { AWS_REGION, HOME, AWS_PROFILE: 's' }, 'eu-west-1 path http://only-s3:1 :'],
    [{}, { AWS_REGION, HOME, AWS_PROFILE: 'off' }, amazon],
    [{}, { AWS_REGION, HOME, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }, amazon],
    [{ endpoint: 'https://storage.googleapis.com' }, {}, 'us-east-1 host https://storage.googleapis.com :'],
    [{ endpoint: 'http://minio:9000/path/' }, {}, 'us-east-1 host http://minio:9000 :'],
    [{ endpoint: 'minio' }, {}, 'us-east-1 host https://minio :'],
    [{ endpoint: 'http://127.0.0.1:9000' }, {}, 'us-east-1 path http://127.0.0.1:9000 :'],
    [{ endpoint: '[::1]:9000' }, {}, 'us-east-1 path https://[::1]:9000 :'],
    [{ endpoint: 'minio:9000', port: 8000 }, {}, 'us-east-1 host https://minio:9000 :8000'],
    [{ endpoint: 'http://minio:9000', host: 'proxy' }, {}, 'us-east-1 host https://minio:9000 proxy:443'],
    [{ endpoint: 'minio', host: 'http://127.0.0.1:8480' }, {}, 'us-east-1 host http://minio 127.0.0.1:8480'],
    [{ endpoint: 'minio', host: 'http://[::1]', port: 81 }, {}, 'us-east-1 host http://minio ::1:81'],
    [{ endpoint: 'minio', host: 'http://proxy' }, {}, 'us-east-1 host http://minio proxy:80'],
  ];
  test.each(cases)('%j %j', async (more, environment, found) => {
    expect(await resolved(more, environment)).toBe(found);
  });

  const wrong: [more: Partial<GivenS3Settings>, environment: NodeJS.ProcessEnv, error: string][] = [
    [
      { endpoint: 'ftp://x' },
      {},
      "[029] invalid URL 'ftp://x' in option 'repo1-s3-endpoint'\nHINT: it must be a host name",
    ],
    [{ endpoint: 'a b' }, {}, "[029] invalid URL 'a b' in option 'repo1-s3-endpoint'"],
    [{ endpoint: 'x:99999' }, {}, "[029] invalid URL 'x:99999' in option"],
    [{ host: 'http://' }, { AWS_REGION }, "[029] invalid URL 'http://' in option 'repo1-storage-host'"],
    [{}, { AWS_REGION, AWS_ENDPOINT_URL: 'https://me:verysecret@x' }, '[029] invalid URL in AWS_ENDPOINT_URL\n'],
    [
      {},
      { AWS_REGION, HOME: home('[default]\nendpoint_url = x://\n') },
      "[029] invalid URL 'x://' in endpoint_url of the AWS profile",
    ],
  ];
  test.each(wrong)('%j %j is refused', async (more, environment, error) => {
    const text = await failure(more, environment);
    expect(text.slice(0, error.length)).toBe(error);
    expect(text).not.toContain('verysecret');
  });
});
