/**
 * Rules that involve several options.
 *
 * The real tool applies them after `command begin` is logged and locks are held. Here they are computed while loading;
 * what they found is kept for that moment.
 */
import { BackstopError } from '../base/error.ts';
import { noKey } from './given.ts';
import { redacted } from './option.ts';
import { adjust, type Resolved, type Slot, slotOf } from './resolved.ts';
import { keyedName, type OptionName } from './table.ts';

/** What is to be logged, or to end the command, once it has begun and holds its locks. */
export interface AfterBegin {
  readonly warnings: readonly string[];
  readonly error: BackstopError | undefined;
}

/** Applies the cross checks; some of them adjust defaults in `resolved`. */
export function crossCheck(resolved: Resolved): AfterBegin {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  try {
    selectedRepo(resolved);
    distinctPaths(resolved);
    timeouts(resolved);
    oneRemoteSide(resolved);
    fullRetention(resolved, warn);
    archiveRetention(resolved, warn);
    bucketName(resolved);
    customerKey(resolved);
    objectLock(resolved);
    compression(resolved, warn);
    fingerprint(resolved, warn);
    targetTime(resolved);
    if (isGiven(resolved, 'stop-auto')) {
      warn(
        "option 'stop-auto' is deprecated\nHINT: it has no effect on PostgreSQL 9.6 and newer; remove it from the configuration.",
      );
    }
  } catch (error) {
    if (!(error instanceof BackstopError)) throw error;
    return { warnings, error };
  }
  return { warnings, error: undefined };
}

const valueIn = (resolved: Resolved, name: OptionName, key = noKey): Slot['value'] =>
  slotOf(resolved, name, key)?.value;

function isGiven(resolved: Resolved, name: OptionName, key = noKey): boolean {
  const source = slotOf(resolved, name, key)?.source;
  return source !== undefined && source !== 'default';
}

function selectedRepo(resolved: Resolved): void {
  const { repo: keys } = resolved.keys;
  if (resolved.command !== 'stanza-delete' || valueIn(resolved, 'repo') !== undefined) return;
  if (keys.length > 1 || keys[0] !== 1) {
    throw new BackstopError('option-required', 'stanza-delete command requires option: repo', {
      hint: 'choose the repository to delete the stanza from, as in --repo=1.',
    });
  }
}

function distinctPaths(resolved: Resolved): void {
  const local = resolved.keys.repo.filter(
    key =>
      valueIn(resolved, 'repo-host', key) === undefined &&
      /^(posix|cifs)$/.test(String(valueIn(resolved, 'repo-type', key))),
  );
  for (const one of local) {
    for (const other of local) {
      if (
        one !== other &&
        valueIn(resolved, 'repo-type', one) === valueIn(resolved, 'repo-type', other) &&
        valueIn(resolved, 'repo-path', one) === valueIn(resolved, 'repo-path', other)
      ) {
        throw new BackstopError(
          'option-invalid-value',
          `local repo${one} and repo${other} paths are both '${valueIn(resolved, 'repo-path', other)}' but must be different`,
        );
      }
    }
  }
}

/** The protocol must outlive a query: a default gives way, two explicit values must fit. */
function timeouts(resolved: Resolved): void {
  const database = slotOf(resolved, 'db-timeout', noKey);
  const protocol = slotOf(resolved, 'protocol-timeout', noKey);
  if (typeof database?.value !== 'number' || typeof protocol?.value !== 'number') return;
  if (protocol.value > database.value) return;
  const margin = 30_000;
  if (protocol.source === 'default') {
    adjust(resolved, 'protocol-timeout', noKey, withTime(protocol, database.value + margin));
  } else if (database.source === 'default') {
    const shorter = protocol.value - margin;
    const least = 15_000;
    adjust(
      resolved,
      'db-timeout',
      noKey,
      withTime(database, shorter >= least ? shorter : Math.trunc(protocol.value / 2)),
    );
  } else {
    throw new BackstopError(
      'option-invalid-value',
      `'${protocol.text}' is not valid for 'protocol-timeout' option\n` +
        `HINT 'protocol-timeout' option (${protocol.text}) should be greater than 'db-timeout' option (${database.text}).`,
    );
  }
}

