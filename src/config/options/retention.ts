/** How long backups and WAL are kept, per repository. */
import { retentionCommands } from '../command-sets.ts';
import { defineOptions } from '../option.ts';

export const retentionOptions = defineOptions({
  'repo-retention-archive': {
    type: 'integer',
    range: [1, 9999999],
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
    formerly: ['retention-archive'],
  },
  'repo-retention-archive-type': {
    type: 'word',
    allow: ['full', 'diff', 'incr'],
    default: 'full',
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
    formerly: ['retention-archive-type'],
  },
  'repo-retention-diff': {
    type: 'integer',
    range: [1, 9999999],
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
    formerly: ['retention-diff'],
  },
  'repo-retention-full': {
    type: 'integer',
    range: [1, 9999999],
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
    formerly: ['retention-full'],
  },
  'repo-retention-full-type': {
    type: 'word',
    allow: ['count', 'time'],
    default: 'count',
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
  },
  'repo-retention-history': {
    type: 'integer',
    range: [0, 9999999],
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
  },
});
