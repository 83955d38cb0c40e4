import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { inHours } from '../../../support/s3/key-services.ts';
import type { LocalService } from '../../../support/s3/local-service.ts';
import { bare, failure, find, folder, serve, told } from './service.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

const pair = { AWS_ACCESS_KEY_ID: 'ENV', AWS_SECRET_ACCESS_KEY: 'envsecret' };
const files = (credentials: string, config = '') => folder({ '.aws/credentials': credentials, '.aws/config': config });
const keys = (name: string, key: string) =>
  `[${name}]\naws_access_key_id = ${key}\naws_secret_access_key = verysecret-${key}\n`;

describe('the environment', () => {
  const cases: [environment: NodeJS.ProcessEnv, key: string, secret: string, from: string][] = [
    [pair, 'ENV', 'envsecret', 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'],
    [{ AWS_ACCESS_KEY: 'K', AWS_SECRET_KEY: 'S' }, 'K', 'S', 'AWS_ACCESS_KEY and AWS_SECRET_KEY'],
    [{ AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_KEY: 'S' }, 'K', 'S', 'AWS_ACCESS_KEY_ID and AWS_SECRET_KEY'],
    [
      { ...pair, AWS_ACCESS_KEY: 'K', AWS_SECRET_KEY: 'S' },
      'ENV',
      'envsecret',
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    ],
    [
      { AWS_ACCESS_KEY_ID: '', AWS_ACCESS_KEY: 'K', AWS_SECRET_KEY: 'S' },
      'K',
      'S',
      'AWS_ACCESS_KEY and AWS_SECRET_KEY',
    ],
  ];
  test.each(cases)('%j', async (environment, accessKeyId, secretAccessKey, names) => {
    expect(await find({}, bare(environment))).toEqual({
      accessKeyId,
      secretAccessKey,
      from: `environment variables ${names}`,
    });
  });

  test('may have a token and an end', async () => {
    const expiration = inHours(1);
    const environment = bare({ ...pair, AWS_SESSION_TOKEN: 'tok', AWS_CREDENTIAL_EXPIRATION: expiration });
    expect(await find({}, environment)).toMatchObject({ sessionToken: 'tok', expiration: new Date(expiration) });
  });

  test('wins over a profile that it names, over tokens and over containers', async () => {
    const HOME = files(keys('work', 'FILE'));
    const environment = bare({
      ...pair,
      HOME,
      AWS_PROFILE: 'work',
      AWS_ROLE_ARN: 'arn',
      AWS_WEB_IDENTITY_TOKEN_FILE: '/nowhere',
      AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:1',
    });
    expect(await find({}, environment)).toMatchObject({ accessKeyId: 'ENV' });
  });

  test('counts with a whole pair only', async () => {
    const HOME = files(keys('default', 'FILE'));
    expect(await find({}, bare({ HOME, AWS_ACCESS_KEY_ID: 'ENV' }))).toMatchObject({ accessKeyId: 'FILE' });
  });
});

describe('the shared files', () => {
  test('have the profile default, and the one that the environment names', async () => {
    const HOME = files(`${keys('default', 'D')}${keys('work', 'W')}aws_session_token = tok\n`);
    expect(await find({}, bare({ HOME }))).toEqual({
      accessKeyId: 'D',
      secretAccessKey: 'verysecret-D',
      from: `profile 'default' of '${HOME}/.aws/credentials'`,
    });
    const work = { accessKeyId: 'W', sessionToken: 'tok', from: `profile 'work' of '${HOME}/.aws/credentials'` };
    expect(await find({}, bare({ HOME, AWS_PROFILE: 'work' }))).toMatchObject(work);
    expect(await find({}, bare({ HOME, AWS_DEFAULT_PROFILE: 'work' }))).toMatchObject(work);
    expect(await find({}, bare({ HOME, AWS_PROFILE: 'work', AWS_DEFAULT_PROFILE: 'default' }))).toMatchObject(work);
  });

  test('may be elsewhere', async () => {
    const home = files(keys('default', 'D'), keys('profile work', 'W'));
    const environment = bare({
      AWS_SHARED_CREDENTIALS_FILE: join(home, '.aws/credentials'),
      AWS_CONFIG_FILE: join(home, '.aws/config'),
    });
    expect(await find({}, environment)).toMatchObject({ accessKeyId: 'D' });
    expect(await find({}, { ...environment, AWS_PROFILE: 'work' })).toMatchObject({
      accessKeyId: 'W',
      from: `profile 'work' of '${home}/.aws/config'`,
    });
  });

  test('credentials win over config, which AWS_SDK_LOAD_CONFIG can leave out', async () => {
    const both = files(keys('default', 'CREDENTIALS'), keys('default', 'CONFIG'));
    expect(await find({}, bare({ HOME: both }))).toMatchObject({ accessKeyId: 'CREDENTIALS' });
    const HOME = folder({ '.aws/config': keys('default', 'CONFIG') });
    expect(await find({}, bare({ HOME, AWS_SDK_LOAD_CONFIG: '1' }))).toMatchObject({ accessKeyId: 'CONFIG' });
    expect(told(await failure({}, bare({ HOME, AWS_SDK_LOAD_CONFIG: 'false' })))).toContain('[037]');
  });

  test('may name a process; what it is called with is not told', async () => {
    const json = JSON.stringify({ Version: 1, AccessKeyId: 'PROCESS', SecretAccessKey: 'verysecret' });
    const program = join(folder({ program: `#!/bin/sh\necho '${json}'\n` }), 'program');
    const HOME = files(
      '',
      `[profile p]\ncredential_process = ${program} x\n[profile bad]\ncredential_process = sh -c "echo why >&2; exit 3" verysecret\n`,
    );
    expect(await find({}, bare({ HOME, AWS_PROFILE: 'p' }))).toMatchObject({
      accessKeyId: 'PROCESS',
      from: `profile 'p' of '${HOME}/.aws/config' (process)`,
    });
    const text = told(await failure({}, bare({ HOME, AWS_PROFILE: 'bad' })));
    expect(text).toContain("[039] unable to get credentials from profile 'bad'");
    expect(text).toContain('why');
    expect(text).not.toContain('verysecret');
  });

  test('may name a role, which the token service of the endpoint gives', async () => {
    const service = await serve(() => ({
      body: `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${inHours(1)}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
    }));
    // the SDK looks for this in the process's own environment
    vi.stubEnv('AWS_ENDPOINT_URL_STS', service.url);
    const HOME = files(
      keys('default', 'BASE'),
      '[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n',
    );
    const found = await find({ region: 'eu-west-1' }, bare({ HOME, AWS_PROFILE: 'r' }));
    expect(found).toMatchObject({ accessKeyId: 'ROLE', from: `profile 'r' of '${HOME}/.aws/config' (role)` });
    expect(service.requests[0]?.headers.authorization).toMatch(/Credential=BASE\/\d+\/eu-west-1\/sts/);
  });

  test('may speak of SSO, whose login has ended', async () => {
    const HOME = files(
      '',
      '[profile s]\nsso_session = my\nsso_account_id = 1\nsso_role_name = r\n[sso-session my]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n',
    );
    // the SDK looks for logins and sessions in the process's own home
    vi.stubEnv('HOME', HOME);
    const error = await failure({}, bare({ HOME, AWS_PROFILE: 's' }));
    expect(told(error)).toContain(`unable to get credentials from profile 's' of '${HOME}/.aws/config' (SSO)`);
    expect(error.hints).toEqual(['log in again: aws sso login --profile s']);
  });

  test('are read anew, as keys in them change', async () => {
    const HOME = files(keys('default', 'OLD'));
    const environment = bare({ HOME });
    expect(await find({}, environment)).toMatchObject({ accessKeyId: 'OLD' });
    await promisify(execFile)('sed', ['-i', 's/OLD/NEW/', join(HOME, '.aws/credentials')]);
    expect(await find({}, environment)).toMatchObject({ accessKeyId: 'NEW' });
  });

  test('must have the profile that is named', async () => {
    const HOME = files(keys('default', 'D'));
    const error = await failure({}, bare({ HOME, AWS_PROFILE: 'other' }));
    expect(told(error)).toContain(
      `[037] profile 'other' is neither in '${HOME}/.aws/config' nor in '${HOME}/.aws/credentials'`,
    );
  });
});

describe('after the files', () => {
  const json = (key: string) =>
    JSON.stringify({ Code: 'Success', AccessKeyId: key, SecretAccessKey: 's', Token: 't', Expiration: inHours(6) });
  const container = () => serve(({ headers }) => ({ body: json(`CONTAINER-${headers.authorization ?? ''}`) }));
  const instance = () =>
    serve(({ method, path }) => ({ body: method === 'PUT' ? 'T' : path.endsWith('/') ? 'backup' : json('INSTANCE') }));
  const sts = () =>
    serve(() => ({
      body: `<r><AccessKeyId>WEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${inHours(1)}</Expiration></r>`,
    }));
  const web = ({ url }: LocalService) => ({
    AWS_ROLE_ARN: 'arn',
    AWS_WEB_IDENTITY_TOKEN_FILE: join(folder({ token: 'jwt' }), 'token'),
    AWS_ENDPOINT_URL_STS: url,
  });

  test('come web identity, container, instance', async () => {
    const services = [await sts(), await container(), await instance()] as const;
    const all = {
      ...web(services[0]),
      AWS_CONTAINER_CREDENTIALS_FULL_URI: services[1].url,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'plain',
      AWS_EC2_METADATA_DISABLED: 'false',
      AWS_EC2_METADATA_SERVICE_ENDPOINT: services[2].url,
      // a profile without credentials is no hindrance
      HOME: files('', '[default]\nregion = eu-west-1\n'),
    };
    expect(await find({}, bare(all))).toMatchObject({ accessKeyId: 'WEB' });
    expect(
      await find({}, bare({ ...all, AWS_ENDPOINT_URL_STS: undefined, AWS_ENDPOINT_URL: services[0].url })),
    ).toMatchObject({
      accessKeyId: 'WEB',
    });
    const { AWS_ROLE_ARN: _, ...noRole } = all;
    expect(await find({}, bare(noRole))).toMatchObject({ accessKeyId: 'CONTAINER-plain' });
    const AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = join(folder({ token: 'fresh' }), 'token');
    expect(await find({}, bare({ ...noRole, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE }))).toMatchObject({
      accessKeyId: 'CONTAINER-fresh',
    });
    expect(services[2].requests).toEqual([]);
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: __, ...noContainer } = noRole;
    expect(await find({}, bare(noContainer))).toMatchObject({
      accessKeyId: 'INSTANCE',
      from: "instance role 'backup'",
    });
  });

  test('what is configured and fails is not passed over', async () => {
    const refusing = await serve(() => ({ status: 403 }));
    const error = await failure(
      {},
      bare({ AWS_CONTAINER_CREDENTIALS_FULL_URI: refusing.url, AWS_EC2_METADATA_DISABLED: '' }),
    );
    expect(told(error)).toContain(`[039] credentials service of the container at '${refusing.url}' answered 403`);
  });

  test('nothing is left', async () => {
    const error = await failure({ label: 'repo2' }, bare({ AWS_ACCESS_KEY: 'verysecret' }));
    expect(told(error)).toContain('[037] no credentials found for the bucket of repo2\nHINT: set repo2-s3-key and');
    expect(error.hints[1]).toContain('AWS_ACCESS_KEY without AWS_SECRET_ACCESS_KEY');
    expect(error.hints[1]).toContain('instance (switched off by AWS_EC2_METADATA_DISABLED)');
    expect(told(error)).not.toContain('verysecret');
  });

  test('a machine that is no instance does not keep us waiting', async () => {
    const silent = await serve(() => ({ silent: true }));
    const begun = Date.now();
    const environment = bare({ AWS_EC2_METADATA_DISABLED: '', AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.url });
    expect(told(await failure({ ioTimeout: 60_000 }, environment))).toContain('[037] no credentials found');
    expect(Date.now() - begun).toBeLessThan(3000);
  });
});