const withTime = (slot: Slot, value: number): Slot => ({ ...slot, value, text: `${value}ms` });

function oneRemoteSide(resolved: Resolved): void {
  const remote = (name: OptionName, keys: readonly number[]): boolean =>
    keys.some(key => valueIn(resolved, name, key) !== undefined);
  if (remote('pg-host', resolved.keys.pg) && remote('repo-host', resolved.keys.repo)) {
    throw new BackstopError('config', 'pg and repo hosts cannot both be configured as remote', {
      hint: 'run the command on the repository host or on the database host.',
    });
  }
}

function fullRetention(resolved: Resolved, warn: (message: string) => void): void {
  if (!resolved.slots.has('repo-retention-full-type')) return;
  for (const key of resolved.keys.repo) {
    if (valueIn(resolved, 'repo-retention-full', key) !== undefined) continue;
    const name = keyedName('repo-retention-full', key);
    const type = valueIn(resolved, 'repo-retention-full-type', key);
    warn(
      `option '${name}' is not set for '${name}-type=${type}', the repository may run out of space\n` +
        `HINT: to keep every full backup and silence this warning, set '${name}' to its highest value (9999999).`,
    );
  }
}

/** Without its own number, WAL is kept for as many backups as are kept. */
function archiveRetention(resolved: Resolved, warn: (message: string) => void): void {
  if (!resolved.slots.has('repo-retention-archive')) return;
  for (const key of resolved.keys.repo) {
    const type = valueIn(resolved, 'repo-retention-archive-type', key);
    const archive = slotOf(resolved, 'repo-retention-archive', key);
    const diff = valueIn(resolved, 'repo-retention-diff', key);
    const name = keyedName('repo-retention-archive', key);
    const diffName = keyedName('repo-retention-diff', key);
    const follow = (value: Slot['value']): void => {
      if (archive === undefined || value === undefined) return;
      adjust(resolved, 'repo-retention-archive', key, { ...archive, value, text: String(value) });
    };
    if (archive?.value !== undefined) {
      if (type === 'diff' && diff === undefined) {
        warn(
          `option '${diffName}' is not set for '${name}-type=diff'\n` +
            `HINT: to keep every differential backup and silence this warning, set '${diffName}' to its highest value (9999999).`,
        );
      }
      continue;
    }
    const off = `WAL segments will not be expired: option '${name}-type=${type}' but`;
    if (type === 'full') {
      if (valueIn(resolved, 'repo-retention-full-type', key) === 'count') {
        follow(valueIn(resolved, 'repo-retention-full', key));
      }
    } else if (type === 'incr') {
      warn(`${off} option '${name}' is not set`);
    } else if (diff === undefined) {
      warn(`${off} neither option '${name}' nor option '${diffName}' is set`);
    } else {
      follow(diff);
    }
  }
}

function bucketName(resolved: Resolved): void {
  for (const key of resolved.keys.repo) {
    const bucket = valueIn(resolved, 'repo-s3-bucket', key);
    if (
      typeof bucket === 'string' &&
      bucket.includes('.') &&
      valueIn(resolved, 'repo-storage-verify-tls', key) === true &&
      valueIn(resolved, 'repo-s3-uri-style', key) === 'host'
    ) {
      const name = keyedName('repo-s3-bucket', key);
      throw new BackstopError('option-invalid-value', `'${bucket}' is not valid for option '${name}'`, {
        hint: [
          'a certificate for *.ENDPOINT does not cover a bucket name with dots.',
          `use a bucket without dots, or ${keyedName('repo-s3-uri-style', key)}=path.`,
        ],
      });
    }
  }
}

