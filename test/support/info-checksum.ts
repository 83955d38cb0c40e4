/** Info files and manifests that a test has changed, with the checksum that fits. */
import { createHash } from 'node:crypto';

/** The text with the checksum that its entries have now. */
export function withChecksum(text: string): string {
  const sections = text
    .replace(/\n\[backrest\]\nbackrest-checksum=.*\n$/, '')
    .split(/^\[(.*)\]\n/m)
    .slice(1);
  const parts: string[] = [];
  for (let at = 0; at < sections.length; at += 2) {
    const entries = (sections[at + 1] ?? '')
      .split('\n')
      .filter(line => line !== '')
      .map(line => `"${line.slice(0, line.indexOf('='))}":${line.slice(line.indexOf('=') + 1)}`);
    parts.push(`"${sections[at]}":{${entries.join(',')}}`);
  }
  const body = text.replace(/backrest-checksum=.*\n$/, '');
  const checksum = createHash('sha1')
    .update(`{${parts.join(',')}}`)
    .digest('hex');
  return `${body}backrest-checksum="${checksum}"\n`;
}
