import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Certificate, issueCertificate, makeAuthority } from '../../../support/s3/certificates.ts';
import { inHours, instanceKey, instanceReply, webIdentityAnswer } from '../../../support/s3/key-services.ts';
import type { Reply } from '../../../support/s3/local-service.ts';
import { bare, failure, find, folder, serve, told } from './service.ts';

const secret = 'wJalrXUtnFEMI/verysecret';
const keyJson = (more: object = {}): string =>
  instanceKey({ key: 'AKIA1', secret, token: 'verysecrettoken', expiration: inHours(6) }, more);

describe('shared', () => {
  test('is what the options give', async () => {
    const options = { keyType: 'shared', key: 'AK', keySecret: secret, token: 'tok' } as const;
    expect(await find(options, bare({ AWS_ACCESS_KEY_ID: 'other', AWS_SECRET_ACCESS_KEY: 'other' }))).toEqual({
      accessKeyId: 'AK',
      secretAccessKey: secret,
      sessionToken: 'tok',
      from: 'option repo1-s3-key',
    });
  });
});

describe('auto: the metadata service of the instance', () => {
  const instance = (replies: Readonly<Record<string, Reply>> = {}) =>
    serve(request => replies[request.path] ?? instanceReply(request, { backup: keyJson() }));
  const at = (url: string) => bare({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url });

  test('gives credentials of the role it has', async () => {
    const service = await instance();
    const { from, expiration, ...key } = await find({ keyType: 'auto' }, at(service.url));
    expect(key).toEqual({ accessKeyId: 'AKIA1', secretAccessKey: secret, sessionToken: 'verysecrettoken' });
    expect(from).toBe("instance role 'backup'");
    expect((expiration?.getTime() ?? 0) - Date.now()).toBeGreaterThan(5 * 3_600_000);
    expect(Number(service.requests[0]?.headers['x-aws-ec2-metadata-token-ttl-seconds'])).toBeGreaterThan(0);
  });

  test('is asked for the role of the option', async () => {
    const service = await instance({
      '/latest/meta-data/iam/security-credentials/other': { body: keyJson({ AccessKeyId: 'AKIA2' }) },
    });
    const found = await find({ keyType: 'auto', role: 'other' }, at(service.url));
    expect(found).toMatchObject({ accessKeyId: 'AKIA2', from: "instance role 'other'" });
    expect(service.requests.map(({ path }) => path)).not.toContain('/latest/meta-data/iam/security-credentials/');
  });

  test('may be an older one that knows no tokens', async () => {
    const service = await serve(({ method, path }) =>
      method === 'PUT'
        ? { status: 405 }
        : path.endsWith('security-credentials/')
          ? { body: 'backup\n' }
          : { body: keyJson() },
    );
    expect(await find({ keyType: 'auto' }, at(service.url))).toMatchObject({ accessKeyId: 'AKIA1' });
  });

  test('may fail for a moment', async () => {
    let failures = 2;
    const service = await serve(({ method, path }) => {
      if (failures-- > 0) return { status: 503 };
      return { body: method === 'PUT' ? 'T' : path.endsWith('/') ? 'backup' : keyJson() };
    });
    expect(await find({ keyType: 'auto' }, at(service.url))).toMatchObject({ accessKeyId: 'AKIA1' });
  });

  const role = '/latest/meta-data/iam/security-credentials/backup';
  const cases: [what: string, replies: Record<string, Reply>, error: string][] = [
    [
      'no role',
      { '/latest/meta-data/iam/security-credentials/': { status: 404 } },
      '[039] the instance has no role to take credentials of\nHINT: is a valid IAM role',
    ],
    ['unknown role', { [role]: { status: 404 } }, "[039] role 'backup' not found\nHINT: is 'backup' a valid IAM role"],
    ['refusal', { [role]: { status: 403, body: secret } }, '[039] metadata service of the instance at '],
    [
      'failed code',
      { [role]: { body: keyJson({ Code: 'Failed' }) } },
      '[029] unable to retrieve temporary credentials: Failed',
    ],
    [
      'no code',
      { [role]: { body: keyJson({ Code: undefined }) } },
      '[029] unable to retrieve temporary credentials: code',
    ],
    [
      'no secret',
      { [role]: { body: keyJson({ SecretAccessKey: undefined }) } },
      '[029] metadata service of the instance gave no SecretAccessKey',
    ],
    ['no JSON', { [role]: { body: `${secret}{` } }, '[029] metadata service of the instance gave no valid JSON'],
    [
      'strange end',
      { [role]: { body: keyJson({ Expiration: 'soon' }) } },
      '[029] metadata service of the instance gave an Expiration',
    ],
    [
      'ended key',
      { [role]: { body: keyJson({ Expiration: '2020-01-01T00:00:00Z' }) } },
      "[039] credentials of repo1 from instance role 'backup' have ended 2020-01-01T00:00:00Z",
    ],
    [
      'endless answer',
      { [role]: { body: 'x'.repeat(300_000) } },
      '[049] unable to ask the metadata service of the instance at ',
    ],
  ];
  test.each(cases)('tells %s', async (_what, replies, error) => {
    const service = await instance(replies);
    const text = told(await failure({ keyType: 'auto' }, at(service.url)));
    expect(text.slice(0, error.length)).toBe(error);
    expect(text).not.toContain('verysecret');
  });

  test('that does not answer is given up, with a word about containers', async () => {
    const service = await instance({ '/latest/api/token': { silent: true } });
    const error = await failure({ keyType: 'auto', ioTimeout: 100 }, at(service.url));
    expect(told(error)).toContain(
      `[049] unable to ask the metadata service of the instance at '${service.url}': no answer`,
    );
    expect(error.hints.join()).toContain('hop limit');
  });

  test('that is not there is told', async () => {
    const error = await failure({ keyType: 'auto' }, at('http://127.0.0.1:1'));
    expect(told(error)).toContain('[049]');
    expect(error.message).toContain('ECONNREFUSED');
  });

  test('has a URL that is none', async () => {
    expect(told(await failure({ keyType: 'auto' }, at('nowhere')))).toContain('[029] invalid URL in AWS_EC2_');
  });
});

