import { describe, expect, it } from 'vitest';
import { decodeEntities, parseList } from '../../../src/storage/s3/list-answer.ts';

const answer = (inside: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</ListBucketResult>`;

const entry = (key: string, size = '1', time = '2026-11-21T10:00:00.000Z'): string =>
  `<Contents><Key>${key}</Key><LastModified>${time}</LastModified><ETag>&quot;x&quot;</ETag><Size>${size}</Size></Contents>`;

describe('the answer to a list', () => {
  it('is read with its keys as they are, its folders, and where it goes on', () => {
    expect(
      parseList(
        answer(
          `<Name>b</Name><IsTruncated>true</IsTruncated>${entry('a&amp;b &lt;&#x27;&#39;&gt;', '7')}${entry('é😀')}` +
            '<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes><NextContinuationToken>t&amp;1</NextContinuationToken>',
        ),
      ),
    ).toEqual({
      IsTruncated: true,
      NextContinuationToken: 't&1',
      Contents: [
        { Key: "a&b <''>", Size: 7, LastModified: new Date('2026-11-21T10:00:00Z') },
        { Key: 'é😀', Size: 1, LastModified: new Date('2026-11-21T10:00:00Z') },
      ],
      CommonPrefixes: [{ Prefix: 'd/' }],
    });
  });

  it('may be empty', () => {
    expect(parseList(answer('<IsTruncated>false</IsTruncated>'))).toEqual({
      IsTruncated: false,
      NextContinuationToken: undefined,
      Contents: [],
      CommonPrefixes: [],
    });
  });

  it('is left to a parser when it is not written as usual, or not whole', () => {
    const good = answer(`<IsTruncated>false</IsTruncated>${entry('a')}`);
    for (const odd of [
      '',
      'no XML',
      good.slice(0, -1),
      good.replace('<Key>a</Key>', ''),
      good.replace('<Key>a</Key>', '<Key><![CDATA[a]]></Key>'),
      good.replace('<Key>', '<Key x="y">'),
      good.replaceAll('Contents', 'Contents x'),
      good.replace('</Contents>', ''),
      good.replace('<Size>1', '<Size>many'),
      good.replace('2026', 'then'),
      good.replaceAll('ListBucketResult', 's3:ListBucketResult'),
      good.replace('<IsTruncated>false</IsTruncated>', ''),
      good.replace('false', 'perhaps'),
      `<Error><Code>X</Code></Error>${good}`,
    ])
      expect(parseList(odd), odd).toBeUndefined();
  });
});

it('escapes that are none stay as they are', () => {
  expect(decodeEntities('a&nbsp;b &amp;amp; &#1114112; & &x')).toBe('a&nbsp;b &amp; &#1114112; & &x');
});

it('elements without an end are no list, and not looked for from each beginning again', () => {
  const begun = performance.now();
  const open = '<Contents><Key>'.repeat(500_000);
  expect(parseList(`<ListBucketResult><IsTruncated>false</IsTruncated>${open}</ListBucketResult>`)).toBeUndefined();
  expect(performance.now() - begun).toBeLessThan(5_000);
});

it('an entry without a size is not one of no bytes', () => {
  const entry = '<Contents><Key>a</Key><Size></Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>';
  expect(parseList(`<ListBucketResult><IsTruncated>false</IsTruncated>${entry}</ListBucketResult>`)).toBeUndefined();
});
