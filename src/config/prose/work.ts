/** Words for the options of clusters, archiving, backup and restore. */
import type { archiveOptions } from '../options/archive.ts';
import type { backupOptions } from '../options/backup.ts';
import type { pgOptions } from '../options/pg.ts';
import type { restoreOptions } from '../options/restore.ts';
import type { OptionProse } from './prose.ts';

export const pgProse = {
  'db-timeout': {
    summary: 'Longest wait for one query.',
    help: 'Also covers the start of a backup, which waits for a checkpoint when start-fast is off. Must be shorter than protocol-timeout.',
  },
  pg: { summary: 'Cluster to work on.', help: 'The number of the cluster, as in pg2-path.' },
  'pg-database': {
    summary: 'Database to connect to.',
    help: 'Any database will do; it is only used to talk to the server.',
  },
  'pg-host': {
    summary: 'Host of the cluster.',
    help: 'Set it where commands run on another host than PostgreSQL. Leave it out for a cluster on the same host.',
  },
  'pg-host-ca-file': {
    summary: 'Authority that the certificate of the PostgreSQL host must come from.',
    help: 'A file in PEM format. Without it, the authorities known to the system count.',
  },
  'pg-host-ca-path': {
    summary: 'Directory of authorities for the PostgreSQL host.',
    help: 'As pg-host-ca-file, with one hashed file for each authority.',
  },
  'pg-host-cert-file': {
    summary: 'Our certificate for the PostgreSQL host.',
    help: 'Proves to the TLS server of that host who we are.',
  },
  'pg-host-cmd': {
    summary: 'How this program is called on the PostgreSQL host.',
    help: 'Needed only when its path there differs from the path here.',
  },
  'pg-host-config': {
    summary: 'Configuration file on the PostgreSQL host.',
    help: 'Needed only when it is not in the usual place there.',
  },
  'pg-host-config-include-path': {
    summary: 'Directory of further configuration files on the PostgreSQL host.',
    help: 'Needed only when it is not in the usual place there.',
  },
  'pg-host-config-path': {
    summary: 'Base directory of configuration files on the PostgreSQL host.',
    help: 'Needed only when it is not the usual one there.',
  },
  'pg-host-key-file': {
    summary: 'Private key of our certificate for the PostgreSQL host.',
    help: 'Belongs to pg-host-cert-file; only its owner may read it.',
  },
  'pg-host-port': {
    summary: 'Port of the PostgreSQL host.',
    help: 'The port of SSH or of the TLS server, depending on pg-host-type; not the port of PostgreSQL.',
  },
  'pg-host-type': {
    summary: 'How the PostgreSQL host is reached.',
    help: 'ssh starts this program there through SSH; tls talks to the server command running there.',
  },
  'pg-host-user': {
    summary: 'User to be on the PostgreSQL host.',
    help: 'For SSH: usually the owner of the data directory.',
  },
  'pg-local': {
    summary: 'The cluster is on this host.',
    help: 'Makes pg-host be ignored; set for the process that runs on that host.',
  },
  'pg-path': {
    summary: 'Data directory of the cluster.',
    help: 'The same as data_directory in PostgreSQL. Restore writes to it, so that it must be right.',
  },
  'pg-port': { summary: 'Port of PostgreSQL.', help: 'The same as port in PostgreSQL.' },
  'pg-socket-path': {
    summary: 'Directory of the PostgreSQL socket.',
    help: 'One of unix_socket_directories, needed when it is not the usual one.',
  },
  'pg-user': {
    summary: 'Database user to connect as.',
    help: 'Without it, the name of the operating system user (or PGUSER) is taken.',
  },
  'pg-version-force': {
    summary: 'Take PostgreSQL for this version.',
    help: 'For forks that keep another number in their control file. A wrong version does damage.',
  },
} as const satisfies Record<keyof typeof pgOptions, OptionProse>;

