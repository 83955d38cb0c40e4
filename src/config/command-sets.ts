/** Lists of commands that several options share. */

/** Commands that work on a repository. */
export const repoCommands = [
  'annotate',
  'archive-get',
  'archive-push',
  'backup',
  'check',
  'expire',
  'info',
  'manifest',
  'repo-get',
  'repo-ls',
  'repo-put',
  'repo-rm',
  'restore',
  'stanza-create',
  'stanza-delete',
  'stanza-upgrade',
  'verify',
] as const;

/** Commands that move bytes: all but start and stop. */
export const ioCommands = [
  'annotate',
  'archive-get',
  'archive-push',
  'backup',
  'check',
  'expire',
  'info',
  'manifest',
  'repo-get',
  'repo-ls',
  'repo-put',
  'repo-rm',
  'restore',
  'server',
  'server-ping',
  'stanza-create',
  'stanza-delete',
  'stanza-upgrade',
  'verify',
] as const;

/** Commands that run jobs in workers. */
export const workerCommands = ['archive-get', 'archive-push', 'backup', 'restore', 'verify'] as const;

/** Commands that look at a cluster. */
export const pgCommands = [
  'archive-get',
  'archive-push',
  'backup',
  'check',
  'manifest',
  'restore',
  'stanza-create',
  'stanza-delete',
  'stanza-upgrade',
] as const;

/** Commands that reach a cluster on another host. */
export const pgHostCommands = [
  'backup',
  'check',
  'manifest',
  'stanza-create',
  'stanza-delete',
  'stanza-upgrade',
] as const;

/** Commands that open a database connection. */
export const databaseCommands = ['backup', 'check', 'stanza-create', 'stanza-delete', 'stanza-upgrade'] as const;

/** Commands that decide what expires. */
export const retentionCommands = ['backup', 'expire'] as const;
