/** Words for log, general, process and server options, and those of single commands. */
import type { commandOptions } from '../options/command.ts';
import type { generalOptions } from '../options/general.ts';
import type { logOptions } from '../options/log.ts';
import type { processOptions } from '../options/process.ts';
import type { serverOptions } from '../options/server.ts';
import type { OptionProse } from './prose.ts';

export const logProse = {
  'log-level-console': {
    summary: 'Least severe level that goes to the console.',
    help: 'Lines of this level and of worse ones go to standard output. From quiet to chatty: off, error, warn, info, detail, debug, trace.',
  },
  'log-level-file': {
    summary: 'Least severe level that goes to the log file.',
    help: 'Levels as for log-level-console. Commands that only look, such as info, write no file.',
  },
  'log-level-stderr': {
    summary: 'Least severe level that goes to standard error.',
    help: 'Levels as for log-level-console. A line that goes to standard error does not go to the console too, and has no timestamp.',
  },
  'log-path': {
    summary: 'Directory of the log files.',
    help: 'Each stanza and command has one file there, such as demo-backup.log. When it cannot be written, a warning says so and the command goes on. Nothing removes old lines: logrotate does.',
  },
  'log-subprocess': {
    summary: 'Give processes that we start log files too.',
    help: 'Worker and remote processes then log to files of their own, named after the process.',
  },
  'log-timestamp': {
    summary: 'Begin log lines with the time.',
    help: 'Without it, lines also leave out durations, so that two logs can be compared.',
  },
} as const satisfies Record<keyof typeof logOptions, OptionProse>;

export const generalProse = {
  'allow-root': {
    summary: 'Accept being run by root.',
    help: 'Files that root creates in a repository or spool directory cannot be used by the ordinary user later, so that root is refused except for restore, which sets the owner of what it writes.',
  },
  beta: {
    summary: 'Enable unfinished features.',
    help: 'Options that belong to a feature under test are refused without it.',
  },
  'buffer-size': {
    summary: 'Size of the buffers for file and network access.',
    help: 'A worker holds a few of them at a time. Larger ones may be faster on slow or distant storage; the default suits most.',
  },
  cmd: {
    summary: 'How this program is to be called.',
    help: 'Used for processes that we start and for the restore_command that restore writes. The default is the path by which this run was called.',
  },
  'cmd-ssh': {
    summary: 'SSH client to use.',
    help: 'Name or path of the program that connects to hosts of type ssh.',
  },
  'compress-level-network': {
    summary: 'Compression level between hosts.',
    help: 'Applies to what crosses the network uncompressed, that is when compress-type is none.',
  },
  config: {
    summary: 'Configuration file.',
    help: 'When given, the file must exist and no other file is read, unless config-include-path is given too. --no-config reads no file at all.',
  },
  'config-include-path': {
    summary: 'Directory of further configuration files.',
    help: 'All files there that end in .conf are read in the order of their names, as if they were appended to the configuration file.',
  },
  'config-path': {
    summary: 'Base directory of configuration files.',
    help: 'Both pgbackrest.conf and conf.d are then looked for in this directory instead of the usual one.',
  },
  delta: {
    summary: 'Compare by checksum instead of time and size.',
    help: 'Restore: files that are already in place are kept when their checksum is right, and the target need not be empty. Backup: files whose time is unchanged are read as well, and left out when their checksum is that of the earlier backup.',
  },
  'io-timeout': {
    summary: 'Longest wait for one read or write.',
    help: 'Applies to connections and other descriptors that may block. Storage requests are retried until it has passed.',
  },
  'job-retry': {
    summary: 'How often a failed job is tried again.',
    help: 'A job is a large file, a bundle or a number of small files. Only what may pass is retried, such as a failed read, not a wrong checksum. The first retry follows at once, the others after job-retry-interval.',
  },
  'job-retry-interval': {
    summary: 'Wait between retries of a job.',
    help: 'Counts from the second retry on.',
  },
  'lock-path': {
    summary: 'Directory of lock and stop files.',
    help: 'Commands that must not run side by side meet here. All processes of one host must use the same directory, on a local file system.',
  },
  'neutral-umask': {
    summary: 'Ignore the umask of the caller.',
    help: 'Files and directories in repositories get the modes 0640 and 0750 whoever runs the command. Without it, the umask in effect counts.',
  },
  priority: {
    summary: 'Scheduling priority of the process.',
    help: 'The "nice" value from -20 (first) to 19 (last). Only root may go below the present one.',
  },
  'process-max': {
    summary: 'Number of workers that run side by side.',
    help: 'Workers copy, compress and check files in parallel. More of them finish sooner as long as processors and storage keep up; leave room for PostgreSQL.',
  },
  'protocol-timeout': {
    summary: 'Longest wait for an answer of another process or host.',
    help: 'Must be longer than db-timeout, because a query counts as waiting. When only one of the two is given, the other follows it.',
  },
  'sck-block': {
    summary: 'Let socket calls block.',
    help: 'For tests of the network code only.',
  },
  'sck-keep-alive': {
    summary: 'Send keep-alive messages on connections.',
    help: 'Lets a dead peer be noticed, and keeps firewalls from dropping a connection that is quiet for long.',
  },
  stanza: {
    summary: 'Name of the stanza.',
    help: 'A stanza is the configuration of one PostgreSQL cluster with its backups and WAL; name it after what the cluster is for. Section [NAME] of the configuration file holds its options.',
  },
  'tcp-keep-alive-count': {
    summary: 'Unanswered keep-alive messages that end a connection.',
    help: 'Without it, the setting of the operating system counts.',
  },
  'tcp-keep-alive-idle': {
    summary: 'Quiet seconds before the first keep-alive message.',
    help: 'Without it, the setting of the operating system counts.',
  },
  'tcp-keep-alive-interval': {
    summary: 'Seconds between keep-alive messages.',
    help: 'Without it, the setting of the operating system counts.',
  },
  'tls-cipher-12': {
    summary: 'Ciphers allowed with TLS 1.2.',
    help: 'A list in the notation of OpenSSL. Without it, the defaults of the TLS library count.',
  },
  'tls-cipher-13': {
    summary: 'Ciphers allowed with TLS 1.3.',
    help: 'A list of suites in the notation of OpenSSL. Without it, the defaults of the TLS library count.',
  },
} as const satisfies Record<keyof typeof generalOptions, OptionProse>;

