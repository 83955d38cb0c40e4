/** The spool of a tool, as a foreground process leaves it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chownTree } from '../support/cluster.ts';
import type { Bed, Tool } from './bed.ts';

/** Makes the stanza's folder of the spool, `out` or `in`, with what `fill` puts into it. */
export async function fillSpool(
  bed: Bed,
  tool: Tool,
  kind: 'out' | 'in',
  fill: (folder: string) => void,
): Promise<void> {
  const root = bed.emptyFolder(`${tool.name}-spool`);
  const folder = join(root, 'archive', 'bench', kind);
  mkdirSync(folder, { recursive: true });
  fill(folder);
  await chownTree(bed.cluster.user, root);
}
