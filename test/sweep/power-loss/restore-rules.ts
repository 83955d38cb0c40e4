/** What must hold for a data directory after a crash in a restore: PostgreSQL refuses it, or all of it is there. */

import { differences, type Recording, type Rules } from '../../support/power-loss/replay.ts';
import type { Tree } from '../../support/power-loss/tree.ts';

/** @param data the data directory, within what was recorded */
export function restoreRules({ before, after }: Recording, data: string): Rules {
  const control = `${data}/global/pg_control`;
  return ({ tree, done }) => {
    if (done) return differences(tree, after).map(what => `success was told, and ${what}`);
    if (!tree.has(control)) return refuses(tree, data) ? ['another restore would refuse to go on'] : [];
    // nothing has begun, or all is done
    const missing = differences(tree, after);
    if (missing.length === 0 || differences(tree, before).length === 0) return [];
    return [`PostgreSQL would start from what is neither old nor new: ${missing.slice(0, 3).join('; ')}`];
  };
}

/** Whether delta and force would see no sign of a cluster, and files. */
function refuses(tree: Tree, data: string): boolean {
  const mark = `${data}/backup.manifest`;
  if (tree.has(`${data}/PG_VERSION`) || tree.has(mark)) return false;
  return [...tree.keys()].some(path => path.startsWith(`${data}/`) && path !== `${mark}.pgbackrest.tmp`);
}