export const processProse = {
  'exec-id': {
    summary: 'Identity of one run.',
    help: 'All processes that belong to a run carry it, also in their locks and logs.',
  },
  lock: {
    summary: 'Lock to take where the repository is.',
    help: 'Given to the process on a repository host by the command that needs the lock.',
  },
  process: {
    summary: 'Number of the worker.',
    help: 'Zero is the main process of a run.',
  },
  'remote-type': {
    summary: 'What a remote process serves.',
    help: 'Either the repository or the cluster of its host.',
  },
} as const satisfies Record<keyof typeof processOptions, OptionProse>;

export const serverProse = {
  'tls-server-address': {
    summary: 'Address that the TLS server listens on.',
    help: "Name or address of an interface of this host; '*' means all of IPv4, '::' all of IPv6.",
  },
  'tls-server-auth': {
    summary: 'Clients and the stanzas that each may use.',
    help: "The common name of a client certificate, '=', and a list of stanzas separated by commas or '*' for all. Repeat the option for further clients.",
  },
  'tls-server-ca-file': {
    summary: 'Authority that client certificates must come from.',
    help: 'A file with one or more certificates in PEM format.',
  },
  'tls-server-cert-file': {
    summary: 'Certificate of the TLS server.',
    help: 'A file in PEM format, followed by intermediate certificates if there are any.',
  },
  'tls-server-key-file': {
    summary: 'Private key of the TLS server.',
    help: 'A file in PEM format that only the owner (or root and its group) may read.',
  },
  'tls-server-port': {
    summary: 'Port of the TLS server.',
    help: 'The port to listen on, or for server-ping the port to try.',
  },
} as const satisfies Record<keyof typeof serverOptions, OptionProse>;