export const archiveProse = {
  'archive-async': {
    summary: 'Archive in the background.',
    help: 'archive-push then sends many segments at once, and archive-get fetches ahead, both in parallel by process-max. Needs spool-path for the exchange with the background process.',
  },
  'archive-get-queue-max': {
    summary: 'How much WAL is fetched ahead.',
    help: 'The space in spool-path that asynchronous archive-get may fill.',
  },
  'archive-header-check': {
    summary: 'Compare WAL headers with the stanza.',
    help: 'A segment of another version or another cluster is refused. Switch it off only for forks whose headers differ.',
  },
  'archive-missing-retry': {
    summary: 'Look again for WAL reported missing before.',
    help: 'When asynchronous archive-get noted earlier that a segment is missing, it is looked for once more before that is believed.',
  },
  'archive-push-batch-size': {
    summary: 'How much WAL the background pushes at once.',
    help: 'After so much the list of what waits is made anew and announced in the log; the process goes on while there is something to push.',
  },
  'archive-push-queue-max': {
    summary: 'Give up WAL when more than this waits.',
    help: 'When WAL cannot be archived, it fills the disk of PostgreSQL. When more than this waits, the oldest segments are reported as archived without being stored: PostgreSQL goes on, but point-in-time recovery is broken until the next backup. With archive-async only segments that cannot be pushed are given up, or when ever more waits.',
  },
  'archive-timeout': {
    summary: 'Longest wait for WAL to arrive in the archive.',
    help: 'For check and backup: until the segments are in the repository. For asynchronous archiving: until the background process has an answer.',
  },
  'spool-path': {
    summary: 'Directory for asynchronous archiving.',
    help: 'Holds states of pushed segments, segments fetched ahead, and the record of what archive-push-queue-max gave up. It should be local and survive a restart; losing it costs only repeated work and that record.',
  },
} as const satisfies Record<keyof typeof archiveOptions, OptionProse>;

export const backupProse = {
  annotation: {
    summary: 'Note to keep with the backup.',
    help: 'A key and a value, as in --annotation=reason=upgrade; may be repeated. info --set and info --output=json show them.',
    for: {
      annotate: {
        summary: 'Note to add, change or remove.',
        help: 'A key and a value, as in --annotation=reason=upgrade; an empty value, as in --annotation=reason=, removes the key. May be repeated. Other keys stay.',
      },
    },
  },
  'archive-check': {
    summary: 'Wait for the WAL that a backup needs.',
    help: 'A backup is only reported complete when every WAL segment it needs for consistency is in the archive. Without it, a backup may turn out useless.',
  },
  'archive-copy': {
    summary: 'Put the needed WAL into the backup too.',
    help: 'The backup can then be made consistent without the archive, at the price of space for those segments.',
  },
  'archive-mode-check': {
    summary: 'Check the archive_mode of PostgreSQL.',
    help: 'archive_mode=always is refused, because two hosts would then archive the same segments. Without the check the user takes care of that.',
  },
  'backup-fan-out': {
    summary: 'Back up to all repositories at once.',
    help: 'The cluster is read once, within one backup of the server, and each repository gets a backup of its own, with its own cipher, bundles, blocks and prior backup. The slowest one sets the pace. A repository that fails drops out, the others get their backup, and the command ends with an error. With repo only that repository gets one. pgBackRest does not know this option and warns of it.',
  },
  'backup-standby': {
    summary: 'Read files from a standby.',
    help: 'y: relation files come from a standby, which takes load off the primary; both must be configured and reachable. prefer: the same if there is a standby, else the primary. n: only the primary.',
  },
  'checksum-page': {
    summary: 'Check page checksums while copying.',
    help: 'Bad pages are reported and recorded, and do not stop the backup. On by default when the cluster has page checksums.',
  },
  compress: {
    summary: 'Compress files (old option).',
    help: 'compress=n means compress-type=none, which should be used instead.',
  },
  'compress-level': {
    summary: 'Compression level.',
    help: 'A higher level makes smaller files and takes longer. Range and default depend on compress-type.',
  },
  'compress-type': {
    summary: 'Compression of backups and WAL.',
    help: 'none: no compression.\nbz2: small and very slow.\ngz: the widely known one.\nlz4: fast.\nzst: about as small as gz and several times faster.',
  },
  exclude: {
    summary: 'Leave out a path.',
    help: 'Relative to the data directory; with a slash at the end, only the content of the directory is left out. May be repeated. A cluster that lacks files it needs will not start: use it for foreign files only. A restore with --delta removes what was left out, because it is not in the backup.',
  },
  'expire-auto': {
    summary: 'Run expire after a backup.',
    help: 'Without it, backups and WAL pile up until expire is run. A backup is complete even if expire fails after it; the exit code is then that of expire.',
  },
  'manifest-save-threshold': {
    summary: 'Bytes copied between two saves of the manifest.',
    help: 'An interrupted backup can be resumed from the last save.',
  },
  online: {
    summary: 'PostgreSQL is running.',
    help: 'With --no-online nothing is asked of PostgreSQL, which must be stopped.',
    for: {
      'stanza-create': {
        summary: 'Ask the running cluster for its identity.',
        help: 'With --no-online it is read from the control file.',
      },
      'stanza-upgrade': {
        summary: 'Ask the running cluster for its identity.',
        help: 'With --no-online it is read from the control file.',
      },
    },
  },
  'page-header-check': {
    summary: 'Check page headers too.',
    help: 'Without it only the checksum counts. Switch it off only for forks whose headers differ.',
  },
  resume: {
    summary: 'Go on with an interrupted backup.',
    help: 'Files that an interrupted full backup already stored are checked and kept. Without it, they are removed.',
  },
  'start-fast': {
    summary: 'Begin with a checkpoint at once.',
    help: 'Otherwise a backup waits for the next regular checkpoint, which may take minutes.',
  },
  'stop-auto': {
    summary: 'Stop a backup that an earlier run left open.',
    help: 'Only servers before 9.6 need it; it has no effect on others.',
  },
} as const satisfies Record<keyof typeof backupOptions, OptionProse>;

