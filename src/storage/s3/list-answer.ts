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
    return {
      Key: key,
      Size: /^\d+$/.test(size ?? '') ? Number(size) : Number.NaN,
      LastModified: new Date(time ?? Number.NaN),
    };
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
  if (!isWhole) return undefined;
  const head = inside.replace(/<(Contents|CommonPrefixes)>.*<\/\1>/s, '');
  const truncated = field(head, 'IsTruncated');
  if (truncated !== 'true' && truncated !== 'false') return undefined;
  return {
    IsTruncated: truncated === 'true',
    NextContinuationToken: field(inside, 'NextContinuationToken'),
    Contents: Contents.map(({ Key = '', ...entry }) => ({ ...entry, Key })),
    CommonPrefixes: CommonPrefixes.map(({ Prefix = '' }) => ({ Prefix })),
  };
}

/** What is inside of elements that are written without attributes. */
function elements(text: string, name: string): string[] {
  const [start, end] = [`<${name}>`, `</${name}>`];
  const found: string[] = [];
  for (let at = text.indexOf(start); at >= 0; ) {
    const last = text.indexOf(end, at);
    // a pattern would look for it from each of the starts
    if (last < 0) break;
    found.push(text.slice(at + start.length, last));
    at = text.indexOf(start, last);
  }
  return found;
}

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

/** Text as it stands in XML. */
export const encodeEntities = (text: string): string =>
  text.replace(/[&<>"]/g, char => `&${char === '&' ? 'amp' : char === '<' ? 'lt' : char === '>' ? 'gt' : 'quot'};`);
