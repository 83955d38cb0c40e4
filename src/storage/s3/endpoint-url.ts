import { BackstopError } from '../../base/error.ts';

/**
 * Reads a name or URL of a service; https where nothing is said. A path behind it has no meaning here and is dropped, as
 * pgBackRest does.
 * @param origin what holds it, for the message
 * @throws format
 */
export function parseEndpoint(text: string, origin: string, protocols: readonly string[] = ['http:', 'https:']): URL {
  const withProtocol = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(withProtocol) ? new URL(withProtocol) : undefined;
  if (url === undefined || !protocols.includes(url.protocol) || url.username !== '' || url.password !== '') {
    // what stands before an @ may be a password
    const shown = text.includes('@') ? '' : ` '${text}'`;
    const form = protocols.includes('http:')
      ? 's3.amazonaws.com or http://minio:9000'
      : 'sts.amazonaws.com; only https will do';
    throw new BackstopError('format', `invalid URL${shown} in ${origin}`, {
      hint: `it must be a host name or a URL, as ${form}.`,
    });
  }
  return new URL(url.origin);
}
