/** What `help` prints, from the tables of commands and options. */
import { type CommandName, commandNames, commandRule } from '../config/command.ts';
import { type DescribedValue, describeOption } from '../config/describe.ts';
import type { HelpRequest } from '../config/index.ts';
import { type OptionRule, redacted } from '../config/option.ts';
import { commandProse } from '../config/prose/command.ts';
import { type HelpSection, helpSection, proseFor } from '../config/prose/option.ts';
import { unbuiltCommands, unbuiltNote } from '../config/prose/unbuilt.ts';
import type { Resolved } from '../config/resolved.ts';
import { type OptionName, optionIsValid, optionNames, optionRule, ruleFor } from '../config/table.ts';

const width = 80;
const programName = 'pgbackrest';

/**
 * The text for a request, with its final newline.
 * @param title program and level, the beginning of the first line
 */
export function formatHelp(request: HelpRequest, title: string): string {
  const { command, option, resolved } = request;
  if (command === undefined || resolved === undefined) return generalHelp(title);
  const heading = `${title} - '${command}' command`;
  return option === undefined
    ? commandHelp(command, resolved, heading)
    : optionHelp(option, command, resolved, heading);
}

function generalHelp(title: string): string {
  const rows = commandNames
    .filter(name => commandRule(name).internal !== true)
    .map((name): Row => [name, listed(commandProse[name].summary)]);
  return [
    `${title} - General help`,
    '',
    'Usage:',
    `    ${programName} [options] [command]`,
    '',
    'Commands:',
    ...formatRows(rows, 4),
    '',
    more('[command]'),
    '',
  ].join('\n');
}

function commandHelp(command: CommandName, resolved: Resolved, heading: string): string {
  const prose = commandProse[command];
  const sections = new Map<HelpSection, Row[]>();
  for (const name of optionNames) {
    if (!optionIsValid(name, command, 'main') || ruleFor(name, command).internal === true) continue;
    const section = helpSection(name, command);
    const rows = sections.get(section) ?? [];
    sections.set(section, rows);
    const summary = listed(proseFor(name, command).summary);
    rows.push([`--${name}`, summary + summarise(describeOption(resolved, name))]);
  }
  const all = [...sections.values()].flat();
  const names = Math.max(0, ...all.map(([name]) => name.length));
  const blocks = [...sections]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([section, rows]) => [
      '',
      `${section[0]?.toUpperCase()}${section.slice(1)} Options:`,
      '',
      ...formatRows(rows, 2, names),
    ]);
  return [
    `${heading} help`,
    '',
    ...wrap(prose.summary, width),
    '',
    ...paragraphs(commandText(command)),
    ...blocks,
    ...(all.length === 0 ? [] : ['', more(`${command} [option]`)]),
    '',
  ].join('\n');
}

function optionHelp(name: OptionName, command: CommandName, resolved: Resolved, heading: string): string {
  const prose = proseFor(name, command);
  const values = describeOption(resolved, name);
  const facts = [
    ...factLines('current', values, value => value.current),
    ...factLines('default', values, value => value.fallback),
  ];
  const former = formerOf(name);
  return [
    `${heading} - '${name}' option help`,
    '',
    ...wrap(prose.summary, width),
    '',
    ...paragraphs(optionText(name, command)),
    ...(facts.length === 0 ? [] : ['', ...facts]),
    ...(former.length === 0 ? [] : ['', `deprecated name${former.length > 1 ? 's' : ''}: ${former.join(', ')}`]),
    '',
  ].join('\n');
}

/** What help says about a command below its summary. */
export function commandText(command: CommandName): string {
  const note = unbuiltCommands.includes(command) ? 'Not built yet: it ends with exit code 67.' : undefined;
  const text = withNote(commandProse[command].help, note);
  return withWarning(text, commandRule(command).internal === true);
}

function optionText(name: OptionName, command: CommandName): string {
  const rule = ruleFor(name, command);
  const { help } = proseFor(name, command);
  const text = withNote(withNote(help, allowedText(rule, help)), unbuiltNote(name));
  return withWarning(text, rule.internal === true);
}

/** What the table allows as value, unless the words for the option already say it. */
export function allowedText({ allow, range }: OptionRule, said = ''): string | undefined {
  if (range !== undefined) {
    const ranges = 'by' in range ? Object.entries(range.by) : [['', range] as const];
    return `Range: ${ranges.map(([word, [low, high]]) => `${word} ${low} to ${high}`.trimStart()).join('; ')}.`;
  }
  const words = said.split(/[^\w-]+/);
  return allow === undefined || allow.every(word => words.includes(word)) ? undefined : `Values: ${allow.join(', ')}.`;
}

/** The old names of an option, without the place of a number. */
export function formerOf(name: OptionName): readonly string[] {
  const names = new Set((optionRule(name).formerly ?? []).map(old => old.replace('?', '')));
  return [...names].filter(old => old !== name).sort();
}

/** ` [current=…, default=…]`, or nothing. */
function summarise(values: readonly DescribedValue[]): string {
  const current = same(values.map(value => value.current));
  const fallback = same(values.map(value => value.fallback));
  const parts = [
    ...(current === undefined ? [] : [`current=${current}`]),
    ...(fallback === undefined ? [] : [`default=${fallback}`]),
  ];
  return parts.length === 0 ? '' : ` [${parts.join(', ')}]`;
}

/** The value that all indexes share, `<multi>` when they differ. Whether secrets differ is nobody's business. */
function same(texts: readonly (string | undefined)[]): string | undefined {
  const [first] = texts;
  if (texts.includes(redacted)) return redacted;
  return texts.every(text => text === first) ? first : '<multi>';
}

function factLines(
  label: string,
  values: readonly DescribedValue[],
  pick: (value: DescribedValue) => string | undefined,
): string[] {
  const shared = same(values.map(pick));
  if (shared === undefined) return [];
  if (shared !== '<multi>') return [`${label}: ${shared}`];
  const lines = values.flatMap(value => {
    const text = pick(value);
    return text === undefined ? [] : [`  ${value.index}: ${text}`];
  });
  return [`${label}:`, ...lines];
}

type Row = readonly [name: string, text: string];

/** Two columns; long texts go on below their own beginning. */
function formatRows(
  rows: readonly Row[],
  indent: number,
  names = Math.max(...rows.map(([name]) => name.length)),
): string[] {
  const column = indent + names + 2;
  return rows.map(([name, text]) => {
    const lines = wrap(text, width - column).join(`\n${' '.repeat(column)}`);
    return `${' '.repeat(indent)}${name.padEnd(names + 2)}${lines}`;
  });
}

/** A summary as it stands in a list: no full stop, a small first letter unless the word is a name or all capitals. */
export function listed(summary: string): string {
  const text = summary.replace(/\.$/, '');
  const [word = ''] = text.split(' ');
  const isName = /^[A-Z].*[A-Z0-9]/.test(word) || word === 'Azure';
  return isName ? text : text.charAt(0).toLowerCase() + text.slice(1);
}

const withNote = (text: string, note: string | undefined): string => (note === undefined ? text : `${text}\n\n${note}`);

const withWarning = (text: string, internal: boolean): string =>
  internal ? `${text}\n\nThis is for use by the program itself and by tests; it may change without notice.` : text;

const paragraphs = (text: string): string[] => text.split('\n').flatMap(line => wrap(line, width));

const more = (what: string): string => `Use '${programName} help ${what}' for more information.`;

/** Breaks at spaces so that no line is longer than `columns`, except for a single longer word. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= columns) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}
