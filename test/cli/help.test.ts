import { describe, expect, test } from 'vitest';
import { formatHelp, wrap } from '../../src/cli/help.ts';
import { commandNames, load } from '../../src/config/index.ts';
import { optionIsValid, optionNames } from '../../src/config/table.ts';
import { config, program } from '../config/given.ts';

function help(...args: string[]): string {
  const loaded = load(args, {}, program);
  if (loaded.kind !== 'help') throw new Error(`expected help, got ${loaded.kind}`);
  return formatHelp(loaded.request, 'pgBackRest 2.59.1');
}

/** Help and version read no configuration and refuse options about it. */
const noFile = (command: string): string[] => (/^(help|version)$/.test(command) ? [] : ['--no-config']);

describe('general help', () => {
  test('lists the commands that are not internal', () => {
    const lines = help('help').split('\n');
    expect(lines.slice(0, 7)).toEqual([
      'pgBackRest 2.59.1 - General help',
      '',
      'Usage:',
      '    pgbackrest [options] [command]',
      '',
      'Commands:',
      '    annotate        add, change or remove annotations of a backup',
    ]);
    expect(lines.slice(-3)).toEqual(['', "Use 'pgbackrest help [command]' for more information.", '']);
    expect(lines.filter(line => /^ {4}[a-z]/.test(line))).toHaveLength(20 + 1);
    expect(help('help')).not.toMatch(/repo-put|repo-rm|manifest/);
    expect(help()).toBe(help('help'));
  });
});

describe('help for a command', () => {
  test('has title, text and options by section', () => {
    const text = help('--no-config', 'help', 'backup');
    expect(text.startsWith("pgBackRest 2.59.1 - 'backup' command help\n\nBack up a cluster.\n\n")).toBe(true);
    expect(text.match(/^\w+ Options:$/gm)).toEqual([
      'Command Options:',
      'General Options:',
      'Log Options:',
      'Maintainer Options:',
      'Repository Options:',
      'Stanza Options:',
    ]);
    expect(text).toMatch(/^ {2}--type +how much to back up \[default=incr\]$/m);
    expect(text).toMatch(/^ {2}--pg-path +data directory of the cluster$/m);
    expect(text).toMatch(/^Use 'pgbackrest help backup \[option\]' for more information\.$/m);
  });

  test('hides internal options', () => {
    expect(help('--no-config', 'help', 'backup')).not.toMatch(/--(job-retry|pg-local|repo-local|exec-id|beta) /);
    expect(help('--no-config', 'help', 'repo-ls')).not.toMatch(/--stanza /);
    expect(help('--no-config', 'help', 'restore')).not.toMatch(/--spool-path /);
  });

  test('shows what is configured, but no secret', () => {
    const file = config(
      '[global]\nrepo1-path=/one\nrepo2-path=/two\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\nrepo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass=hunter3\ncompress-type=lz4\nexclude=a\nexclude=b\n',
    );
    const text = help(file, 'help', 'backup');
    expect(text).toContain('[current=lz4, default=gz]');
    expect(text).toMatch(/--compress-level +compression level \[default=1\]/);
    expect(text).toMatch(/--exclude +leave out a path \[current=a, b\]/);
    expect(text).toMatch(/--repo-path .*\n +\[current=<multi>,/);
    expect(text).toContain('current=<redacted>');
    expect(text).not.toContain('hunter');
  });

  test('keeps to 80 columns', () => {
    for (const command of commandNames) {
      for (const line of help(...noFile(command), 'help', command).split('\n')) {
        expect(line.length, `${command}: ${line}`).toBeLessThanOrEqual(80);
      }
    }
  });
});

describe('help for an option', () => {
  test('has text, values and old names', () => {
    const file = config('[global]\nrepo1-path=/one\nrepo3-path=/three\n');
    expect(help(file, 'help', 'backup', 'repo-path')).toBe(
      [
        "pgBackRest 2.59.1 - 'backup' command - 'repo-path' option help",
        '',
        'Directory of the repository.',
        '',
        'Where backups and WAL are kept, on the host of the repository or inside the',
        'bucket or container.',
        '',
        'current:',
        '  repo1: /one',
        '  repo3: /three',
        'default: /var/lib/pgbackrest',
        '',
        'deprecated name: repo-path',
        '',
      ].join('\n'),
    );
  });

  test('differs by command', () => {
    expect(help('--no-config', 'help', 'restore', 'type')).toContain('default: default\n');
    expect(help('--no-config', 'help', 'backup', 'type')).toContain('default: incr\n');
    expect(help('--no-config', 'help', 'info', 'type')).not.toContain('default:');
  });

  test('does not show a secret', () => {
    const file = config('[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\n');
    expect(help(file, 'help', 'backup', 'repo-cipher-pass')).toContain('\ncurrent: <redacted>\n');
  });

  test('is there for every option of every command', () => {
    for (const command of commandNames) {
      for (const name of optionNames.filter(option => optionIsValid(option, command, 'main'))) {
        const [title, ...lines] = help(...noFile(command), 'help', command, name).split('\n');
        expect(title).toBe(`pgBackRest 2.59.1 - '${command}' command - '${name}' option help`);
        for (const line of lines.filter(one => !one.startsWith('deprecated name'))) {
          expect(line.length, line).toBeLessThanOrEqual(80);
        }
      }
    }
  });
});

test('a line is broken at spaces, a longer word stays whole', () => {
  expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc']);
  expect(wrap('aaaaaaa b', 5)).toEqual(['aaaaaaa', 'b']);
  expect(wrap('', 5)).toEqual(['']);
});
