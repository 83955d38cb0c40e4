/** Words for the options of repositories. */
import type { bundleOptions } from '../options/bundle.ts';
import type { objectStoreOptions } from '../options/object-store.ts';
import type { repoOptions } from '../options/repo.ts';
import type { repoHostOptions } from '../options/repo-host.ts';
import type { retentionOptions } from '../options/retention.ts';
import type { sftpOptions } from '../options/sftp.ts';
import type { OptionProse } from './prose.ts';

export const repoProse = {
  repo: {
    summary: 'Repository to work on.',
    help: 'The number of the repository, as in repo2-path. Without it, backup, verify, manifest and the repo commands take the lowest number, archive-get, info and restore look into all in order, annotate and expire change all, and stanza-delete wants to be told when there are several.',
  },
  'repo-cipher-pass': {
    summary: 'Passphrase of the repository.',
    help: 'Encrypts the keys with which all files are encrypted. Without it nothing can be restored: keep a copy elsewhere. It cannot be changed later. "openssl rand -base64 48" makes a good one.',
  },
  'repo-cipher-type': {
    summary: 'Encryption of the repository.',
    help: 'Encryption happens before anything leaves for the storage. It must be chosen before stanza-create.',
  },
  'repo-hardlink': {
    summary: 'Make every backup directory look complete.',
    help: 'Files that a differential or incremental backup shares with an earlier one are hard-linked into it. Needs a file system with hard links, and no repo-bundle. Whoever changes such a file changes all the backups that share it.',
  },
  'repo-path': {
    summary: 'Directory of the repository.',
    help: 'Where backups and WAL are kept, on the host of the repository or inside the bucket or container.',
  },
  'repo-symlink': {
    summary: 'Make symbolic links in the repository.',
    help: 'A link named latest points to the newest backup, and tablespaces are linked into backups. Switch it off for file systems without links.',
  },
  'repo-target-time': {
    summary: 'See the repository as it was.',
    help: 'Object stores that keep versions are read as of this time, which helps after files were deleted or overwritten: a stanza is seen and restored as it was. A time in whole seconds includes that second. Needs --repo. Other storage has no versions and is read as it is.',
  },
  'repo-type': {
    summary: 'Kind of storage.',
    help: 'posix: a directory. cifs: a directory on a share without links and directory sync. sftp: a directory behind SFTP. s3, azure, gcs: an object store.',
  },
} as const satisfies Record<keyof typeof repoOptions, OptionProse>;

export const retentionProse = {
  'repo-retention-archive': {
    summary: 'Number of backups whose WAL is kept.',
    help: 'Counts backups of repo-retention-archive-type. WAL before the oldest of them is removed, except what each older backup needs to be consistent. Without it, WAL is kept as long as backups are, which is nearly always right.',
  },
  'repo-retention-archive-type': {
    summary: 'Backups that count for keeping WAL.',
    help: 'full counts full backups, diff also differential ones, incr all.',
  },
  'repo-retention-diff': {
    summary: 'Number of differential backups to keep.',
    help: 'Older ones are removed with their incremental backups. Full backups count too.',
  },
  'repo-retention-full': {
    summary: 'Full backups to keep.',
    help: 'A number of backups or of days, as repo-retention-full-type says. Older ones are removed with all that depend on them. Without it nothing is ever removed.',
  },
  'repo-retention-full-type': {
    summary: 'What repo-retention-full counts.',
    help: 'count: full backups. time: days; at least one full backup older than that stays, so that every moment of those days can be restored.',
  },
  'repo-retention-history': {
    summary: 'Days to keep manifests of removed backups.',
    help: 'They serve statistics only. 0 keeps those of existing backups; without the option all are kept.',
  },
} as const satisfies Record<keyof typeof retentionOptions, OptionProse>;

