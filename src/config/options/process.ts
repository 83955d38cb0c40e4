/** Options that our own processes give each other; nobody sets them by hand. */
import { defineOptions } from '../option.ts';

export const processOptions = defineOptions({
  'exec-id': {
    type: 'string',
    section: 'command-line',
    internal: true,
  },
  lock: {
    type: 'list',
    section: 'command-line',
    commands: ['annotate', 'archive-push', 'backup', 'expire', 'stanza-create', 'stanza-delete', 'stanza-upgrade'],
    roles: ['remote'],
    internal: true,
  },
  process: {
    type: 'integer',
    range: [0, 1024],
    section: 'command-line',
    roles: ['local', 'remote'],
    internal: true,
  },
  'remote-type': {
    type: 'word',
    allow: ['pg', 'repo'],
    section: 'command-line',
    roles: ['local', 'remote'],
    internal: true,
  },
});