describe('web-id: the token service', () => {
  let authority: Certificate;
  let certificate: Certificate;
  beforeAll(async () => {
    const path = folder();
    authority = await makeAuthority(path);
    certificate = await issueCertificate(path, authority, 'sts', ['DNS:localhost', 'IP:127.0.0.1']);
  });

  const arn = 'arn:aws:iam::123456789012:role/backup';
  const answer = webIdentityAnswer({ key: 'ASIA1', secret, token: 'a&b+c/d==', expiration: inHours(1) });
  const pod = (token = 'verysecretjwt') =>
    bare({ AWS_ROLE_ARN: arn, AWS_WEB_IDENTITY_TOKEN_FILE: join(folder({ token }), 'token') });
  const trusting = (url: string) =>
    ({ keyType: 'web-id', stsHost: url, certificates: { caFile: authority.certificate } }) as const;

  test('takes the token of the file for credentials of the role', async () => {
    const service = await serve(() => ({ body: answer }), certificate);
    const environment = pod('verysecretjwt\n');
    const { from, expiration, ...key } = await find(trusting(service.url), environment);
    expect(key).toEqual({ accessKeyId: 'ASIA1', secretAccessKey: secret, sessionToken: 'a&b+c/d==' });
    expect(expiration).toBeInstanceOf(Date);
    expect(from).toBe(`web identity token '${environment.AWS_WEB_IDENTITY_TOKEN_FILE}' as role '${arn}'`);
    const [request] = service.requests;
    expect(request?.path).toBe('/');
    expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: arn,
      RoleSessionName: 'pgbackstop',
      WebIdentityToken: 'verysecretjwt',
    });
  });

  test('says why it refuses, but not the token', async () => {
    const refusal =
      '<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token verysecretjwt expired</Message></Error></ErrorResponse>';
    const service = await serve(() => ({ status: 400, body: refusal }), certificate);
    const text = told(await failure(trusting(service.url), pod()));
    expect(text).toContain(
      `[039] token service at '${service.url}' answered 400 (Bad Request): ExpiredTokenException: Token <redacted> expired`,
    );
    expect(text).toContain(`HINT: may the identity of this pod assume role '${arn}'?`);
    expect(text).not.toContain('verysecret');
  });

  test('whose answer lacks something is told', async () => {
    const service = await serve(() => ({ body: answer.replace(/<Expiration>.*<\/Expiration>/, '') }), certificate);
    const text = told(await failure(trusting(service.url), pod()));
    expect(text).toContain('[029] token service gave no Expiration');
    expect(text).not.toContain('verysecret');
  });

  test('must prove who it is', async () => {
    const service = await serve(() => ({ body: answer }), certificate);
    const error = await failure({ keyType: 'web-id', stsHost: service.url }, pod());
    expect(told(error)).toContain(`[049] unable to ask the token service at '${service.url}'`);
    expect(service.requests).toEqual([]);
  });

  test('is not spoken to without TLS', async () => {
    const error = await failure({ keyType: 'web-id', stsHost: 'http://127.0.0.1:1' }, pod());
    expect(told(error)).toContain("[029] invalid URL 'http://127.0.0.1:1' in option 'repo1-s3-sts-host'");
  });

  test('needs variables and a token', async () => {
    const settings = { keyType: 'web-id', label: 'repo3' } as const;
    expect(told(await failure(settings, bare()))).toContain(
      "[031] option 'repo3-s3-key-type' is 'web-id' but 'AWS_ROLE_ARN' and 'AWS_WEB_IDENTITY_TOKEN_FILE' are not set",
    );
    expect(told(await failure(settings, bare({ AWS_ROLE_ARN: arn })))).toContain(
      "but 'AWS_WEB_IDENTITY_TOKEN_FILE' is not set",
    );
    expect(told(await failure(settings, pod('\n')))).toContain('[029] token file');
    const missing = bare({ AWS_ROLE_ARN: arn, AWS_WEB_IDENTITY_TOKEN_FILE: '/nowhere/token' });
    expect(told(await failure(settings, missing))).toContain(
      "[055] unable to read the token that AWS_WEB_IDENTITY_TOKEN_FILE names, '/nowhere/token'",
    );
  });
});

