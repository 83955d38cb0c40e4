/** Reads the answer to ListObjectsV2, as services write it. */
import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';

type ListAnswer = Pick<
  ListObjectsV2CommandOutput,
  'IsTruncated' | 'NextContinuationToken' | 'Contents' | 'CommonPrefixes'
>;

/** @returns undefined for what is not written in the usual way: a parser of XML may then understand it, or say why not */
export function parseList(text: string): ListAnswer | undefined {
  const [, inside] =
    /^\s*(?:<\?xml[^>]*\?>\s*)?<ListBucketResult(?:\s[^>]*)?>(.*)<\/ListBucketResult>\s*$/s.exec(text) ?? [];
  if (inside === undefined || /<!|<\w+:|<\?/.test(inside)) return undefined;
  const Contents = elements(inside, 'Contents').map(entry => {
    const [key, size, time] = [field(entry, 'Key'), field(entry, 'Size'), field(entry, 'LastModified')];
    return { Key: key, Size: Number(size), LastModified: new Date(time ?? Number.NaN) };
  });
  const CommonPrefixes = elements(inside, 'CommonPrefixes').map(entry => ({ Prefix: field(entry, 'Prefix') }));
  const isWhole =
    Contents.length === count(inside, '<Contents') &&
    CommonPrefixes.length === count(inside, '<CommonPrefixes') &&
    Contents.every(
      ({ Key, Size, LastModified }) =>
        Key !== undefined && Number.isSafeInteger(Size) && !Number.isNaN(LastModified.getTime()),
    ) &&
    CommonPrefixes.every(({ Prefix }) => Prefix !== undefined);
  const head = inside.replace(/<(Contents|CommonPrefixes)>.*<\/\1>/s, '');
  const truncated = field(head, 'IsTruncated');
  if (!isWhole || (truncated !== 'true' && truncated !== 'false')) return undefined;
  return {
    IsTruncated: truncated === 'true',
    NextContinuationToken: field(inside, 'NextContinuationToken'),
    Contents: Contents.map(({ Key = '', ...entry }) => ({ ...entry, Key })),
    CommonPrefixes: CommonPrefixes.map(({ Prefix = '' }) => ({ Prefix })),
  };
}

const elements = (text: string, name: string): string[] =>
  Array.from(text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs')), ([, inside = '']) => inside);

function field(text: string, name: string): string | undefined {
  const [, inside] = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text) ?? [];
  return inside === undefined ? undefined : decodeEntities(inside);
}

const count = (text: string, part: string): number => text.split(part).length - 1;

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Text of XML without its escapes; what is none is left as it is. */
export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
