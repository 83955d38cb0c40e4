/** What must hold for a data directory after a crash in a restore: PostgreSQL refuses it, or all of it is there. */
import { differences, type Recording, type Rules } from '../../support/power-loss/replay.ts';

/** @param data the data directory, within what was recorded */
export function restoreRules({ before, after }: Recording, data: string): Rules {
  const control = `${data}/global/pg_control`;
  return ({ tree, done }) => {
    if (done) return differences(tree, after).map(what => `success was told, and ${what}`);
    if (!tree.has(control)) return [];
    // nothing has begun, or all is done
    const missing = differences(tree, after);
    if (missing.length === 0 || differences(tree, before).length === 0) return [];
    return [`PostgreSQL would start from what is neither old nor new: ${missing.slice(0, 3).join('; ')}`];
  };
}
