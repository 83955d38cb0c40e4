import { describe, expect, test } from 'vitest';
import { isKind } from '../../src/base/error.ts';
import { formatHelp, wrap } from '../../src/cli/help.ts';
import { commandModules } from '../../src/command/index.ts';
import { commandNames, load } from '../../src/config/index.ts';
import { optionIsValid, optionNames } from '../../src/config/table.ts';
import { openClusterStorage, openRepoStorage } from '../../src/storage/drivers.ts';
import { config, program } from '../config/given.ts';

function help(...args: string[]): string {
  const loaded = load(args, {}, program);
  if (loaded.kind !== 'help') throw new Error(`expected help, got ${loaded.kind}`);
  return formatHelp(loaded.request, 'pgBackRest 2.59.1');
}

/** Help and version read no configuration and refuse options about it. */
const noFile = (command: string): string[] => (/^(help|version)$/.test(command) ? [] : ['--no-config']);

test('help does not show the password of a connection', () => {
  const file = config('[global]\nrecovery-option=primary_conninfo=host=db password=hunter2\n');
  for (const option of [[], ['recovery-option']]) {
    const text = help(file, 'help', 'restore', ...option);
    expect(text).toMatch(/primary_conninfo=host=db\s+password=<redacted>/);
    expect(text).not.toContain('hunter2');
  }
});

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
      ].join('\n'),
    );
  });

  test('differs by command', () => {
    expect(help('--no-config', 'help', 'restore', 'type')).toContain('default: default\n');
    expect(help('--no-config', 'help', 'backup', 'type')).toContain('default: incr\n');
    expect(help('--no-config', 'help', 'info', 'type')).not.toContain('default:');
  });

  test('does not show a secret, nor whether two of them differ', () => {
    const file = config(
      '[global]\nrepo1-path=/1\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\nrepo2-path=/2\n',
    );
    const text = help(file, 'help', 'backup', 'repo-cipher-pass');
    expect(text).toContain('\ncurrent: <redacted>\n');
    expect(text).not.toContain('hunter');
    expect(help(file, 'help', 'backup')).toMatch(
      /--repo-cipher-pass +passphrase of the repository\n +\[current=<redacted>\]/,
    );
  });

  test('shows values of environment and command line too', () => {
    const loaded = load(
      ['--no-config', '--repo1-path=/arg', '--no-start-fast', '--annotation=a=b', '--annotation=c=d', 'help', 'backup'],
      { PGBACKREST_REPO1_PATH: '/env', PGBACKREST_STANZA: 'demo', PGBACKREST_EXCLUDE: 'x:y' },
      program,
    );
    if (loaded.kind !== 'help') throw new Error('expected help');
    const text = formatHelp(loaded.request, 'x').replaceAll(/\s+/g, ' ');
    expect(text).toContain('[current=/arg, default=/var/lib/pgbackrest]');
    expect(text).toContain('name of the stanza [current=demo]');
    expect(text).toContain('[current=x, y]');
    expect(text).toContain('[current=a=b, c=d]');
    expect(text).toContain('[current=n, default=n]');
  });

  test('says what is allowed, unless the words say it', () => {
    expect(help('--no-config', 'help', 'backup', 'process-max')).toContain('\n\nRange: 1 to 999.\n');
    expect(help('--no-config', 'help', 'backup', 'compress-level')).toContain('Range: bz2 1 to 9; gz -1 to 9;');
    expect(help('--no-config', 'help', 'backup', 'repo-cipher-type')).toContain('\n\nValues: none, aes-256-cbc.\n');
    expect(help('--no-config', 'help', 'backup', 'type')).not.toContain('Values:');
  });

  test('old names are without the place of a number, and without the name itself', () => {
    expect(help('--no-config', 'help', 'backup', 'pg-path')).toContain('\ndeprecated name: db-path\n');
    expect(help('--no-config', 'help', 'backup', 'repo-type')).not.toContain('deprecated');
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

describe('what is not built yet', () => {
  const note = /Not built yet/;

  test('is said of the commands that have no module, and of no other', () => {
    for (const command of commandNames) {
      const built = command === 'help' || command === 'version' || command in commandModules;
      expect(note.test(help(...noFile(command), 'help', command)), command).toBe(!built);
    }
  });

  test('is said of the kinds of storage that cannot be opened, and of no other', async () => {
    const text = help('--no-config', 'help', 'backup', 'repo-type').split('Not built yet: ')[1]?.split(';')[0] ?? '';
    for (const type of ['posix', 'cifs', 'azure', 'gcs', 's3', 'sftp'] as const) {
      const opens = await openRepoStorage({ key: 1, type, path: '/x' }).then(
        () => true,
        error => !isKind(error, 'feature-not-supported'),
      );
      expect(text.split(/\W+/).includes(type), type).toBe(!opens);
      const bucket = optionNames.find(name => name.startsWith(`repo-${type}-`));
      if (bucket !== undefined) expect(note.test(help('--no-config', 'help', 'backup', bucket)), bucket).toBe(!opens);
    }
  });

  test('is said of other hosts', async () => {
    for (const name of ['repo-host', 'pg-host', 'pg-host-cmd']) {
      expect(help('--no-config', 'help', 'backup', name)).toMatch(note);
    }
    await expect(openClusterStorage({ key: 1, host: 'db1' })).rejects.toThrow('not supported');
  });
});

test('a line is broken at spaces, a longer word stays whole', () => {
  expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc']);
  expect(wrap('aaaaaaa b', 5)).toEqual(['aaaaaaa', 'b']);
  expect(wrap('', 5)).toEqual(['']);
});
