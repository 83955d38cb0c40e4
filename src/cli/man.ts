/** The man pages and the sample configuration, printed from the tables (`npm run generate`). */
import { errorCodes } from '../base/error.ts';
import { commandNames, commandRule } from '../config/command.ts';
import type { OptionRule } from '../config/option.ts';
import { commandProse } from '../config/prose/command.ts';
import { type HelpSection, helpSection, optionProse } from '../config/prose/option.ts';
import { unbuiltNote } from '../config/prose/unbuilt.ts';
import { keyedName, type OptionName, optionNames, optionRule } from '../config/table.ts';
import { allowedText, commandText, formerOf, wrap } from './help.ts';

const shown = optionNames.filter(name => optionRule(name).internal !== true);

export function commandPage(): string {
  return page('PGBACKSTOP', 1, 'Back up and restore PostgreSQL', [
    section('NAME', ['pgbackstop, pgbackrest \\- back up and restore PostgreSQL clusters']),
    section('SYNOPSIS', ['.B pgbackrest', '[\\fIoptions\\fR] \\fIcommand\\fR [\\fIparameters\\fR]']),
    section('DESCRIPTION', [
      'Takes full, differential and incremental backups of running PostgreSQL clusters, archives their WAL, and',
      'restores them to any moment since. Repositories are those of pgBackRest (repository format 5): either program',
      'reads what the other wrote. Options come from the command line, from variables named',
      '\\fBPGBACKREST_\\fR\\fIOPTION\\fR, and from the configuration file, see',
      '.BR pgbackstop.conf (5).',
    ]),
    section(
      'COMMANDS',
      commandNames
        .filter(name => commandRule(name).internal !== true)
        .flatMap(name => item(name, [commandProse[name].summary, commandText(name)])),
    ),
    section('OPTIONS', [
      ...wrapped(
        'An option is given as --name=value or --name value, a boolean as --name or --no-name. --reset-name takes back what ' +
          'files and environment say. A name may be shortened as long as it is unique. Names of repository and cluster ' +
          'options carry a number, as in --repo1-path. All options of pgbackstop.conf(5) may be given, except secrets, which ' +
          'would show in the list of processes. These are for the command line only:',
      ),
      ...shown
        .filter(name => optionRule(name).section === 'command-line')
        .flatMap(name => item(`--${name}`, optionText(name))),
    ]),
    section('ENVIRONMENT', [
      ...item('PGBACKREST_OPTION', [
        'An option in capitals with _ for -, as in PGBACKREST_STANZA or PGBACKREST_REPO1_PATH. It counts more than the ' +
          'configuration file and less than the command line. A list is separated by colons.',
      ]),
    ]),
    section('EXIT STATUS', [
      '0 on success. 1 when archive\\-get finds no such segment, or repo\\-get \\-\\-ignore\\-missing no such file. 127 when files',
      'of the program are missing, as while it is upgraded: PostgreSQL then stops a recovery, and tries again to archive. From 25',
      'up: the number of the error, which its message shows in brackets:',
      '.PP',
      ...wrapped(
        `${Object.entries(errorCodes)
          .map(([kind, code]) => `${code} ${kind}`)
          .join(', ')}.`,
      ),
    ]),
    section('FILES', [
      ...item('/etc/pgbackrest/pgbackrest.conf, /etc/pgbackrest/conf.d/*.conf', ['Configuration.']),
      ...item('/var/log/pgbackrest/STANZA-COMMAND.log', ['Logs.']),
      ...item('/tmp/pgbackrest', ['Locks, and the files of stop.']),
    ]),
    section('EXAMPLES', [
      ...example('pgbackrest --stanza=main stanza-create', 'Once for each cluster.'),
      ...example(
        'pgbackrest --stanza=main --type=full backup',
        'Back up all of it; what retention no longer wants, expires.',
      ),
      ...example(
        'pgbackrest --stanza=main --delta --type=time --target="2026-11-21 12:00:00+00" --target-action=promote restore',
        'Bring a stopped cluster back to that moment. Recovery begins when PostgreSQL is started.',
      ),
    ]),
    section('SEE ALSO', ['.BR pgbackstop.conf (5)']),
  ]);
}

const headings: readonly (readonly [HelpSection, string])[] = [
  ['general', 'GENERAL OPTIONS'],
  ['log', 'LOG OPTIONS'],
  ['repository', 'REPOSITORY OPTIONS'],
  ['stanza', 'STANZA OPTIONS'],
  ['command', 'COMMAND OPTIONS'],
  ['maintainer', 'MAINTAINER OPTIONS'],
];

