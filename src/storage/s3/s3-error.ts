/** Turns what the SDK throws into errors that say what failed, with pgBackRest's kinds, and what to do about it. */
import { STATUS_CODES } from 'node:http';
import { asBackstopError, BackstopError, type ErrorKind, isBackstopError } from '../../base/error.ts';
import { UnreachableError } from '../unreachable.ts';
import { isUnreadable, type ServiceFailure, speaksTls, statusOf } from './retry.ts';
import type { S3Settings } from './settings.ts';

/** What was asked, for the message. */
export interface Asked {
  /** `GET`, `PUT`, ... */
  readonly verb: string;
  /** Path within the repository or the prefix of a list. */
  readonly key: string;
  readonly label: string;
  readonly endpoint: URL;
  readonly settings: Pick<S3Settings, 'bucket' | 'region' | 'host' | 'port' | 'uriStyle'>;
  /** What was sent with the request and must not be told, whatever the service repeats of it. */
  readonly secrets: readonly string[];
  /** Milliseconds that it has been tried for, when it was tried more than once. */
  readonly triedFor?: number;
}

/** @returns an error of ours; one that is already is returned as it is */
export function s3Error(thrown: unknown, asked: Asked): BackstopError {
  if (isBackstopError(thrown)) return thrown;
  const failure = thrown as ServiceFailure;
  if (isUnreadable(failure)) return unreadableError(failure, asked);
  const status = statusOf(failure);
  if (status !== undefined && status >= 300) return answerError(failure, status, asked);
  // what has no code comes from no system, no TLS and no HTTP: a defect
  const { code = 'ERR_INVALID_ARG' } = failure;
  const isDefect =
    code.startsWith('ERR_INVALID_ARG') && failure.name !== 'TimeoutError' && failure.message !== 'socket hang up';
  return isDefect ? asBackstopError(thrown) : connectionError(failure, asked);
}

/** The service answered, but not as S3 does. */
function unreadableError(failure: ServiceFailure, asked: Asked): BackstopError {
  const { bucket } = asked.settings;
  return new BackstopError(
    'protocol',
    `unable to understand the answer to ${asked.verb} ${bucket}/${asked.key} from '${placeOf(asked)}': ${hide(messageOf(failure), asked)}${triedFor(asked)}`,
    {
      cause: failure,
      hint: `is ${asked.label}-s3-endpoint that of an S3 service, or does a proxy answer in its place?`,
    },
  );
}

/** Without what the SDK says to programmers. */
const messageOf = ({ message = '' }: ServiceFailure): string => message.replace(/\n\s*Deserialization error:.*$/s, '');

/** Shorter ones are no secrets, and would make messages unreadable. */
const shortestSecret = 6;

/** Words of a service: proxies that look for faults, and some services, answer with what they were sent. */
const hide = (words: string, { secrets }: Asked): string =>
  secrets
    .filter(({ length }) => length >= shortestSecret)
    .reduce((told, secret) => told.replaceAll(secret, '<redacted>'), words);

function placeOf({ endpoint, settings }: Asked): string {
  const host =
    settings.host ?? (settings.uriStyle === 'host' ? `${settings.bucket}.${endpoint.hostname}` : endpoint.hostname);
  return `${host}:${settings.port ?? (Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80))}`;
}

const triedFor = ({ triedFor: time }: Asked): string =>
  time === undefined ? '' : ` (tried for ${Math.round(time / 1000)}s)`;

/** The service answered, and said no. */
function answerError(failure: ServiceFailure, status: number, asked: Asked): BackstopError {
  const { name } = failure;
  const message = messageOf(failure);
  const reason = STATUS_CODES[status];
  const content =
    name === undefined || /^(\d+|Unknown\w*|Error|\w*SyntaxError)$/.test(name)
      ? message
      : [name, ...(['', 'UnknownError'].includes(message) ? [] : [message])].join(': ');
  const text = [
    `HTTP request failed with ${status}${reason === undefined ? '' : ` (${reason})`}:`,
    '*** Path/Query ***:',
    `${asked.verb} ${asked.settings.bucket}/${asked.key} at ${asked.endpoint.host}`,
    ...(content === '' || content === 'UnknownError' ? [] : ['*** Response Content ***:', hide(content, asked)]),
  ].join('\n');
  const hint = hintOf(failure, status, asked);
  // of what is written, file-missing would be taken for the file that is read
  const isMissing = status === 404 && name !== 'NoSuchBucket' && ['GET', 'HEAD', 'DELETE'].includes(asked.verb);
  return new BackstopError(isMissing ? 'file-missing' : 'protocol', text, {
    cause: failure,
    ...(hint === undefined ? {} : { hint }),
  });
}

