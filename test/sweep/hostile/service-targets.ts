/** What services answer: lists and errors of S3, keys of the metadata and token services. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessKeyIn, parseFields } from '../../../src/storage/s3/credentials/key-json.ts';
import { webIdentitySource } from '../../../src/storage/s3/credentials/web-identity.ts';
import { decodeEntities, encodeEntities, parseList } from '../../../src/storage/s3/list-answer.ts';
import { newCounterMemory, RequestCounters } from '../../../src/storage/s3/requests.ts';
import { openS3Storage } from '../../../src/storage/s3/s3-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { instanceKey, webIdentityAnswer } from '../../support/s3/key-services.ts';
import { LocalService } from '../../support/s3/local-service.ts';
import { bucketSettings } from '../../support/s3/settings.ts';
import { changedBytes } from './bytes.ts';
import { type Fuzz, must } from './fuzz.ts';

const served = { key: 'AKIA', secret: 'secret/&', token: 'token==', expiration: '2027-01-01T00:00:00Z' };

const list = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>repo/x/</Prefix><KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated><Contents><Key>repo/x/a &amp; b</Key><LastModified>2026-11-21T03:22:10.000Z</LastModified><ETag>&quot;d41d8&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>repo/x/c</Key><LastModified>2026-11-21T03:22:11.000Z</LastModified><Size>0</Size></Contents><CommonPrefixes><Prefix>repo/x/d/</Prefix></CommonPrefixes></ListBucketResult>`;

const failure =
  '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message><![CDATA[no <b>]]></Message><Region>eu-1</Region></Error>';

const tokens = [
  ...[
    '<',
    '>',
    '</',
    '<Contents>',
    '</Contents>',
    '<Key>',
    '</Key>',
    '<Size>',
    '<IsTruncated>true</IsTruncated>',
    '&amp;',
  ],
  ...[
    '&#0;',
    '&#x10ffff;',
    '&#9999999;',
    '<![CDATA[',
    ']]>',
    '<Code><![CDATA[',
    '<Error>',
    '<!DOCTYPE x [<!ENTITY a "b">]>',
  ],
  ...[
    '<NextContinuationToken>t</NextContinuationToken>',
    '../',
    '/',
    '<Prefix>',
    '-1',
    '1e9',
    '99999999999999999999',
    '\0',
  ],
];

export async function fuzzServices(fuzz: Fuzz): Promise<void> {
  await fuzz.run({
    name: 'list of S3',
    inputs: changedBytes([Buffer.from(list), Buffer.from(failure)], { tokens }),
    read(input) {
      const text = input.toString();
      must(decodeEntities(encodeEntities(text)) === text, 'entities and back');
      for (const { Key, Size, LastModified } of parseList(text)?.Contents ?? []) {
        must(
          Key !== undefined && Number.isSafeInteger(Size) && !Number.isNaN(LastModified?.getTime()),
          'entries are whole',
        );
      }
    },
    kinds: [],
    cases: [1000, 60_000],
  });
  await fuzz.run({
    name: 'key as JSON',
    inputs: changedBytes(
      [Buffer.from(instanceKey(served)), Buffer.from('{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b"}')],
      {
        tokens: ['null', '{}', '[]', '""', '"Expiration":', '"Token":', '1e999', '\\u0000', '"__proto__":'],
      },
    ),
    read: input => accessKeyIn(parseFields(input.toString(), 'the service'), 'Token', 'the service'),
    kinds: ['format'],
    cases: [1500, 80_000],
  });
  await fuzzTokenService(fuzz);
  await fuzzS3(fuzz);
}

async function fuzzTokenService(fuzz: Fuzz): Promise<void> {
  let reply = { status: 200, body: '' };
  const service = await LocalService.start(() => reply);
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-hostile-'));
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'identity');
  const source = webIdentitySource({
    sts: new URL(service.url),
    role: 'r',
    tokenFile,
    sessionName: 's',
    timeout: 5000,
    tries: 1,
    openAgent: () => new Agent(),
  });
  try {
    await fuzz.run({
      name: 'token service',
      inputs: changedBytes([Buffer.from(webIdentityAnswer(served)), Buffer.from(failure)], { tokens, longest: 32_768 }),
      read(input) {
        reply = { status: input.length % 3 === 0 ? 403 : 200, body: input.toString() };
        return source();
      },
      kinds: ['format', 'protocol', 'host-connect'],
      cases: [50, 2000],
    });
  } finally {
    service.close();
    rmSync(folder, { recursive: true });
  }
}

/** An answer: status, headers, and body behind an empty line. */
function answer(status: number, headers: readonly string[], body: string): Buffer {
  return Buffer.from(`${status}\n${headers.join('\n')}\n\n${body}`);
}

