/** What an HTTP request asks of S3. */
import type { IncomingMessage } from 'node:http';

/** By the names of S3's documentation. */
export type RequestKind =
  | 'AbortMultipartUpload'
  | 'CompleteMultipartUpload'
  | 'CreateBucket'
  | 'CreateMultipartUpload'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'GetObject'
  | 'HeadBucket'
  | 'HeadObject'
  | 'ListMultipartUploads'
  | 'ListObjectVersions'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'ListParts'
  | 'PutObject'
  | 'UploadPart'
  | 'other';

export interface S3Request {
  readonly method: string;
  readonly kind: RequestKind;
  /** Empty for the list of all buckets. */
  readonly bucket: string;
  /** Empty when the request is about the bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** @param dnsName the service's name: a host below it names a bucket */
export function describeRequest(request: IncomingMessage, dnsName: string): S3Request {
  const { method = '', url = '/' } = request;
  const { pathname, searchParams: query } = new URL(url.replace(/^\/+/, '/'), 'http://host');
  const path = decodeURIComponent(url.startsWith('//') ? url.replace(/\?.*/s, '') : pathname).slice(1);
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
  const host = (headers.host ?? '').replace(/:\d+$/, '');
  const cut = path.indexOf('/');
  const [bucket, key] = host.endsWith(`.${dnsName}`)
    ? [host.slice(0, -dnsName.length - 1), path]
    : cut < 0
      ? [path, '']
      : [path.slice(0, cut), path.slice(cut + 1)];
  return { method, kind: kindOf(method, key, query), bucket, key, query, headers };
}

function kindOf(method: string, key: string, query: URLSearchParams): RequestKind {
  const asks = (name: string): boolean => query.has(name);
  if (key === '') {
    if (method === 'HEAD') return 'HeadBucket';
    if (method === 'POST' && asks('delete')) return 'DeleteObjects';
    if (method === 'PUT' && query.size === 0) return 'CreateBucket';
    if (method !== 'GET') return 'other';
    if (asks('uploads')) return 'ListMultipartUploads';
    if (asks('versions')) return 'ListObjectVersions';
    if (query.get('list-type') === '2') return 'ListObjectsV2';
    return ['delimiter', 'marker', 'max-keys', 'prefix'].some(asks) || query.size === 0 ? 'ListObjects' : 'other';
  }
  if (['acl', 'legal-hold', 'retention', 'tagging'].some(asks)) return 'other';
  switch (method) {
    case 'GET':
      return asks('uploadId') ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      return asks('partNumber') ? 'UploadPart' : 'PutObject';
    case 'POST':
      if (asks('uploads')) return 'CreateMultipartUpload';
      return asks('uploadId') ? 'CompleteMultipartUpload' : 'other';
    case 'DELETE':
      return asks('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    default:
      return 'other';
  }
}
