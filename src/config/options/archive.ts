/** WAL archiving: archive-push and archive-get. */
import { defineOptions } from '../option.ts';

export const archiveOptions = defineOptions({
  'archive-async': {
    type: 'boolean',
    default: false,
    section: 'global',
    commands: ['archive-get', 'archive-push'],
  },
  'archive-get-queue-max': {
    type: 'size',
    default: '128MiB',
    range: ['0B', '4PiB'],
    section: 'global',
    commands: ['archive-get'],
    roles: ['main', 'async'],
  },
  'archive-header-check': {
    type: 'boolean',
    default: true,
    section: 'global',
    commands: ['archive-push'],
    roles: ['main', 'async'],
  },
  'archive-missing-retry': {
    type: 'boolean',
    default: true,
    section: 'global',
    commands: ['archive-get'],
    roles: ['main'],
  },
  'archive-push-batch-size': {
    type: 'size',
    default: '16GiB',
    range: ['1MiB', '4PiB'],
    section: 'global',
    commands: ['archive-push'],
    roles: ['main', 'async'],
  },
  'archive-push-queue-max': {
    type: 'size',
    range: ['0B', '4PiB'],
    section: 'global',
    commands: ['archive-push'],
    roles: ['main', 'async'],
    formerly: ['archive-queue-max'],
  },
  'archive-timeout': {
    type: 'time',
    default: '1m',
    range: ['100ms', '1d'],
    section: 'global',
    commands: ['archive-get', 'archive-push', 'backup', 'check'],
    roles: ['main'],
  },
  'spool-path': {
    type: 'path',
    default: '/var/spool/pgbackrest',
    section: 'global',
    commands: ['archive-get', 'archive-push', 'restore'],
    roles: ['main', 'async', 'local'],
    for: {
      'archive-get': { onlyIf: { option: 'archive-async', is: [true] } },
      'archive-push': { onlyIf: { option: 'archive-async', is: [true] } },
      restore: { internal: true },
    },
  },
});