export const commandOptionProse = {
  'archive-expire-before': {
    summary: 'Remove WAL before this segment.',
    help: 'Name of a WAL segment. It and all after it stay; WAL before it goes, except what a kept backup needs. Meant for repositories that hold WAL only, where nothing else ever removes it: PostgreSQL can call expire as its archive_cleanup_command, with %r as the value.',
  },
  'cipher-pass': {
    summary: 'Passphrase for this file.',
    help: 'Used instead of the one that belongs to the path.',
  },
  'detail-level': {
    summary: 'How much info tells.',
    help: 'full shows everything, progress only the state of each stanza with the progress of running commands.',
  },
  'dry-run': {
    summary: 'Say what would be removed, remove nothing.',
    help: 'Every message begins with [DRY-RUN]. Use log-level-console=info to see them.',
  },
  filter: {
    summary: 'Show only what matches.',
    help: 'A regular expression that a name must match somewhere; ^ and $ anchor it.',
    for: { manifest: { summary: 'Show only this file.', help: 'The full name of a file in the manifest.' } },
  },
  force: {
    summary: 'Go on where the command would refuse.',
    help: 'What is skipped depends on the command.',
    for: {
      backup: {
        summary: 'Copy the files although PostgreSQL may be running.',
        help: 'Only with --no-online. The copy is useless if PostgreSQL does run and writes.',
      },
      restore: {
        summary: 'Replace files that are in the way.',
        help: 'The target need not be empty: what is not part of the backup is removed. With --delta, files of the right size and time are taken for right without a checksum.',
      },
      'stanza-create': { summary: 'No longer has an effect.', help: 'Accepted so that old scripts go on working.' },
      'stanza-delete': {
        summary: 'Delete although PostgreSQL is running.',
        help: 'WAL that PostgreSQL archives afterwards is refused until the stanza is created again.',
      },
      stop: {
        summary: 'End running commands too.',
        help: 'Processes that hold a lock of the stanza (or any lock) are sent a SIGTERM.',
      },
    },
  },
  help: { summary: 'Show help.', help: 'Without a command, lists the commands.' },
  'ignore-missing': {
    summary: 'A missing file is no error.',
    help: 'The exit code is then 1 and nothing is printed.',
  },
  oldest: {
    summary: 'Expire the oldest full backup.',
    help: 'Retention is taken to be one less than the number of full backups there are, whatever is configured. The last full backup stays.',
  },
  output: {
    summary: 'Form of the output.',
    help: 'text is for people and may change; json is for programs.',
    for: {
      verify: { summary: 'Form of the report.', help: 'none prints no report, text prints one to standard output.' },
      version: {
        summary: 'Form of the version.',
        help: 'text prints a line; num prints the level as one number, with three digits each for minor version and patch: 2059001 is 2.59.1.',
      },
    },
  },
  raw: {
    summary: 'Do not decrypt or encrypt.',
    help: 'The bytes are those stored in the repository.',
  },
  recurse: {
    summary: 'Include everything below.',
    help: 'Directories are followed down to the last level.',
  },
  reference: {
    summary: 'Show only files kept in this backup.',
    help: 'The label of a backup that the shown one refers to.',
  },
  report: {
    summary: 'Print what is configured.',
    help: 'What environment and files configure is printed as JSON, without secrets; nothing is checked.',
  },
  set: {
    summary: 'Label of a backup.',
    help: 'The label is the name of the backup directory, as info shows it.',
    for: {
      annotate: {
        summary: 'Backup to annotate.',
        help: 'Its label, as info shows it. Every repository that has it is changed.',
      },
      expire: {
        summary: 'Backup to remove.',
        help: 'The backup is removed with everything that depends on it, whatever retention says.',
      },
      info: {
        summary: 'Backup to show in detail.',
        help: 'Its label, as info without this option shows it. LSNs, databases, tablespaces, links, annotations and page checksum errors are added.',
      },
      manifest: { summary: 'Backup whose manifest is shown.', help: 'Its label, or latest for the newest.' },
      restore: {
        summary: 'Backup to restore.',
        help: 'Its label, as info shows it. latest, the default, is the newest, or the newest that ended before the target of a recovery to a time or LSN.',
      },
      verify: {
        summary: 'Backup to check.',
        help: 'Its label. Only this backup, what it refers to and the WAL that it needs are checked.',
      },
    },
  },
  sort: { summary: 'Order of the names.', help: 'asc: ascending. desc: descending. none: as the storage lists them.' },
  type: {
    summary: 'Kind of backup or recovery.',
    help: 'Depends on the command.',
    for: {
      backup: {
        summary: 'How much to back up.',
        help: 'full: everything. diff: what changed since the last full backup. incr: what changed since the last backup of any kind.',
      },
      info: { summary: 'Show only backups of this type.', help: 'full, diff or incr.' },
      restore: {
        summary: 'How far recovery goes.',
        help: 'default: to the end of the archived WAL.\nimmediate: only until the backup is consistent.\nlsn, name, time, xid: to the given --target.\nstandby: the cluster becomes a standby.\npreserve: recovery settings are left as they are in the backup.\nnone: no recovery settings; PostgreSQL replays only the WAL it has in place.',
      },
    },
  },
  verbose: { summary: 'Report what is right too.', help: 'The report lists every backup and every count.' },
  version: { summary: 'Show the version.', help: 'The same as the command version.' },
} as const satisfies Record<keyof typeof commandOptions, OptionProse>;
