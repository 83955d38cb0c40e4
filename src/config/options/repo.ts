/** The repositories, `repo1` to `repo256`: what every kind of storage shares. */
import { repoCommands, retentionCommands } from '../command-sets.ts';
import { defineOptions } from '../option.ts';

export const repoOptions = defineOptions({
  repo: {
    type: 'integer',
    range: [1, 256],
    section: 'command-line',
    commands: repoCommands,
    for: {
      'archive-push': { roles: ['remote'] },
      check: { roles: ['remote'] },
      'stanza-create': { roles: ['remote'] },
      'stanza-upgrade': { roles: ['remote'] },
    },
  },
  'repo-cipher-pass': {
    type: 'string',
    required: true,
    section: 'global',
    group: 'repo',
    commands: repoCommands,
    onlyIf: { option: 'repo-cipher-type', is: ['aes-256-cbc'] },
    secret: true,
    formerly: ['repo-cipher-pass'],
  },
  'repo-cipher-type': {
    type: 'word',
    allow: ['none', 'aes-256-cbc'],
    default: 'none',
    section: 'global',
    group: 'repo',
    commands: repoCommands,
    formerly: ['repo-cipher-type'],
  },
  'repo-hardlink': {
    type: 'boolean',
    default: false,
    section: 'global',
    group: 'repo',
    commands: ['backup'],
    roles: ['main'],
    onlyIf: { option: 'repo-bundle', is: [false], otherwise: false },
    formerly: ['hardlink'],
  },
  'repo-path': {
    type: 'path',
    default: '/var/lib/pgbackrest',
    section: 'global',
    group: 'repo',
    commands: repoCommands,
    formerly: ['repo-path'],
  },
  'repo-symlink': {
    type: 'boolean',
    default: true,
    section: 'global',
    group: 'repo',
    commands: retentionCommands,
    roles: ['main'],
    onlyIf: { option: 'repo-type', is: ['posix'], otherwise: false },
  },
  'repo-target-time': {
    type: 'string',
    section: 'global',
    commands: ['archive-get', 'info', 'manifest', 'repo-get', 'repo-ls', 'restore', 'verify'],
    roles: ['main', 'async', 'local'],
  },
  'repo-type': {
    type: 'word',
    allow: ['azure', 'cifs', 'gcs', 'posix', 's3', 'sftp'],
    default: 'posix',
    section: 'global',
    group: 'repo',
    commands: repoCommands,
    formerly: ['repo-type'],
  },
});
