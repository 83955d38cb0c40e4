/** Requests of IAM and STS, for which the tests need no further SDK. */
import { createHash, createHmac } from 'node:crypto';

export interface FormTarget {
  /** `http://127.0.0.1:8480` */
  readonly endpoint: string;
  readonly region: string;
  /** `sts`: radosgw takes it for IAM too. */
  readonly service: string;
  readonly key: string;
  readonly secret: string;
}

/**
 * Posts a form with signature version 4.
 * @returns the answer, XML
 * @throws what the server says when that is an error
 */
export async function postSigned(target: FormTarget, form: Readonly<Record<string, string>>): Promise<string> {
  const body = new URLSearchParams(form).toString();
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    host: new URL(target.endpoint).host,
    'x-amz-content-sha256': sha256(body),
    'x-amz-date': time,
  };
  const names = Object.keys(headers).join(';');
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(body)].join('\n');
  const scope = [time.slice(0, 8), target.region, target.service, 'aws4_request'];
  const signingKey = scope.reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${target.secret}`);
  const signed = hmac(signingKey, ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(canonical)].join('\n'));
  headers.authorization =
    `AWS4-HMAC-SHA256 Credential=${target.key}/${scope.join('/')}, SignedHeaders=${names}, ` +
    `Signature=${signed.toString('hex')}`;
  const response = await fetch(target.endpoint, { method: 'POST', headers, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${form.Action} was answered with ${response.status}: ${text}`);
  return text;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
