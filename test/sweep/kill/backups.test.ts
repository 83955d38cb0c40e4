/** SIGKILL at every durable step of backups to one repository. */
import { killBackups } from './backup-cases.ts';

const bundled = { 'repo1-bundle': 'y', 'compress-type': 'zst' };
const encrypted = { 'repo1-cipher-type': 'aes-256-cbc', 'repo1-cipher-pass': 'one' };

killBackups('backups', [
  // the older one goes at its end
  { name: 'full', type: 'full', before: ['full'], options: () => ({ 'repo1-retention-full': 1 }), short: 2 },
  {
    name: 'incr, hard links',
    type: 'incr',
    before: ['full', 'incr'],
    options: () => ({ 'repo1-hardlink': 'y', 'compress-type': 'gz' }),
    short: 1,
  },
  {
    name: 'full, resumed',
    type: 'full',
    before: [],
    options: () => ({ 'manifest-save-threshold': '1KiB', 'compress-type': 'lz4' }),
    short: 1,
    resumes: true,
  },
  {
    name: 'diff, bundles, encrypted',
    type: 'diff',
    before: ['full', 'diff'],
    options: () => ({ ...bundled, ...encrypted }),
    short: 1,
  },
]);
