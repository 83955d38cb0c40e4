/** Executes the completion scripts: bash's as readline calls it, zsh's with the functions that display replaced. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseArguments } from '../../src/config/argv.ts';
import { commandNames, commandRule } from '../../src/config/command.ts';
import { keyedName, optionIsValid, optionNames, optionRule, ruleFor } from '../../src/config/table.ts';

const scripts = join(import.meta.dirname, '../../conf/completion');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'completion-'));
  mkdirSync(join(folder, 'conf.d'));
  mkdirSync(join(folder, 'a directory'));
  writeFileSync(join(folder, 'pgbackrest.conf'), '[global]\nrepo1-path=/x\n[demo]\npg1-path=/x\n[global:backup]\n');
  writeFileSync(join(folder, 'conf.d/more.conf'), '[other:backup]\n[demo:archive-push]\n[last]');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a script and returns its lines, one list for each of the separated parts. */
function run(shell: string, args: readonly string[], script: string): string[][] {
  const { status, stdout, stderr } = spawnSync(shell, [...args, '-c', script], { encoding: 'utf8', cwd: folder });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout
    .split('--end--\n')
    .slice(0, -1)
    .map(part => part.split('\n').slice(0, -1));
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

const printReplies = `printf '%s\\n' "\${COMPREPLY[@]}"; echo --end--`;

/** What bash offers at the end of each line: the replies, and then what they ask of readline. */
function bash(...lines: string[]): string[][] {
  const cases = lines.map(line => {
    // readline's parts: blanks separate, '=' and ':' are words of their own
    const words = line.split(' ').flatMap(word => word.split(/([=:]+)/).filter(part => part !== ''));
    if (line.endsWith(' ')) words.push('');
    const texts = words.map(quote).join(' ');
    return `COMP_WORDS=(${texts}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _pgbackstop; ${printReplies}`;
  });
  // outside of readline there is no completion whose options could be set
  const script = `unset \${!PGBACKREST_*}; source ${quote(join(scripts, 'pgbackstop.bash'))}; compopt() { echo "$*"; }\n${cases.join('\n')}`;
  return run('bash', ['--noprofile', '--norc'], script).map(replies => replies.filter(reply => reply !== ''));
}

const one = (line: string): string[] => bash(line)[0] ?? [];

const zsh = spawnSync('zsh', ['--version']).status === 0 ? 'zsh' : undefined;

/** What zsh offers at the end of each line, without the descriptions. */
function zshOffers(...lines: string[]): string[][] {
  const cases = lines.map(line => {
    const words = line.split(' ');
    return `words=(${words.map(quote).join(' ')}); CURRENT=$#words; PREFIX=$words[-1]; IPREFIX=''; source ${quote(join(scripts, '_pgbackstop'))}; echo --end--`;
  });
  const displays = [
    'unset -m "PGBACKREST_*"',
    // the options that zsh sets for functions of completion, as far as they matter
    'setopt extended_glob bare_glob_qual no_aliases glob_complete',
    `_describe() { local name; for name in "$@"; do [[ $name == (options|choices|valued|switches) ]] && print -rl -- \${(@P)name}; done }`,
    '_files() { print -r -- files "$@" }',
    '_message() { print -r -- "message $*" }',
  ];
  return run('zsh', ['-f'], `${displays.join('\n')}\n${cases.join('\n')}`).map(offers =>
    offers.map(offer => offer.replace(/:.*/, '')),
  );
}

/** The option names that a command line may have, by the table. */
const valid = (command: (typeof commandNames)[number]) =>
  optionNames.filter(
    name =>
      optionIsValid(name, command, 'main') &&
      ruleFor(name, command).internal !== true &&
      optionRule(name).secret !== true,
  );

const listedCommands = commandNames.filter(name => commandRule(name).internal !== true);

describe('bash', () => {
  test('offers commands', () => {
    expect(one('pgbackstop ')).toEqual(listedCommands);
    expect(one('pgbackrest stanza-c')).toEqual(['stanza-create']);
    expect(one('pgbackrest --stanza=x --delta --type full --repo1-path /x --no-online --backup-standby bac')).toEqual([
      'backup',
    ]);
    expect(one('pgbackrest --target=12:00:00 rest')).toEqual(['restore']);
    expect(one('pgbackrest help sto')).toEqual(['stop']);
  });

  test('offers every option that a command has, and each is one that the program accepts', () => {
    const runnable = commandNames.filter(name => name !== 'help');
    const offers = bash(...runnable.map(command => `pgbackrest ${command} --`));
    runnable.forEach((command, at) => {
      const names = valid(command).map(name => `--${keyedName(name, 1)}`);
      const offered = (offers[at] ?? []).filter(option => !/^--(no|reset)-$/.test(option));
      expect(offered.map(option => option.replace(/=$/, '')).sort(), command).toEqual(names.sort());
      for (const option of offered) {
        const { given } = parseArguments([command, option.endsWith('=') ? `${option}x` : option]);
        expect([...given.names()], option).toHaveLength(1);
      }
    });
  });

  test('offers the forms with --no- and --reset- that the program accepts', () => {
    const [negated = [], reset = [], secret] = bash(
      'pgbackrest backup --no-',
      'pgbackrest backup --reset-repo2-',
      'pgbackrest backup --repo1-cipher-pa',
    );
    expect(negated).toEqual(
      expect.arrayContaining(['--no-delta', '--no-config', '--no-backup-standby', '--no-online']),
    );
    expect(negated).not.toContain('--no-force');
    expect(reset).toEqual(expect.arrayContaining(['--reset-repo2-path', '--reset-repo2-bundle']));
    for (const option of [...negated, ...reset]) expect(() => parseArguments([option, 'backup']), option).not.toThrow();
    expect(secret).toEqual([]);
    expect(one('pgbackrest backup --res')).toEqual(['--resume', '--reset-']);
  });

  test('takes the number of a repository or cluster from what is typed', () => {
    expect(one('pgbackrest expire --repo12-retention-f')).toEqual([
      '--repo12-retention-full=',
      '--repo12-retention-full-type=',
    ]);
    expect(one('pgbackrest backup --pg2-pa')).toEqual(['-o nospace', '--pg2-path=']);
    expect(one('pgbackrest backup --repo-bu')).toEqual([]);
  });

  test('leaves no blank behind an option that waits for its value', () => {
    expect(one('pgbackrest backup --ty')).toEqual(['-o nospace', '--type=']);
    expect(one('pgbackrest backup --start')).toEqual(['--start-fast']);
  });

  test('offers the words that an option allows for the command, in both forms', () => {
    expect(one('pgbackrest backup --type=')).toEqual(['full', 'diff', 'incr']);
    expect(one('pgbackrest restore --type t')).toEqual(['time']);
    expect(one('pgbackrest --output=n')).toEqual(['none', 'num']);
    expect(one('pgbackrest verify --output=')).toEqual(['none', 'text']);
    expect(one('pgbackrest backup --repo3-type=s')).toEqual(['s3', 'sftp']);
    expect(one('pgbackrest backup --delta=')).toEqual(['n', 'y']);
    expect(one('pgbackrest backup --backup-standby=')).toEqual(['n', 'prefer', 'y']);
    expect(one('pgbackrest backup --process-max=')).toEqual([]);
    for (const name of optionNames) {
      const rule = optionRule(name);
      if (rule.allow === undefined || rule.for !== undefined || rule.internal === true) continue;
      expect(one(`pgbackrest --${keyedName(name, 1)}=`), name).toEqual(rule.allow);
    }
  });

  test('where readline does not part words at "=", a reply is the whole word', () => {
    const script = [
      `source ${quote(join(scripts, 'pgbackstop.bash'))}`,
      "COMP_WORDBREAKS=' '; COMP_WORDS=(pgbackrest backup --type=); COMP_CWORD=2; _pgbackstop",
    ];
    const replies = run('bash', ['--norc'], `${script.join('\n')}\n${printReplies}`);
    expect(replies).toEqual([['--type=full', '--type=diff', '--type=incr']]);
  });

  test('offers stanzas of the configuration files', () => {
    const [all, begun, file, path, missing] = bash(
      `pgbackrest --config-path=${folder} --stanza=`,
      `pgbackrest --config-path=${folder} backup --stanza l`,
      `pgbackrest --config=${folder}/pgbackrest.conf --stanza=`,
      `pgbackrest --config=${folder}/pgbackrest.conf --config-include-path=${folder}/conf.d --stanza=`,
      `pgbackrest --config=${folder}/none --stanza=`,
    );
    expect(all).toEqual(['demo', 'other', 'demo', 'last']);
    expect(begun).toEqual(['last']);
    expect(file).toEqual(['demo']);
    expect(path).toEqual(all);
    expect(missing).toEqual([]);
  });

  test('offers files and directories', () => {
    expect(one('pgbackrest --config=pgb')).toEqual(['-o filenames', 'pgbackrest.conf']);
    expect(one('pgbackrest backup --repo1-path=').sort()).toEqual(['-o filenames', 'a directory', 'conf.d']);
    expect(one('pgbackrest archive-push pg')).toEqual(['-o filenames', 'pgbackrest.conf']);
    expect(one('pgbackrest archive-get 000000010000000000000001 pg')).toEqual(['-o filenames', 'pgbackrest.conf']);
    expect(one('pgbackrest archive-get pg')).toEqual([]);
  });

  test('offers option names, secrets too, after help and a command', () => {
    expect(one('pgbackrest help backup repo-cipher')).toEqual(['repo-cipher-pass', 'repo-cipher-type']);
    expect(one('pgbackrest help backup pg-pa')).toEqual(['pg-path']);
    expect(one('pgbackrest help version ')).toEqual(['output']);
    expect(one('pgbackrest help backup delta ')).toEqual([]);
  });

  test('is registered for both names', () => {
    const script = `source ${quote(join(scripts, 'pgbackstop.bash'))}; complete -p pgbackstop pgbackrest; echo --end--`;
    expect(run('bash', ['--norc'], script)).toEqual([
      ['complete -F _pgbackstop pgbackstop', 'complete -F _pgbackstop pgbackrest'],
    ]);
  });
});

describe.skipIf(zsh === undefined)('zsh', () => {
  test('the script is well-formed and for both names', () => {
    run('zsh', ['-f', '-n'], `source ${quote(join(scripts, '_pgbackstop'))}`);
    const { status, stderr } = spawnSync('zsh', ['-n', join(scripts, '_pgbackstop')], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('offers what bash offers', () => {
    const lines = [
      'pgbackrest ',
      'pgbackrest --delta --type full --target=12:00:00 ',
      ...commandNames.map(command => `pgbackrest ${command} --`),
      'pgbackrest backup --no-',
      'pgbackrest backup --reset-repo2-',
      'pgbackrest expire --repo12-',
      'pgbackrest restore --type=',
      'pgbackrest restore --type ',
      'pgbackrest --output=',
      'pgbackrest backup --delta=',
      `pgbackrest --config-path=${folder} --stanza=`,
      'pgbackrest help restore ',
      'pgbackrest help backup delta ',
    ];
    const plain = (offers: readonly string[] = []): string[] =>
      [...new Set(offers.filter(offer => !offer.startsWith('-o ')).map(offer => offer.replace(/=$/, '')))].sort();
    const inZsh = zshOffers(...lines);
    const inBash = bash(...lines);
    lines.forEach((line, at) => {
      // readline is given only what begins like the word; zsh selects by itself
      const begun = /^-|^$/.test(line.split(' ').at(-1) ?? '') ? (line.split(' ').at(-1) ?? '') : '';
      const own = plain(inZsh[at]).filter(offer => begun.includes('=') || offer.startsWith(begun));
      expect(own, line).toEqual(plain(inBash[at]));
    });
    expect(inZsh[0]).toHaveLength(listedCommands.length);
  });

  test('asks for files and directories', () => {
    expect(zshOffers('pgbackrest --config=', 'pgbackrest --repo1-path=', 'pgbackrest archive-push ')).toEqual([
      ['files'],
      ['files -/'],
      ['files'],
    ]);
    expect(zshOffers('pgbackrest --process-max=')).toEqual([['message value']]);
  });
});
