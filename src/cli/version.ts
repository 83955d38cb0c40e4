/** What `version` prints. */

/** The pgBackRest release whose command line, output and repository we keep to. */
export const compatibleLevel = '2.59.1';

/**
 * Text: scripts take the second field as the level of compatibility; our own name and version follow it.
 * Number: as the reference prints it, without a newline.
 */
export function formatVersion(version: string, output: 'text' | 'num'): string {
  if (output === 'text') return `pgBackRest ${compatibleLevel} (pgbackstop ${version})\n`;
  const [major = 0, minor = 0, patch = 0] = compatibleLevel.split('.').map(Number);
  return String(major * 1_000_000 + minor * 1000 + patch);
}
