/** SIGKILL at every durable step of backups by blocks, and to two repositories at once. */

import { killBackups } from './backup-cases.ts';
import type { KillBed } from './kill-bed.ts';

const blocks = { 'repo1-bundle': 'y', 'repo1-block': 'y', 'compress-type': 'zst' };
const encrypted = { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'one' };
const two = (bed: KillBed) => ({
  'backup-fan-out': 'y',
  'repo2-path': bed.repo(2),
  'repo2-retention-full': 9,
  'repo2-bundle': 'y',
});

killBackups('more-backups', [
  { name: 'full, blocks', type: 'full', before: ['full'], options: () => blocks, short: 0 },
  {
    name: 'incr, blocks, encrypted',
    type: 'incr',
    before: ['full', 'incr'],
    options: () => ({ ...blocks, ...encrypted }),
    short: 1,
  },
  { name: 'full, two repositories', type: 'full', before: ['full'], options: two, repos: [1, 2], short: 0 },
  {
    name: 'incr, two repositories, one with blocks',
    type: 'incr',
    before: ['full'],
    options: bed => ({ ...two(bed), 'repo2-block': 'y' }),
    repos: [1, 2],
    short: 1,
  },
]);
