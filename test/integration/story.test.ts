/**
 * A long life of one stanza: what is told here is random, and a seed tells it again. The same forty seconds of it belong to
 * every run of the tests; `npm run test:story` takes ten minutes, and another story each time.
 */
import { expect, test } from 'vitest';
import { Story } from './story.ts';

const asked = process.env.PGBACKSTOP_STORY_SECONDS;
const seconds = Number(asked ?? 40);
const seed = Number(process.env.PGBACKSTOP_STORY_SEED ?? (asked === undefined ? 20261121 : Date.now() % 1_000_000));

test(
  'backups, kills, expiry and restores in any order, under load: every restore has the rows of its moment',
  async () => {
    console.log(`story: PGBACKSTOP_STORY_SEED=${seed}`);
    const story = await Story.begin(seed);
    try {
      await story.tell(seconds * 1000);
      console.log(`story: ${story.summary}`);
      for (const what of ['backup', 'kill', 'expire', 'restore', 'go back'])
        expect(story.count(what)).toBeGreaterThan(0);
    } catch (error) {
      throw new Error(`PGBACKSTOP_STORY_SEED=${seed}\n${story.lines.join('\n')}`, { cause: error });
    } finally {
      await story.end();
    }
  },
  seconds * 3000 + 300_000,
);
