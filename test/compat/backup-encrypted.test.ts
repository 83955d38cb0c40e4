/** Our backups and those of the real tool, exchanged: every codec, encrypted. */
import { describe } from 'vitest';
import { canCompare, codecs, describeExchange, useBench } from './support.ts';

describe.runIf(canCompare)('exchange with the real tool', () => {
  const bench = useBench();
  for (const [index, codec] of codecs.entries()) {
    describeExchange(bench, {
      name: `encrypted-${codec}`,
      creator: index % 2 === 1 ? 'ours' : 'real',
      options: { 'compress-type': codec, 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'x+y/z#1;2==' },
    });
  }
});