function hintOf(failure: ServiceFailure, status: number, asked: Asked): string[] | undefined {
  const { label, settings } = asked;
  switch (failure.name) {
    case 'NoSuchBucket':
      return [
        `bucket '${settings.bucket}' does not exist: pgbackrest does not make buckets.`,
        `make it with the service's console or a client, e.g. 'aws s3api create-bucket --bucket ${settings.bucket}', or correct option ${label}-s3-bucket.`,
      ];
    case 'InvalidAccessKeyId':
      return [`is ${label}-s3-key right? The service does not know this key.`];
    case 'SignatureDoesNotMatch':
      return [
        `is ${label}-s3-key-secret right? The key is known, but the signature is not that of its secret.`,
        `is ${label}-s3-region right?`,
      ];
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return [
        'the temporary credentials have expired or are wrong: renew the token, or use credentials that renew themselves.',
      ];
    case 'RequestTimeTooSkewed':
      return [`${skew(failure)}: set the clock of this host (chrony, systemd-timesyncd).`];
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
    case 'IllegalLocationConstraintException':
    case 'TemporaryRedirect':
      return [regionHint(failure, asked)];
    case 'InvalidObjectState':
      return ['the object was moved to an archive tier: restore it there first.'];
    case 'XAmzContentSHA256Mismatch':
    case 'BadDigest':
      return ['the content changed on its way: is there a proxy that alters requests?'];
    default:
  }
  const region = failure.$response?.headers?.['x-amz-bucket-region'] ?? settings.region;
  if ([301, 307, 308].includes(status) || region !== settings.region) return [regionHint(failure, asked)];
  if (status === 403 && Math.abs(skewSeconds(failure) ?? 0) > 300)
    return [`${skew(failure)}: set the clock of this host.`];
  if (status === 401 || status === 403) {
    return [
      `may the credentials ${permission(asked.verb)} in bucket '${settings.bucket}'? See the policy of the user or role, and of the bucket.`,
      ...(['GET', 'HEAD'].includes(asked.verb)
        ? ['where they may not list (s3:ListBucket), a file that is missing is answered like this, too.']
        : []),
    ];
  }
  if (status === 400 && asked.endpoint.protocol === 'http:') {
    return [`does the service speak TLS only? Then ${label}-s3-endpoint begins with https:// or has no protocol.`];
  }
  if (status === 501 || status === 405) return ['does the service do all that is asked of it? See the options of S3.'];
  if (status >= 500 || status === 429 || status === 408)
    return ['the service is overloaded or out of order: try again later.'];
  return undefined;
}

const permission = (verb: string): string =>
  ({ GET: 'read', HEAD: 'read', LIST: 'list', PUT: 'write', POST: 'write', DELETE: 'delete' })[verb] ?? 'do this';

function regionHint(failure: ServiceFailure, { label, settings }: Asked): string {
  const region =
    failure.$response?.headers?.['x-amz-bucket-region'] ??
    /expecting '([a-z0-9-]+)'/.exec(failure.message ?? '')?.[1] ??
    (failure as { readonly Region?: string }).Region;
  return region === undefined
    ? `is ${label}-s3-region=${settings.region} the region of bucket '${settings.bucket}'?`
    : `bucket '${settings.bucket}' is in region '${region}': set ${label}-s3-region=${region}.`;
}

/** Seconds that the server's clock is before ours, by the date of its answer. */
function skewSeconds(failure: ServiceFailure): number | undefined {
  const date = failure.$response?.headers?.date;
  const server = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(server) ? undefined : Math.round((server - Date.now()) / 1000);
}

function skew(failure: ServiceFailure): string {
  const seconds = skewSeconds(failure);
  if (seconds === undefined || seconds === 0) return 'the clocks of this host and of the service differ too much';
  return `the clock of this host is ${Math.abs(seconds)} seconds ${seconds > 0 ? 'behind' : 'ahead of'} that of the service`;
}

/** There was no answer. */
function connectionError(failure: ServiceFailure, asked: Asked): BackstopError {
  const [kind, message, hint] = reasonOf(failure, placeOf(asked), asked.label, asked.endpoint.protocol === 'https:');
  return new UnreachableError(kind, `${message}${triedFor(asked)}`, { cause: failure, hint });
}