describe('pod-id: the agent of the node', () => {
  const at = (url: string, token = 'verysecretjwt') =>
    bare({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder({ token }), 'token'),
    });

  test('gives credentials for the token of the file, which is read each time', async () => {
    const service = await serve(({ path, headers }) => ({
      body: path === '/v1/credentials' ? keyJson({ AccessKeyId: headers.authorization }) : '',
    }));
    const environment = at(service.url, 'first');
    expect(await find({ keyType: 'pod-id' }, environment)).toMatchObject({
      accessKeyId: 'first',
      sessionToken: 'verysecrettoken',
      from: `container credentials of '${service.url}'`,
    });
    writeFileSync(environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ?? '', 'second\n');
    expect(await find({ keyType: 'pod-id' }, environment)).toMatchObject({ accessKeyId: 'second' });
  });

  test('says why it refuses, but not the token', async () => {
    const service = await serve(() => ({ status: 404, body: '{"message":"no association for verysecretjwt"}' }));
    const text = told(await failure({ keyType: 'pod-id' }, at(service.url)));
    expect(text).toContain('answered 404 (Not Found): no association for <redacted>');
    expect(text).not.toContain('verysecret');
  });

  test('needs both variables, as a URL and a file', async () => {
    const settings = { keyType: 'pod-id' } as const;
    expect(told(await failure(settings, bare({ AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://x' })))).toContain(
      "[031] option 'repo1-s3-key-type' is 'pod-id' but 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE' is not set",
    );
    expect(told(await failure(settings, at('nowhere')))).toContain(
      '[029] invalid URL in AWS_CONTAINER_CREDENTIALS_FULL_URI',
    );
    const gone = at('http://127.0.0.1:1');
    rmSync(gone.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ?? '');
    expect(told(await failure(settings, gone))).toContain('[055] unable to read the token that AWS_CONTAINER_');
  });
});

describe('process', () => {
  const program = (script: string) => join(folder({ program: `#!/bin/sh\n${script}\n` }), 'program');
  const json = { AccessKeyId: 'AKIA1', SecretAccessKey: secret };
  const printing = (fields: object) => program(`printf '%s' '${JSON.stringify(fields)}'`);

  test('prints credentials that may end', async () => {
    const path = printing({ Version: 1, ...json, SessionToken: 'tok', Expiration: inHours(1) });
    expect(await find({ keyType: 'process', processCommand: [path] }, bare())).toEqual({
      accessKeyId: 'AKIA1',
      secretAccessKey: secret,
      sessionToken: 'tok',
      expiration: expect.any(Date),
      from: `process '${path}'`,
    });
  });

  test('or do not, and gets its parameters as they are, and our environment', async () => {
    const path = program(`printf '{"AccessKeyId":"%s","SecretAccessKey":"%s"}' "$1|$#|$GREETING" "$2"`);
    const found = await find(
      { keyType: 'process', processCommand: [path, 'a b', '$(id)'] },
      bare({ GREETING: 'hello' }),
    );
    expect(found).toMatchObject({ accessKeyId: 'a b|2|hello', secretAccessKey: '$(id)' });
  });

  const cases: [what: string, script: string, error: string][] = [
    ['an exit code', 'echo "no ticket" >&2; exit 3', 'ended with exit code 3: no ticket\nHINT: run it by hand'],
    ['a signal', 'kill -9 $$', 'ended with signal SIGKILL'],
    [
      'a secret in its error',
      `echo 'SecretAccessKey: ${secret}' >&2; exit 1`,
      'ended with exit code 1: SecretAccessKey: <redacted>',
    ],
    ['that it does not end', 'exec sleep 100', 'did not end within 200 ms'],
    ['that a child of it does not end', 'sleep 100 & exec sleep 100', 'did not end within 200 ms'],
    ['an endless output', 'exec yes', 'printed more than'],
  ];
  test.each(cases)('tells %s', async (_what, script, error) => {
    const path = program(script);
    const settings = { keyType: 'process', processCommand: [path, '--password=verysecret'], ioTimeout: 200 } as const;
    const text = told(await failure(settings, bare()));
    expect(text).toContain(`[102] process '${path}' for credentials ${error}`);
    expect(text).not.toContain('verysecret');
  });

  const wrong: [what: string, path: string, error: string][] = [
    ['bad JSON', program(`echo '{"SecretAccessKey":"${secret}"'`), 'gave no valid JSON'],
    ['nothing', program(''), 'gave no valid JSON'],
    ['no object', program('echo null'), 'gave no JSON object'],
    ['another version', printing({ Version: 2, ...json }), 'gave credentials of a version that is not 1'],
    ['no key', printing({ SecretAccessKey: secret }), 'gave no AccessKeyId'],
    [
      'a number as secret',
      printing({ AccessKeyId: 'A', SecretAccessKey: 12 }),
      'gave a SecretAccessKey that is no text',
    ],
  ];
  test.each(wrong)('tells %s', async (_what, path, error) => {
    const text = told(await failure({ keyType: 'process', processCommand: [path] }, bare()));
    expect(text).toContain(`[029] process '${path}' ${error}`);
    expect(text).not.toContain('verysecret');
  });

  test('that is not there is told', async () => {
    const text = told(
      await failure({ keyType: 'process', processCommand: ['/nowhere/program', 'verysecret'] }, bare()),
    );
    expect(text).toContain("[102] unable to execute process '/nowhere/program' for credentials: [2] ");
    expect(text).not.toContain('verysecret');
  });
});