export const repoHostProse = {
  'repo-host': {
    summary: 'Host of the repository.',
    help: 'Set it where the repository is on another host; leave it out for storage that is reached directly.',
  },
  'repo-host-ca-file': {
    summary: 'Authority that the certificate of the repository host must come from.',
    help: 'A file in PEM format. Without it, the authorities known to the system count.',
  },
  'repo-host-ca-path': {
    summary: 'Directory of authorities for the repository host.',
    help: 'As repo-host-ca-file, with one hashed file for each authority.',
  },
  'repo-host-cert-file': {
    summary: 'Our certificate for the repository host.',
    help: 'Proves to the TLS server of that host who we are.',
  },
  'repo-host-cmd': {
    summary: 'How this program is called on the repository host.',
    help: 'Needed only when its path there differs from the path here.',
  },
  'repo-host-config': {
    summary: 'Configuration file on the repository host.',
    help: 'Needed only when it is not in the usual place there.',
  },
  'repo-host-config-include-path': {
    summary: 'Directory of further configuration files on the repository host.',
    help: 'Needed only when it is not in the usual place there.',
  },
  'repo-host-config-path': {
    summary: 'Base directory of configuration files on the repository host.',
    help: 'Needed only when it is not the usual one there.',
  },
  'repo-host-key-file': {
    summary: 'Private key of our certificate for the repository host.',
    help: 'Belongs to repo-host-cert-file; only its owner may read it.',
  },
  'repo-host-port': {
    summary: 'Port of the repository host.',
    help: 'The port of SSH or of the TLS server, depending on repo-host-type.',
  },
  'repo-host-type': {
    summary: 'How the repository host is reached.',
    help: 'ssh starts this program there through SSH; tls talks to the server command running there.',
  },
  'repo-host-user': {
    summary: 'User to be on the repository host.',
    help: 'For SSH: the owner of the repository there.',
  },
  'repo-local': {
    summary: 'The repository is on this host.',
    help: 'Makes repo-host be ignored; set for the process that runs on that host.',
  },
} as const satisfies Record<keyof typeof repoHostOptions, OptionProse>;

export const bundleProse = {
  'repo-block': {
    summary: 'Store only changed blocks.',
    help: 'Differential and incremental backups then hold the changed parts of a large file instead of the whole file, and a restore with --delta fetches only parts that differ. Needs repo-bundle.',
  },
  'repo-block-age-map': {
    summary: 'Block sizes by age of the file.',
    help: 'Days since the last change, "=", and a factor for the block size. Files that did not change for long get larger blocks.',
  },
  'repo-block-checksum-size-map': {
    summary: 'Checksum sizes by block size.',
    help: 'A block size, "=", and the bytes of checksum kept for blocks of that size and above.',
  },
  'repo-block-size-map': {
    summary: 'Block sizes by size of the file.',
    help: 'A file size, "=", and the block size for files of that size and above.',
  },
  'repo-block-size-super': {
    summary: 'Size of the pieces that blocks are compressed in.',
    help: 'Blocks that go together compress better; a restore must read the whole piece for one block.',
  },
  'repo-block-size-super-full': {
    summary: 'Size of those pieces in a full backup.',
    help: 'As repo-block-size-super; larger, because a full backup is usually read in order.',
  },
  'repo-bundle': {
    summary: 'Store small files together.',
    help: 'Saves time and cost where each file is a request, as in object stores, and saves space. Files of size zero need no space at all. A restore of one file reads only its part of the bundle.',
  },
  'repo-bundle-limit': {
    summary: 'Largest file that goes into a bundle.',
    help: 'By size before compression. Larger files are stored alone, each under its own name.',
  },
  'repo-bundle-size': {
    summary: 'Wanted size of a bundle.',
    help: 'Counted before compression; a bundle is one unit of work and, after an interruption, of repetition.',
  },
} as const satisfies Record<keyof typeof bundleOptions, OptionProse>;