/** OpenSSL's names of what is wrong with a certificate, with its numbers as pgBackRest prints them. */
const certificateFailures: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: '[18] self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: '[19] self-signed certificate in certificate chain',
  UNABLE_TO_GET_ISSUER_CERT: '[2] unable to get issuer certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: '[20] unable to get local issuer certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: '[21] unable to verify the first certificate',
  CERT_HAS_EXPIRED: '[10] certificate has expired',
  CERT_NOT_YET_VALID: '[9] certificate is not yet valid',
  CERT_UNTRUSTED: '[27] certificate not trusted',
  CERT_REVOKED: '[23] certificate revoked',
};

function reasonOf(failure: ServiceFailure, place: string, label: string, tls: boolean): [ErrorKind, string, string[]] {
  const code = failure.code ?? '';
  const wrong = certificateFailures[code];
  if (wrong !== undefined) {
    return [
      'crypto',
      `unable to verify certificate presented by '${place}': ${wrong}`,
      [
        `give the certificate of its authority with ${label}-storage-ca-file or ${label}-storage-ca-path;`,
        `${label}-storage-verify-tls=n trusts whoever answers: for tests only.`,
      ],
    ];
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return [
      'crypto',
      `unable to find hostname '${place.replace(/:\d+$/, '')}' in certificate common name or subject alternative names`,
      [
        `is this the right server? Names in its certificate: ${namesOf(failure)}.`,
        `with ${label}-s3-uri-style=path the bucket is not part of the name.`,
      ],
    ];
  }
  if (speaksTls(failure)) {
    return [
      'service',
      `unable to speak plain http with '${place}': TLS is spoken there`,
      [`${label}-s3-endpoint must begin with https:// or have no protocol, or ${label}-storage-port is another.`],
    ];
  }
  if (tls && /wrong version number|packet length too long|EPROTO|ERR_SSL/i.test(`${code} ${failure.message ?? ''}`)) {
    return [
      'service',
      `unable to speak TLS with '${place}': ${tlsReason(failure)}`,
      [
        `does the service speak plain http there? Then ${label}-s3-endpoint begins with http://, or ${label}-storage-port is another.`,
      ],
    ];
  }
  if (code === 'ERR_INVALID_CHAR') {
    return [
      'protocol',
      `unable to ask '${place}': ${failure.message ?? code}`,
      [`is there a line break or the like in ${label}-s3-key, ${label}-s3-token or the name of the bucket?`],
    ];
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return [
      'host-connect',
      `unable to get address for '${place.replace(/:\d+$/, '')}': ${code === 'ENOTFOUND' ? '[-2] Name or service not known' : '[-3] Temporary failure in name resolution'}`,
      [
        `is ${label}-s3-endpoint right, and does this host resolve it?`,
        `with ${label}-s3-uri-style=path the bucket is not part of the name; ${label}-storage-host names another host to connect to.`,
      ],
    ];
  }
  if (failure.name === 'TimeoutError' && !code.startsWith('E')) {
    return ['protocol', `timeout waiting for '${place}'`, ['is the service up, and io-timeout long enough for it?']];
  }
  const system = failure.errno === undefined ? '' : `[${Math.abs(failure.errno)}] `;
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'Connection refused',
    ECONNRESET: 'Connection reset by peer',
    ETIMEDOUT: 'Connection timed out',
    EHOSTUNREACH: 'No route to host',
    ENETUNREACH: 'Network is unreachable',
    EPIPE: 'Broken pipe',
  };
  return [
    code === 'ECONNRESET' || code === 'EPIPE' || code.startsWith('HPE_') ? 'protocol' : 'host-connect',
    `unable to connect to '${place}': ${system}${words[code] ?? failure.message ?? code}`,
    code.startsWith('HPE_') || code === 'ECONNRESET' || failure.message === 'socket hang up'
      ? [`does something else than S3 answer there, or TLS where ${label}-s3-endpoint says http://?`]
      : ['is the service up, and may this host connect to it?'],
  ];
}

/** OpenSSL's words without the places in its sources. */
const tlsReason = ({ message = '' }: ServiceFailure): string =>
  /:SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message.trim();

function namesOf(failure: ServiceFailure): string {
  const { cert } = failure as {
    readonly cert?: { readonly subjectaltname?: string; readonly subject?: { CN?: string } };
  };
  return cert?.subjectaltname ?? cert?.subject?.CN ?? 'none';
}
