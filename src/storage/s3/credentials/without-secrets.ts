/** For messages of others: values that follow the names of secrets are left out. */
export function withoutSecrets(text: string): string {
  return text.replace(/((?:secret|token|password)\w*["']?\s*[:=]\s*["']?)[^\s"',}]+/gi, '$1<redacted>');
}
