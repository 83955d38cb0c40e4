/**
 * Every command and what its definition alone decides: processes, locks, log file, parameters.
 *
 * The words that help prints are in `prose/command.ts`, which a running command never loads.
 */

/** The part that a process plays for a command: `main` is the one a user starts, the others are started by it. */
export type CommandRole = 'main' | 'async' | 'local' | 'remote';

/** Which kernel locks a command takes before it runs; `all` is archive, backup and restore together. */
export type LockKind = 'archive' | 'backup' | 'restore' | 'all' | 'none';

export interface CommandRule {
  /** Roles besides `main`. */
  readonly roles: readonly Exclude<CommandRole, 'main'>[];
  readonly lock: LockKind;
  /** Roles that take the lock when they start (archive commands lock in their asynchronous process only). */
  readonly lockRoles: readonly CommandRole[];
  /** Also locks where the repository is, when another host serves it. */
  readonly remoteLock?: true;
  /** Roles that write a log file. */
  readonly logFileRoles: readonly CommandRole[];
  /** Level of the `command begin` and `command end` lines. */
  readonly logLevel: 'info' | 'debug';
  /** Takes parameters after its name; without it, a parameter is an error. */
  readonly params?: true;
  /** Works, but help does not list it. */
  readonly internal?: true;
}

const none = { lock: 'none', lockRoles: [] } as const;

export const commands = {
  annotate: {
    roles: ['remote'],
    lock: 'backup',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: [],
    logLevel: 'info',
  },
  'archive-get': {
    roles: ['async', 'local', 'remote'],
    lock: 'archive',
    lockRoles: ['async'],
    logFileRoles: ['async'],
    logLevel: 'info',
    params: true,
  },
  'archive-push': {
    roles: ['async', 'local', 'remote'],
    lock: 'archive',
    lockRoles: ['async'],
    remoteLock: true,
    logFileRoles: ['async'],
    logLevel: 'info',
    params: true,
  },
  backup: {
    roles: ['local', 'remote'],
    lock: 'backup',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  check: { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'info' },
  expire: {
    roles: ['remote'],
    lock: 'backup',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  help: { roles: [], ...none, logFileRoles: [], logLevel: 'debug', params: true },
  info: { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug' },
  manifest: { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug', internal: true },
  'repo-get': { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug', params: true },
  'repo-ls': { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug', params: true },
  'repo-put': { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug', params: true, internal: true },
  'repo-rm': { roles: ['remote'], ...none, logFileRoles: [], logLevel: 'debug', params: true, internal: true },
  restore: {
    roles: ['local', 'remote'],
    lock: 'restore',
    lockRoles: ['main'],
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  server: { roles: [], ...none, logFileRoles: ['main'], logLevel: 'info' },
  'server-ping': { roles: [], ...none, logFileRoles: [], logLevel: 'info', params: true },
  'stanza-create': {
    roles: ['remote'],
    lock: 'all',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  'stanza-delete': {
    roles: ['remote'],
    lock: 'all',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  'stanza-upgrade': {
    roles: ['remote'],
    lock: 'all',
    lockRoles: ['main'],
    remoteLock: true,
    logFileRoles: ['main'],
    logLevel: 'info',
  },
  start: { roles: [], ...none, logFileRoles: ['main'], logLevel: 'info' },
  stop: { roles: [], ...none, logFileRoles: ['main'], logLevel: 'info' },
  verify: { roles: ['local', 'remote'], ...none, logFileRoles: ['main'], logLevel: 'info' },
  version: { roles: [], ...none, logFileRoles: [], logLevel: 'debug' },
} as const satisfies Readonly<Record<string, CommandRule>>;

export type CommandName = keyof typeof commands;

/** The commands that do something: all but help and version, which need no configuration. */
export type RunCommand = Exclude<CommandName, 'help' | 'version'>;

/** All commands in the order of help. */
export const commandNames = Object.keys(commands) as readonly CommandName[];

export const commandRule = (command: CommandName): CommandRule => commands[command];

export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

/** True when the command can run in that role. */
export function commandHasRole(command: CommandName, role: CommandRole): boolean {
  return role === 'main' || commandRule(command).roles.includes(role);
}

/** `archive-push:async`; the main role has no suffix. */
export function commandRoleName(command: CommandName, role: CommandRole): string {
  return role === 'main' ? command : `${command}:${role}`;
}