export const sftpProse = {
  'repo-sftp-host': { summary: 'SFTP server.', help: 'Name or address of the host that keeps the repository.' },
  'repo-sftp-host-fingerprint': {
    summary: 'Fingerprint of the SFTP server.',
    help: 'The hash of its host key in the form of repo-sftp-host-key-hash-type.',
  },
  'repo-sftp-host-key-check-type': {
    summary: 'How the SFTP server proves who it is.',
    help: 'strict: its key must be in a known-hosts file. accept-new: unknown keys are accepted and remembered, changed ones refused. fingerprint: the key must have repo-sftp-host-fingerprint. none: no check, open to interception.',
  },
  'repo-sftp-host-key-hash-type': {
    summary: 'Hash of the host key.',
    help: 'Used for the fingerprint, whatever the check.',
  },
  'repo-sftp-host-port': { summary: 'Port of the SFTP server.', help: 'The port that SSH listens on there.' },
  'repo-sftp-host-user': { summary: 'User on the SFTP server.', help: 'The owner of the repository there.' },
  'repo-sftp-known-host': {
    summary: 'Known-hosts file.',
    help: 'May be repeated. Without it, the usual files of the user and the system are read.',
  },
  'repo-sftp-private-key-file': {
    summary: 'Private key for the SFTP server.',
    help: 'Keys are the only way to log in; a password is not supported.',
  },
  'repo-sftp-private-key-passphrase': {
    summary: 'Passphrase of the private key.',
    help: 'Needed when repo-sftp-private-key-file is encrypted.',
  },
  'repo-sftp-public-key-file': {
    summary: 'Public key for the SFTP server.',
    help: 'Usually found from the private key.',
  },
} as const satisfies Record<keyof typeof sftpOptions, OptionProse>;

