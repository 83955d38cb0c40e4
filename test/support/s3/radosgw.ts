/** Finds what a Ceph with an S3 gateway on this machine needs; when it is not there, tests of S3 are skipped. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const programs = [
  'radosgw',
  'radosgw-admin',
  'ceph-mon',
  'ceph-osd',
  'ceph',
  'ceph-authtool',
  'monmaptool',
  'openssl',
  'setpriv',
];

/** How a reader of skipped tests gets what they need. */
export const s3SkipReason =
  "S3 tests skipped: there is no radosgw (Debian: 'apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common openssl'; or name the env.sh of an S3 server in PGBACKSTOP_S3_LAB)";

function isOnPath(program: string, path: string): boolean {
  return path.split(delimiter).some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @param env where PATH is taken from; PGBACKSTOP_S3_LAB names a server that is up instead */
export function hasS3Server(env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.PGBACKSTOP_S3_LAB) return true;
  return programs.every(program => isOnPath(program, env.PATH ?? ''));
}

/**
 * For a suite that needs a server: `describe.skipIf(!requireS3Server())`. Starts nothing.
 * @throws where PGBACKSTOP_REQUIRE_COMPAT=1 forbids skipping, as in CI
 */
export function requireS3Server(env: NodeJS.ProcessEnv = process.env): boolean {
  const found = hasS3Server(env);
  if (!found && env.PGBACKSTOP_REQUIRE_COMPAT === '1') {
    throw new Error(`PGBACKSTOP_REQUIRE_COMPAT is set, but ${s3SkipReason}`);
  }
  return found;
}

/** True for the long form of the S3 tests: PGBACKSTOP_S3=full. */
export function isFullS3Run(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.PGBACKSTOP_S3 === 'full';
}
