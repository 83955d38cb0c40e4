/** Our backups and those of the real tool, exchanged: every codec, not encrypted. */
import { describe } from 'vitest';
import { canCompare, codecs, describeExchange, useBench } from './support.ts';

describe.runIf(canCompare)('exchange with the real tool', () => {
  const bench = useBench();
  for (const [index, codec] of codecs.entries()) {
    describeExchange(bench, {
      name: `plain-${codec}`,
      creator: index % 2 === 0 ? 'ours' : 'real',
      options: { 'compress-type': codec },
    });
  }
});