export const objectStoreProse = {
  'repo-azure-account': { summary: 'Azure storage account.', help: 'The account that owns the container.' },
  'repo-azure-container': { summary: 'Azure container.', help: 'The container that keeps the repository.' },
  'repo-azure-endpoint': {
    summary: 'Azure endpoint.',
    help: 'For other clouds than the public one, or an emulator.',
  },
  'repo-azure-key': {
    summary: 'Azure key or signature.',
    help: 'The shared key in base64, or the shared access signature, as repo-azure-key-type says.',
  },
  'repo-azure-key-type': {
    summary: 'Kind of Azure key.',
    help: 'shared: the key of the account. sas: a shared access signature. auto: the managed identity of this machine.',
  },
  'repo-azure-uri-style': {
    summary: 'Where the account is in the address.',
    help: 'host: ACCOUNT.ENDPOINT. path: ENDPOINT/ACCOUNT, as emulators want it.',
  },
  'repo-gcs-bucket': { summary: 'GCS bucket.', help: 'The bucket that keeps the repository.' },
  'repo-gcs-endpoint': { summary: 'GCS endpoint.', help: 'For an emulator, or a private endpoint.' },
  'repo-gcs-key': {
    summary: 'GCS key.',
    help: 'The path of the key file of a service account, or a token, as repo-gcs-key-type says.',
  },
  'repo-gcs-key-type': {
    summary: 'Kind of GCS key.',
    help: 'service: a service account. token: a bearer token, mainly for tests. auto: the identity of this machine.',
  },
  'repo-gcs-user-project': {
    summary: 'GCS project to bill.',
    help: 'Needed for buckets where the requester pays.',
  },
  'repo-s3-bucket': { summary: 'S3 bucket.', help: 'The bucket that keeps the repository.' },
  'repo-s3-endpoint': {
    summary: 'S3 endpoint.',
    help: 'The service that is valid for the region of the bucket, without the name of the bucket: s3.eu-west-1.amazonaws.com, or the URL of any other one, as https://storage.googleapis.com or http://minio:9000. Without it: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL in the environment, endpoint_url of the AWS profile, or Amazon in the region.',
  },
  'repo-s3-key': {
    summary: 'S3 access key.',
    help: 'The public part of the credentials. Needs repo-s3-key-secret. Without both, credentials are looked for as repo-s3-key-type=default says.',
  },
  'repo-s3-key-secret': {
    summary: 'S3 secret access key.',
    help: 'The secret part of the credentials. Needs repo-s3-key.',
  },
  'repo-s3-key-type': {
    summary: 'Kind of S3 credentials.',
    help: 'shared: given by repo-s3-key and repo-s3-key-secret; so it is when one of them is set. auto: the role of this instance. web-id: a web identity token, as Kubernetes provides. pod-id: EKS pod identity. process: printed by repo-s3-process-cmd. default: found as other tools find them, and so it is when no key is set.\n\nThe first of these that has credentials is used: the environment (AWS_ACCESS_KEY_ID or AWS_ACCESS_KEY, AWS_SECRET_ACCESS_KEY or AWS_SECRET_KEY, AWS_SESSION_TOKEN), the profile that AWS_PROFILE names in the shared AWS files (keys, SSO, a role, a process), a web identity token, the container, the instance. check and the debug log say which one it was. pgBackRest has no such value and requires a key.',
  },
  'repo-s3-kms-key-id': {
    summary: 'KMS key for S3.',
    help: 'Objects are then encrypted by the server with this key, in addition to our own encryption.',
  },
  'repo-s3-object-lock-days': {
    summary: 'Days that objects stay locked.',
    help: 'As repo-s3-object-lock-mode says. Keep it below the time after which backups expire: what expire removes earlier is gone to all readers, but takes space until its lock ends and the lifecycle of the bucket removes its versions. pgBackRest does not know this option and warns of it.',
  },
  'repo-s3-object-lock-mode': {
    summary: 'Lock objects against removal.',
    help: 'Backups and WAL are stored with a retention of repo-s3-object-lock-days in this mode: governance can be lifted by who has the permission, compliance by nobody. Files that are rewritten, as backup.info, are not locked. expire tells what is locked, and ends well. The bucket must have been made with object lock. pgBackRest does not know this option and warns of it.',
  },
  'repo-s3-process-cmd': {
    summary: 'Program that prints S3 credentials.',
    help: 'The path of the program; each of its parameters is a further value. It must print JSON in the form of an AWS credential process.',
  },
  'repo-s3-region': {
    summary: 'S3 region.',
    help: 'The region in which the bucket was created. Without it: AWS_REGION or AWS_DEFAULT_REGION in the environment, the region of the AWS profile, and us-east-1 where the service is not Amazon, as most others do not care.',
  },
  'repo-s3-requester-pays': {
    summary: 'Accept to pay for requests.',
    help: 'Needed for buckets where the requester pays.',
  },
  'repo-s3-role': {
    summary: 'S3 role.',
    help: 'The role to take credentials of; without it, the role of the instance is asked for.',
  },
  'repo-s3-service': {
    summary: 'Service name in S3 signatures.',
    help: 'Some compatible stores want another name.',
  },
  'repo-s3-sse-customer-key': {
    summary: 'Customer key for S3.',
    help: 'Objects are then encrypted by the server with this key, which it does not keep: 32 bytes in base64.',
  },
  'repo-s3-sts-host': {
    summary: 'Host of the token service.',
    help: 'Where a web identity token is exchanged for credentials.',
  },
  'repo-s3-token': { summary: 'S3 session token.', help: 'The third part of temporary credentials.' },
  'repo-s3-uri-style': {
    summary: 'Where the bucket is in the address.',
    help: 'host: BUCKET.ENDPOINT. path: ENDPOINT/BUCKET, as many compatible stores want it; so it is for an endpoint from the environment that is not Amazon, and for an address in place of a name.',
  },
  'repo-storage-ca-file': {
    summary: 'Authority that the certificate of the store must come from.',
    help: 'A file in PEM format. Without it, the authorities known to the system count.',
  },
  'repo-storage-ca-path': {
    summary: 'Directory of authorities for the store.',
    help: 'As repo-storage-ca-file, with one hashed file for each authority.',
  },
  'repo-storage-host': {
    summary: 'Host to connect to instead of the endpoint.',
    help: 'The name in the request stays that of the endpoint. Useful for tests and proxies.',
  },
  'repo-storage-port': { summary: 'Port of the store.', help: 'Useful for tests and compatible stores.' },
  'repo-storage-tag': {
    summary: 'Tag for stored objects.',
    help: 'A key and a value; may be repeated. The store can bill or expire by tags.',
  },
  'repo-storage-upload-chunk-size': {
    summary: 'Size of the pieces that a file is uploaded in.',
    help: 'A worker holds one piece in memory. Very large files use larger ones, because stores limit their number.',
  },
  'repo-storage-verify-tls': {
    summary: 'Check the certificate of the store.',
    help: 'Without the check the connection can be intercepted; use it for tests only.',
  },
} as const satisfies Record<keyof typeof objectStoreOptions, OptionProse>;
