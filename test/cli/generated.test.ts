import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from '../../src/base/error.ts';
import { generatedFiles } from '../../src/cli/generated.ts';
import { commandNames, commandRule, load } from '../../src/config/index.ts';
import { keyedName, optionNames, optionRule } from '../../src/config/table.ts';
import { config, program } from '../config/given.ts';

const root = join(import.meta.dirname, '../..');
const files = generatedFiles(root);

const present = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

for (const [path, content] of files) {
  test(`${path} is up to date (else: npm run generate)`, () => {
    expect(readFileSync(join(root, path), 'utf8')).toBe(content);
  });
}

describe('the sample configuration', () => {
  const sample = files.get('conf/pgbackrest.conf') ?? '';

  test('loads', () => {
    expect(load([config(sample), '--stanza=main', '--pg1-path=/x', 'backup'], {}, program)).toMatchObject({
      kind: 'run',
      warnings: [],
      afterBegin: { warnings: [], error: undefined },
    });
  });

  test('loads with every comment taken away that has a value', () => {
    const lines = [...sample.matchAll(/^#?([a-z0-9-]+=.+)$/gm)].map(match => match[1]);
    expect(lines.length).toBeGreaterThan(70);
    const all = config(['[main]', 'pg1-path=/x', ...lines.filter(line => !line?.startsWith('pg1-path'))].join('\n'));
    for (const command of commandNames.filter(name => !/^(help|version|server|server-ping)$/.test(name))) {
      const set = command === 'annotate' ? ['--set=x', '--annotation=a=b'] : [];
      expect(load([all, '--stanza=main', ...set, command], {}, program), command).toMatchObject({
        kind: 'run',
        warnings: [],
      });
    }
  });

  test('names every option once', () => {
    const names = [...sample.matchAll(/^#?([a-z0-9-]+)=/gm)].map(match => match[1]);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(140);
  });
});

describe('the man pages', () => {
  const [commandPage = '', configurationPage = ''] = ['man/pgbackstop.1', 'man/pgbackstop.conf.5'].map(path =>
    files.get(path),
  );
  const items = (page: string): string[] =>
    [...(page.split('.SH ENVIRONMENT')[0] ?? '').matchAll(/^\.TP\n\.B (.*)$/gm)].map(match =>
      (match[1] ?? '').replaceAll('\\-', '-'),
    );

  test('have every command and option, in one of the two', () => {
    const shown = optionNames.filter(name => optionRule(name).internal !== true);
    const onLine = shown.filter(name => optionRule(name).section === 'command-line');
    expect(items(commandPage)).toEqual([
      ...commandNames.filter(name => commandRule(name).internal !== true),
      ...onLine.map(name => `--${name}`),
    ]);
    for (const [kind, code] of Object.entries(errorCodes)) {
      expect(commandPage.replaceAll(/\s+/g, ' ').replaceAll('\\-', '-')).toMatch(new RegExp(`[ ,]${code} ${kind}[,.]`));
    }
    expect(items(configurationPage).sort()).toEqual(
      shown
        .filter(name => !onLine.includes(name))
        .map(name => keyedName(name, 1))
        .sort(),
    );
  });

  test.skipIf(!present('groff'))('are set by groff without a warning', () => {
    for (const path of ['man/pgbackstop.1', 'man/pgbackstop.conf.5']) {
      const { status, stderr } = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-z', path], {
        cwd: root,
        encoding: 'utf8',
      });
      expect({ path, status, stderr }).toEqual({ path, status: 0, stderr: '' });
    }
  });

  test.skipIf(!present('mandoc'))('are right for mandoc', () => {
    const paths = ['man/pgbackstop.1', 'man/pgbackstop.conf.5'];
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...paths], { cwd: root, encoding: 'utf8' });
    // a printed page has no date of its own
    expect(stdout.split('\n').filter(line => !line.includes('missing date'))).toEqual(['']);
  });
});