export function configurationPage(): string {
  const inFile = shown.filter(name => optionRule(name).section !== 'command-line');
  return page('PGBACKSTOP.CONF', 5, 'Configuration of pgbackstop', [
    section('NAME', ['pgbackstop.conf, pgbackrest.conf \\- configuration of pgbackstop']),
    section('DESCRIPTION', [
      'Lines are trimmed. A line that begins with # is a comment; elsewhere # and ; are ordinary characters. [name]',
      'begins a section, key=value sets an option. There is no quoting: a value is what stands between the first =',
      'and the end of the line. A key given several times in a section makes a list.',
      '.PP',
      'A command reads the sections [stanza:command], [stanza], [global:command] and [global]; the first that has an',
      'option counts, after command line and environment. Booleans are y or n. Sizes are bytes or take a unit (KiB,',
      'MiB, GiB, TiB, PiB), times are seconds or take one (ms, s, m, h, d, w).',
    ]),
    ...headings.map(([id, title]) =>
      section(
        title,
        inFile
          .filter(name => helpSection(name, '') === id)
          .flatMap(name => item(keyedName(name, 1), [...optionText(name), ...formerText(name)])),
      ),
    ),
    section('SEE ALSO', ['.BR pgbackstop (1)']),
  ]);
}

function optionText(name: OptionName): string[] {
  const prose = optionProse[name];
  const variations = Object.entries(prose.for ?? {}).map(
    ([command, other]) => `For ${command}: ${other.summary} ${other.help}`,
  );
  const note = unbuiltNote(name);
  return [
    `${prose.summary} ${prose.help}`,
    ...variations,
    ...(note === undefined ? [] : [note]),
    ...facts(optionRule(name)),
  ];
}

/** What values are allowed and which is the default, in one line each. */
function facts(rule: OptionRule): string[] {
  const allowed = allowedText(rule);
  const fallback = rule.default;
  const result = allowed === undefined ? [] : [allowed];
  if (typeof fallback === 'object') {
    result.push(
      `Default: ${Object.entries(fallback.by)
        .map(([word, value]) => `${word} ${value}`)
        .join(', ')}.`,
    );
  } else if (fallback !== undefined) {
    result.push(`Default: ${fallback === true ? 'y' : fallback === false ? 'n' : fallback}.`);
  }
  return result;
}

function formerText(name: OptionName): string[] {
  const former = formerOf(name);
  return former.length === 0 ? [] : [`Old names: ${former.join(', ')}.`];
}

function page(name: string, chapter: number, title: string, sections: readonly string[]): string {
  return [
    '.\\" Printed from the option table by "npm run generate"; changes made here will be lost.',
    `.TH ${name} ${chapter} "" "pgbackstop" "${title}"`,
    ...sections,
    '',
  ].join('\n');
}

function section(title: string, lines: readonly string[]): string {
  return [`.SH ${title}`, ...lines].join('\n');
}

function item(name: string, texts: readonly string[]): string[] {
  const [first = '', ...others] = texts.flatMap(text => text.split(/\n+/));
  return ['.TP', `.B ${roff(name)}`, ...wrapped(first), ...others.flatMap(text => ['.br', ...wrapped(text)])];
}

const example = (command: string, text: string): string[] => item(command, [text]);

const wrapped = (text: string): string[] => wrap(roff(text), 110).map(line => line.replace(/^([.'])/, '\\&$1'));

const roff = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');

/** What a first configuration usually needs, the rest as comments by section. */
export function sampleConfiguration(): string {
  const optional = shown.filter(name => optionRule(name).section !== 'command-line' && !/^(pg|repo)-path$/.test(name));
  const lines = [
    '# Sample configuration of pgbackstop, printed from the option table by "npm run generate".',
    '# Put it at /etc/pgbackrest/pgbackrest.conf, readable only by the user that takes backups.',
    '# man 5 pgbackstop.conf explains the format; "pgbackrest help COMMAND OPTION" explains an option.',
    '',
    '[global]',
    'repo1-path=/var/lib/pgbackrest',
    'repo1-retention-full=2',
    'start-fast=y',
    '',
    '# A section for each cluster; its name is the --stanza of the commands.',
    '#[main]',
    '#pg1-path=/var/lib/postgresql/15/main',
    '',
    '# All further options with their defaults.',
  ];
  for (const [id, title] of headings) {
    lines.push('', `# ${title.charAt(0)}${title.slice(1).toLowerCase()}`);
    for (const name of optional) {
      if (helpSection(name, '') !== id || /^(repo-retention-full|start-fast)$/.test(name)) continue;
      const { default: fallback, section: place } = optionRule(name);
      const value = fallback === undefined || typeof fallback === 'object' ? '' : fallback;
      const stanza = place === 'stanza' ? ' (in the section of a stanza)' : '';
      lines.push(...wrap(`${optionProse[name].summary}${stanza}`, 100).map(line => `# ${line}`));
      lines.push(`#${keyedName(name, 1)}=${value === true ? 'y' : value === false ? 'n' : value}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
