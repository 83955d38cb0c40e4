/** The list of commands, loaded when asked for: archive-push starts once per WAL segment and must not load backup. */
import type { RunCommand } from '../config/command.ts';
import type { CommandModule } from './session.ts';

type Loaders = { readonly [C in RunCommand]?: () => Promise<CommandModule<C>> };

export const commandModules: Loaders = {
  annotate: () => import('./annotate/index.ts'),
  'archive-get': () => import('./archive/get.ts'),
  'archive-push': () => import('./archive/push.ts'),
  backup: () => import('./backup/index.ts'),
  check: () => import('./check/index.ts'),
  expire: () => import('./expire/index.ts'),
  info: () => import('./info/index.ts'),
  manifest: () => import('./manifest/index.ts'),
  'repo-get': () => import('./repo/get.ts'),
  'repo-ls': () => import('./repo/ls.ts'),
  'repo-put': () => import('./repo/put.ts'),
  'repo-rm': () => import('./repo/rm.ts'),
  restore: () => import('./restore/index.ts'),
  'stanza-create': () => import('./stanza/create.ts'),
  'stanza-delete': () => import('./stanza/delete.ts'),
  'stanza-upgrade': () => import('./stanza/upgrade.ts'),
  start: () => import('./control/start.ts'),
  stop: () => import('./control/stop.ts'),
  verify: () => import('./verify/index.ts'),
};
