import { describe, expect, test } from 'vitest';
import { commandNames, commandRule } from '../../src/config/command.ts';
import { commandProse } from '../../src/config/prose/command.ts';
import { optionProse } from '../../src/config/prose/option.ts';
import {
  formerNames,
  isOptionName,
  optionIsValid,
  optionNames,
  optionRule,
  resolveOrder,
  ruleFor,
} from '../../src/config/table.ts';
import { parseInteger, parseSize, parseTime } from '../../src/config/values.ts';

const convert = (type: string, value: unknown): unknown =>
  type === 'integer'
    ? parseInteger(String(value))
    : type === 'size'
      ? parseSize(String(value))
      : type === 'time'
        ? parseTime(String(value))
        : value;

/** Every option as every command sees it. */
const seen = optionNames.flatMap(name =>
  commandNames
    .filter(command => optionIsValid(name, command, 'main'))
    .map(command => ({ name, command, rule: ruleFor(name, command) })),
);

describe('the option table', () => {
  test('has the options of level 2.59.1, and few of its own', () => {
    const own = ['backup-fan-out', 'repo-s3-object-lock-days', 'repo-s3-object-lock-mode'];
    expect(optionNames).toHaveLength(198 + own.length);
    expect(optionNames).toEqual(expect.arrayContaining(own));
    expect(optionNames.filter(name => optionRule(name).group === 'repo')).toHaveLength(
      77 + own.filter(name => name.startsWith('repo-')).length,
    );
    expect(optionNames.filter(name => optionRule(name).secret === true)).toEqual([
      'repo-azure-account',
      'repo-azure-endpoint',
      'repo-azure-key',
      'repo-cipher-pass',
      'repo-gcs-key',
      'repo-s3-key',
      'repo-s3-key-secret',
      'repo-s3-sse-customer-key',
      'repo-s3-token',
      'repo-sftp-private-key-passphrase',
    ]);
  });

  test('names a group in the name of every indexed option', () => {
    for (const name of optionNames) {
      const { group } = optionRule(name);
      if (group !== undefined) expect(name.startsWith(`${group}-`), name).toBe(true);
    }
  });

  test('has the path of a group wherever it has anything of the group', () => {
    for (const { name, command, rule } of seen) {
      if (rule.group === undefined) continue;
      expect(optionIsValid(`${rule.group}-path`, command, 'main'), `${name} for ${command}`).toBe(true);
    }
  });

  test('has defaults and ranges that are values of the type', () => {
    for (const { name, command, rule } of seen) {
      const defaults = typeof rule.default === 'object' ? Object.values(rule.default.by) : [rule.default];
      for (const value of defaults.filter(one => one !== undefined)) {
        const where = `${name} for ${command}`;
        expect(convert(rule.type, value), where).toBeDefined();
        expect(typeof value === 'boolean', where).toBe(rule.type === 'boolean');
        if (rule.allow !== undefined) expect(rule.allow, where).toContain(value);
        if (rule.range !== undefined && !('by' in rule.range)) {
          const [low, high] = rule.range.map(limit => Number(convert(rule.type, limit)));
          expect(Number(convert(rule.type, value)), where).toBeGreaterThanOrEqual(Number(low));
          expect(Number(convert(rule.type, value)), where).toBeLessThanOrEqual(Number(high));
        }
      }
      if (rule.type === 'word') expect(rule.allow, `${name} for ${command}`).not.toHaveLength(0);
    }
  });

  test('depends only on options that the same commands have, and resolves those first', () => {
    for (const { name, command, rule } of seen) {
      const other = rule.onlyIf?.option;
      if (other === undefined) continue;
      expect(isOptionName(other), `${name} depends on ${other}`).toBe(true);
      if (!isOptionName(other)) continue;
      expect(optionIsValid(other, command, 'main'), `${name} depends on ${other} for ${command}`).toBe(true);
      expect(resolveOrder.indexOf(other)).toBeLessThan(resolveOrder.indexOf(name));
    }
    expect(resolveOrder[0]).toBe('stanza');
  });

  test('knows the old names', () => {
    const cases: [old: string, now: string, indexed: boolean, plain: boolean][] = [
      ['db-path', 'pg-path', true, true],
      ['retention-full', 'repo-retention-full', false, true],
      ['repo-s3-verify-ssl', 'repo-storage-verify-tls', true, true],
      ['repo-s3-verify-tls', 'repo-storage-verify-tls', true, false],
      ['archive-queue-max', 'archive-push-queue-max', false, true],
      ['hardlink', 'repo-hardlink', false, true],
      ['backup-ssh-port', 'repo-host-port', false, true],
    ];
    for (const [old, option, indexed, plain] of cases) {
      expect(formerNames.get(old), old).toEqual({ option, indexed, plain });
    }
  });

  test('has words for every option and command', () => {
    for (const [name, prose] of [...Object.entries(optionProse), ...Object.entries(commandProse)]) {
      expect(prose.summary, name).toMatch(/^\S.*\.$/);
      expect(prose.help.trim().length, name).toBeGreaterThan(10);
    }
    expect(Object.keys(optionProse).sort()).toEqual(optionNames);
    expect(Object.keys(commandProse)).toEqual(commandNames);
  });
});

describe('the command table', () => {
  test('locks, logs and takes parameters as the real tool does', () => {
    const withLock = commandNames.filter(name => commandRule(name).lock !== 'none');
    expect(Object.fromEntries(withLock.map(name => [name, commandRule(name).lock]))).toEqual({
      annotate: 'backup',
      'archive-get': 'archive',
      'archive-push': 'archive',
      backup: 'backup',
      expire: 'backup',
      restore: 'restore',
      'stanza-create': 'all',
      'stanza-delete': 'all',
      'stanza-upgrade': 'all',
    });
    expect(commandNames.filter(name => commandRule(name).params === true)).toEqual([
      'archive-get',
      'archive-push',
      'help',
      'repo-get',
      'repo-ls',
      'repo-put',
      'repo-rm',
      'server-ping',
    ]);
    expect(commandNames.filter(name => commandRule(name).internal === true)).toEqual([
      'manifest',
      'repo-put',
      'repo-rm',
    ]);
  });
});