export const restoreProse = {
  'archive-mode': {
    summary: 'Archiving in the restored cluster.',
    help: 'preserve leaves archive_mode as it was; off disables it, so that a copy does not archive into the same stanza. Needs PostgreSQL 12 or newer.',
  },
  'db-exclude': {
    summary: 'Leave out a database.',
    help: 'Its files are restored as zeros, which take no space; it cannot be used and should be dropped. May be repeated.',
  },
  'db-include': {
    summary: 'Restore only this database.',
    help: 'Files of other databases are restored as zeros, which take no space; those cannot be used and should be dropped. System databases are always restored. May be repeated.',
  },
  'link-all': {
    summary: 'Restore all symbolic links.',
    help: 'Otherwise linked directories and files are restored as ordinary ones in place.',
  },
  'link-map': {
    summary: 'Where a link is to point.',
    help: 'Name of the link in the data directory, "=", and its new destination, as in --link-map=pg_wal=/fast/wal. May be repeated.',
  },
  'recovery-option': {
    summary: 'Further setting for recovery.',
    help: 'A key and a value for recovery, as in --recovery-option=primary_conninfo=host=db1. May be repeated. A restore_command given here replaces ours.',
  },
  'tablespace-map': {
    summary: 'Where a tablespace is to be restored.',
    help: 'Name or oid of the tablespace, "=", and a directory. May be repeated.',
  },
  'tablespace-map-all': {
    summary: 'Where tablespaces are to be restored.',
    help: 'Every tablespace without a tablespace-map goes into a directory of its name below this one.',
  },
  target: {
    summary: 'Where recovery is to end.',
    help: 'An LSN, the name of a restore point, a time or a transaction id, depending on type. Give a time with its zone, as in "2026-11-21 12:00:00+00".',
  },
  'target-action': {
    summary: 'What follows when the target is reached.',
    help: 'pause: wait, so that the state can be looked at. promote: open for writing. shutdown: stop.',
  },
  'target-exclusive': {
    summary: 'Stop just before the target.',
    help: 'Otherwise what happened at the target itself is included.',
  },
  'target-timeline': {
    summary: 'Timeline to recover along.',
    help: 'A number, current or latest. Versions before 12 follow the current one by default, later versions the latest.',
  },
} as const satisfies Record<keyof typeof restoreOptions, OptionProse>;
