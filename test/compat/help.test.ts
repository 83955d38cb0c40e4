/** The words of help are our own; what is listed where, and which values it shows, is the real tool's. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { formatHelp } from '../../src/cli/help.ts';
import { type CommandName, commandNames, commandRule, load } from '../../src/config/index.ts';
import { optionIsValid, optionNames } from '../../src/config/table.ts';
import { config } from '../config/given.ts';
import { requireCompat, skipReason } from '../support/real-pgbackrest.ts';

const judge = requireCompat();
if (judge === undefined) console.log(skipReason);
const real = judge?.path ?? 'pgbackrest';

const file = config(`[global]
repo1-path=/one
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=hunter2
repo1-retention-full=4
repo1-s3-key=hunter3
compress-type=lz4
compress-level=3
archive-async=y
buffer-size=512KiB
db-timeout=90
exclude=a
exclude=b/
link-map=a=/b
link-map=c=/d
tablespace-map=1=/t
process-max=3
log-level-console=detail
start-fast=y
[demo]
pg1-path=/pg
pg1-port=5433
`);
const environment = { PGBACKREST_STANZA: 'demo', PGBACKREST_LOG_PATH: '/logs' };

function ours(...args: readonly string[]): string {
  const loaded = load(args, environment, real);
  if (loaded.kind !== 'help') throw new Error(`expected help, got ${loaded.kind}`);
  return formatHelp(loaded.request, 'pgBackRest 2.59.1');
}

function theirs(...args: readonly string[]): string {
  const { status, stdout } = spawnSync(real, args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...environment },
  });
  expect(status, `${args}`).toBe(0);
  // current booleans are true and false there, defaults y and n; ours are y and n, as one writes them
  return stdout.replaceAll(/current(=|: )true\b/g, 'current$1y').replaceAll(/current(=|: )false\b/g, 'current$1n');
}

/** Option -> where it stands and what it is set to. */
function listed(help: string): ReadonlyMap<string, { readonly section: string; readonly current: string | undefined }> {
  const options = new Map<string, { section: string; current: string | undefined }>();
  for (const part of help.split(/^(?=\w+ Options:$)/m).slice(1)) {
    const [section = ''] = part.split(' ');
    for (const [, name = '', text = ''] of part.matchAll(/^ {2}--(\S+)\s+((?:.*\n)(?: {6}.*\n)*)/gm)) {
      const [, current] = /\[current=(.*?)(?:, default=.*)?\]$/.exec(text.trim().replaceAll(/\s+/g, ' ')) ?? [];
      options.set(name, { section, current });
    }
  }
  return options;
}

const given = (command: CommandName): string[] => (/^(help|version)$/.test(command) ? [] : [file]);
const shown = commandNames.filter(name => commandRule(name).internal !== true && name !== 'help');

describe.skipIf(judge === undefined)('help beside the real tool', () => {
  test('lists the same commands', () => {
    const names = (help: string) => [...help.matchAll(/^ {4}([a-z][a-z-]+) /gm)].map(match => match[1]);
    expect(names(ours('help'))).toEqual(names(theirs('help')));
  });

  test.each(shown)('%s: lists the options both have in the same sections with the same values', command => {
    const [mine, their] = [ours, theirs].map(help => listed(help(...given(command), 'help', command)));
    if (mine === undefined || their === undefined) throw new Error('no help');
    const both = [...their.keys()].filter(name => mine.has(name));
    expect(both.length).toBeGreaterThanOrEqual(command === 'version' ? 0 : 10);
    for (const name of both) {
      const expected = { ...their.get(name) };
      // it moved since 2.45
      if (name === 'archive-header-check') expected.section = 'Maintainer';
      expect({ name, ...mine.get(name) }).toEqual({ name, ...expected });
    }
    // 2.45 shows what later became internal, and has options for more commands
    const gone = [...their.keys()].filter(name => !mine.has(name) && !/^(stop-auto|repo-block-.*)$/.test(name));
    expect(gone.filter(name => !/^(cmd|db-timeout|stanza)$/.test(name))).toEqual([]);
  });

  test.each(['backup', 'restore'] as const)('%s: says of each option what it is and was called', command => {
    const facts = (help: string) => help.split('\n').filter(line => /^(current|deprecated names?):/.test(line));
    const text = theirs(...given(command), 'help', command);
    const names = optionNames.filter(
      name => optionIsValid(name, command, 'main') && text.includes(` --${name} `) && !/^repo-storage-/.test(name),
    );
    expect(names.length).toBeGreaterThan(70);
    for (const name of names) {
      const [mine = '', their = ''] = [ours, theirs].map(help => help(...given(command), 'help', command, name));
      expect({ name, facts: facts(mine) }).toEqual({ name, facts: facts(their) });
    }
  });
});