/** Operations of the driver, each on what the answer says. */
const operations: readonly ((storage: Storage) => Promise<unknown>)[] = [
  storage => storage.list('/x'),
  storage => storage.names('/x', { prefix: 'a' }),
  storage => storage.info('/x/a'),
  storage => readAll(storage, 0),
  storage => readAll(storage, 5),
  async storage => {
    const sink = await storage.write('/x/a');
    await sink.write(Buffer.from('content'));
    await sink.commit();
  },
  storage => storage.remove('/x/a'),
  storage => storage.removeTree('/x'),
  async storage => storage.dropUnfinished?.(['/x'], 1_800_000_000),
];

async function readAll(storage: Storage, offset: number): Promise<void> {
  const source = await storage.read('/x/a', { offset, length: 100 });
  const buffer = Buffer.alloc(4096);
  try {
    let size = 0;
    for (;;) {
      const count = await source.read(buffer);
      if (count === 0) break;
      size += count;
    }
    must(size <= 100, 'no more is read than was asked for');
  } finally {
    await source.close();
  }
}

async function fuzzS3(fuzz: Fuzz): Promise<void> {
  let said: Buffer = Buffer.alloc(0);
  const server = createServer((request, response) => {
    request.resume();
    const end = said.indexOf('\n\n');
    const [first = '', ...headers] = said.toString('latin1', 0, end < 0 ? said.length : end).split('\n');
    const status = Number(/^[1-9]\d\d$/.exec(first)?.[0] ?? 200);
    // Node's server writes no headers that are none: that is for others to do
    request.socket.write(
      Buffer.concat([
        Buffer.from(
          `HTTP/1.1 ${Math.max(status, 200)} X\r\n${headers.join('\r\n')}\r\nconnection: close\r\n\r\n`,
          'latin1',
        ),
        end < 0 ? Buffer.alloc(0) : said.subarray(end + 2),
      ]),
      () => request.socket.end(),
    );
    void response;
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const place = { dnsName: 'localhost', caFile: '/nonexistent', region: 'us-east-1', key: 'KEY', secret: 'top-secret' };
  const storage = await openS3Storage({
    label: 'repo1',
    base: '/repo',
    bucket: bucketSettings({ ...place, http, https: http }, 'bucket', { ioTimeout: 40 }),
    counters: new RequestCounters(newCounterMemory()),
  });
  const object = [
    'etag: "v1"',
    'content-length: 12',
    'content-range: bytes 0-11/12',
    'last-modified: Sat, 21 Nov 2026 03:22:10 GMT',
  ];
  const upload = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>';
  try {
    await fuzz.run({
      name: 'answers of S3',
      inputs: changedBytes(
        [
          answer(200, ['content-type: application/xml', `content-length: ${list.length}`], list),
          answer(200, ['content-type: application/xml'], list),
          answer(206, object, 'Hello world!'),
          answer(200, object, 'Hello world!'),
          answer(403, ['content-type: application/xml'], failure),
          answer(200, [], failure),
          answer(503, ['retry-after: 1'], failure),
          answer(301, ['x-amz-bucket-region: eu-1', 'location: http://127.0.0.1:1/'], ''),
          answer(200, [], upload),
        ],
        {
          tokens: [
            ...tokens,
            ...[
              '\n',
              '\n\n',
              'content-length: ',
              'content-range: bytes ',
              'transfer-encoding: chunked\n',
              '200\n',
              '404\n',
            ],
            ...['500\n', 'content-encoding: gzip\n', 'last-modified: x\n', 'retry-after: 99999999999\n', 'etag: '],
          ],
          longest: 64 * 1024,
        },
      ),
      async read(input) {
        said = input;
        const operation = operations[(input.length * 31 + (input[input.length >> 1] ?? 0)) % operations.length];
        await operation?.(storage);
      },
      kinds: ['protocol', 'host-connect', 'service', 'file-read', 'file-missing', 'file-remove', 'crypto', 'format'],
      cases: [50, 2000],
    });
  } finally {
    await storage.close();
    server.close();
    server.closeAllConnections();
  }
}