function customerKey(resolved: Resolved): void {
  for (const key of resolved.keys.repo) {
    const text = valueIn(resolved, 'repo-s3-sse-customer-key', key);
    if (typeof text !== 'string') continue;
    const bytes = Buffer.from(text, 'base64');
    // Node reads base64 past what does not belong there, and then the way back gives something else
    if (bytes.length === 32 && bytes.toString('base64') === text) continue;
    const name = keyedName('repo-s3-sse-customer-key', key);
    throw new BackstopError('option-invalid-value', `'${redacted}' is not valid for '${name}' option`, {
      hint: 'it must be 32 bytes in base64: "openssl rand -base64 32" makes a good one.',
    });
  }
}

/** One without the other would lock nothing, although the user asked for it. */
function objectLock(resolved: Resolved): void {
  for (const key of resolved.keys.repo) {
    const [mode, days] = (['repo-s3-object-lock-mode', 'repo-s3-object-lock-days'] as const).map(name => ({
      value: valueIn(resolved, name, key),
      name: keyedName(name, key),
    }));
    if (mode === undefined || days === undefined || (mode.value === undefined) === (days.value === undefined)) continue;
    const [given, missing] = mode.value === undefined ? [days, mode] : [mode, days];
    throw new BackstopError('option-required', `${resolved.command} command requires option: ${missing.name}`, {
      hint: `option '${given.name}' is of no use without it.`,
    });
  }
}

/** `compress=n` is the old way to write `compress-type=none`. */
function compression(resolved: Resolved, warn: (message: string) => void): void {
  if (!isGiven(resolved, 'compress')) return;
  if (isGiven(resolved, 'compress-type')) {
    warn(
      "'compress' and 'compress-type' options should not both be set\n" +
        "HINT: 'compress' is the old option; remove it and keep 'compress-type'.",
    );
  } else if (valueIn(resolved, 'compress') === false) {
    const given: Slot = { value: 'none', text: 'none', source: 'argument', negated: false, reset: false };
    adjust(resolved, 'compress-type', noKey, given);
    adjust(resolved, 'compress-level', noKey, { ...given, value: 0, text: '0', source: 'default' });
  }
}

/** A fingerprint without `repo-sftp-host-key-check-type` is the old way to ask for that check. */
function fingerprint(resolved: Resolved, warn: (message: string) => void): void {
  for (const key of resolved.keys.repo) {
    const check = slotOf(resolved, 'repo-sftp-host-key-check-type', key);
    if (check?.value === undefined) continue;
    const checkName = keyedName('repo-sftp-host-key-check-type', key);
    const printName = keyedName('repo-sftp-host-fingerprint', key);
    if (valueIn(resolved, 'repo-sftp-host-fingerprint', key) === undefined) {
      if (check.value !== 'fingerprint') continue;
      throw new BackstopError('option-required', `${resolved.command} command requires option: ${printName}`);
    }
    if (check.source === 'default') {
      warn(
        `option '${printName}' without option '${checkName}' = 'fingerprint' is deprecated\n` +
          `HINT: add '${checkName}=fingerprint' to the configuration.`,
      );
      const { adjusted: _, ...rest } = check;
      adjust(resolved, 'repo-sftp-host-key-check-type', key, { ...rest, value: 'fingerprint', text: 'fingerprint' });
    } else if (check.value !== 'fingerprint') {
      throw new BackstopError(
        'option-invalid',
        `option '${printName}' not valid without option '${checkName}' = 'fingerprint'`,
      );
    }
  }
}

/** Not every storage keeps versions, and damage differs, so that the repository must be named. */
function targetTime(resolved: Resolved): void {
  if (valueIn(resolved, 'repo-target-time') !== undefined && !isGiven(resolved, 'repo')) {
    throw new BackstopError('option-invalid', "option 'repo-target-time' not valid without option 'repo'", {
      hint: 'add the repository to look into, as in --repo=1.',
    });
  }
}
