import type { CommandName } from '../command.ts';
import type { Prose } from './prose.ts';

export const commandProse: Readonly<Record<CommandName, Prose>> = {
  annotate: {
    summary: 'Add, change or remove annotations of a backup.',
    help: 'Annotations are free key/value pairs kept with a backup and shown by info. Each --annotation replaces the value of its key; an empty value removes the key. The backup itself is not touched.',
  },
  'archive-get': {
    summary: 'Fetch a WAL segment from the archive.',
    help: 'PostgreSQL calls this as its restore_command: the first parameter names the WAL segment, the second the file to write. Repositories are tried in order until one has the segment.\n\nThe exit code is 0 when the segment was found, 1 when no repository has it, and higher when the search failed, which makes PostgreSQL stop or retry instead of ending recovery.',
  },
  'archive-push': {
    summary: 'Store a WAL segment in the archive.',
    help: "PostgreSQL calls this as its archive_command with the path of one WAL file. The file is stored in every repository of the stanza before success is reported. A segment that is already there is accepted when its content is the same and refused when it differs.\n\nIn postgresql.conf: archive_command = 'pgbackrest --stanza=NAME archive-push %p'",
  },
  backup: {
    summary: 'Back up a cluster.',
    help: 'Copies the cluster to one repository: the one with the lowest number unless --repo names another. An incremental or differential backup needs an earlier one and becomes a full backup when there is none.\n\nThere is no scheduler: run it from cron or a timer. When it is done, expire runs unless expire-auto is off.',
  },
  check: {
    summary: 'Check that configuration, cluster and archive work together.',
    help: 'Connects to the cluster, compares it with the stanza, switches to a new WAL segment and waits until that segment has arrived in every repository. Without a stanza, every stanza of the configuration is checked.\n\nBefore that it tells, for each repository, what WAL waits to be archived, and warns of WAL that archive-push-queue-max has dropped; when a segment does not arrive, it tells what PostgreSQL says of its archive_command.',
  },
  expire: {
    summary: 'Remove backups and WAL beyond retention.',
    help: 'Applies the retention settings of each repository: backups that exceed them are removed with all that depend on them, then WAL that no remaining backup needs. It runs by itself after a backup; by hand it serves a changed retention, or the removal of one backup with --set.',
  },
  help: {
    summary: 'Explain commands and options.',
    help: "Without parameters, lists the commands. With a command, describes it and lists its options with their present and default values. With a command and an option, explains that option.\n\nExamples: 'pgbackrest help backup', 'pgbackrest help backup compress-type'.",
  },
  info: {
    summary: 'Show stanzas, backups and archived WAL.',
    help: 'Reads every repository, or the one that --repo names, and lists for each stanza its state, the archived WAL range and the backups. With --set one backup is shown in detail; --output=json suits scripts. The exit code is 0 whatever the state is: look at the status.\n\nOn the host of the cluster it also tells how far each repository is behind: WAL segments that PostgreSQL has finished and the repository does not have. The text has lines for this only when something waits, or was dropped because of archive-push-queue-max. In JSON each entry of "repo" has "lag" with segments, bytes, seconds and oldest (null when nothing waits), and "dropped" when WAL is missing for good: a list with first, last, segments, bytes, start and stop (seconds since 1970). It is told until no backup and no WAL from before the gap is left.',
  },
  manifest: {
    summary: 'Show the manifest of a backup.',
    help: 'Lists what a backup holds as text or JSON, optionally only one file or what it references in one other backup.',
  },
  'repo-get': {
    summary: 'Print a file of a repository.',
    help: 'Writes one file to standard output, decrypted when the repository is encrypted (unless --raw is given) but not decompressed. The path is relative to the repository.',
  },
  'repo-ls': {
    summary: 'List files of a repository.',
    help: 'Lists one directory, or a whole tree with --recurse, as names or as JSON with sizes and times. The path is relative to the repository; a missing path lists nothing.',
  },
  'repo-put': {
    summary: 'Write a file into a repository.',
    help: 'Stores standard input under the given path, encrypted when the repository is encrypted unless --raw is given.',
  },
  'repo-rm': {
    summary: 'Remove a path from a repository.',
    help: 'Removes a file, or a whole tree with --recurse. Nothing checks whether a backup still needs it.',
  },
  restore: {
    summary: 'Restore a cluster from a backup.',
    help: 'Brings back the newest backup, or the one that --set names, into the path of the cluster and writes the settings that let PostgreSQL recover to the wanted point. PostgreSQL must be stopped and the path empty, unless --delta (keep what is right, fetch what differs) or --force is given.',
  },
  server: {
    summary: 'Serve other hosts over TLS.',
    help: 'Listens for requests of other hosts that are configured with host-type tls, and lets each client act on the stanzas that tls-server-auth grants. It reloads its configuration on SIGHUP.',
  },
  'server-ping': {
    summary: 'Test whether a TLS server answers.',
    help: 'Connects to the host given as parameter, or to tls-server-address, and reports whether a server answers. No certificate is presented, so that it tests the listener only.',
  },
  'stanza-create': {
    summary: 'Create the files of a stanza in its repositories.',
    help: 'Must run once for each stanza, after it is configured and before WAL is archived and backups are taken. It is safe to run again: existing files are checked against the cluster.',
  },
  'stanza-delete': {
    summary: 'Delete a stanza with all its backups and WAL.',
    help: 'Everything that one repository holds for the stanza is removed and cannot be brought back. The stanza must be stopped first (stop --stanza=NAME), and PostgreSQL too unless --force is given.',
  },
  'stanza-upgrade': {
    summary: 'Record a new major version of PostgreSQL in a stanza.',
    help: 'Run it after pg_upgrade, once the configuration points to the new cluster. Older backups stay and can be restored; new ones and new WAL belong to the new version.',
  },
  start: {
    summary: 'Let commands run again after stop.',
    help: 'Takes back a stop for one stanza, or the general one when no stanza is given.',
  },
  stop: {
    summary: 'Keep commands from running.',
    help: 'Commands that write to repositories end with an error until start is run, for one stanza or for all. Running ones finish unless --force is given, which ends them now.',
  },
  verify: {
    summary: 'Check the content of a repository.',
    help: 'Reads backups and archived WAL of one repository and compares sizes and checksums with what was recorded. The exit code is 0 even when something is damaged: read the report.',
  },
  version: {
    summary: 'Show the version.',
    help: 'Prints the compatible level of pgBackRest, and which program provides it. With --output=num the level is printed as one number that scripts can compare.',
  },
};
