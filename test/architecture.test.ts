import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importsOf, layers, violations } from './support/architecture.ts';

const source = join(import.meta.dirname, '../src');

describe('the source tree', () => {
  const names = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'));
  const files = new Map(names.map(name => [name, readFileSync(join(source, name), 'utf8')]));

  test('is found', () => {
    expect(files.size).toBeGreaterThan(10);
    expect([...files].flatMap(([, text]) => importsOf(text)).length).toBeGreaterThan(files.size);
  });

  test('has no arrow that points up', () => {
    expect(violations(files)).toEqual([]);
  });
});

describe('the table of layers', () => {
  test('lists every layer above those it may import', () => {
    const order = Object.keys(layers);
    for (const [name, { layers: below }] of Object.entries(layers)) {
      for (const lower of below) {
        expect(order.indexOf(lower.replace(' (types)', '')), `${name} -> ${lower}`).toBeGreaterThan(
          order.indexOf(name),
        );
      }
    }
  });
});

describe('the checker', () => {
  const cases: [name: string, file: string, text: string, complaint: string | undefined][] = [
    ['an arrow down', 'repo/label.ts', "import { now } from '../base/clock.ts';", undefined],
    [
      'an arrow up',
      'base/clock.ts',
      "import { readManifest } from '../repo/manifest/read.ts';",
      'base must not import repo',
    ],
    ['a lazy arrow up', 'codec/step.ts', "await import('../storage/pump.ts')", 'codec must not import storage'],
    ['a re-export that points up', 'base/all.ts', "export * from '../cli/main.ts';", 'base must not import cli'],
    [
      'an import over several lines',
      'base/a.ts',
      "import {\n  a,\n  b,\n} from '../codec/step.ts';",
      'base must not import codec',
    ],
    ['a type that points up', 'config/a.ts', "import type { A } from '../repo/a.ts';", 'config must not import repo'],
    ['a type where types are allowed', 'postgres/a.ts', "import type { S } from '../storage/storage.ts';", undefined],
    [
      'a value there',
      'postgres/a.ts',
      "import { S } from '../storage/storage.ts';",
      'postgres may import only types from storage',
    ],
    [
      'a sibling command',
      'command/backup/a.ts',
      "import { b } from '../restore/plan.ts';",
      "command 'backup' must not import command 'restore'",
    ],
    ['the ground commands share', 'command/backup/a.ts', "import { b } from '../session.ts';", undefined],
    ['the list of commands', 'command/index.ts', "import('./backup/index.ts')", undefined],
    ['a package of the layer', 'postgres/client.ts', "import pg from 'pg';", undefined],
    ['a package of another layer', 'repo/a.ts', "import { Client } from 'pg';", "repo must not use the package 'pg'"],
    [
      'a file of a package',
      'base/a.ts',
      "import x from '@scope/name/file';",
      "base must not use the package '@scope/name'",
    ],
    ['a require', 'storage/a.ts', "const lz4 = require('lz4');", "storage must not use the package 'lz4'"],
    [
      'a test',
      'base/a.ts',
      "import { a } from '../../test/support/a.ts';",
      "imports '../test/support/a.ts' from outside src",
    ],
    ['a file of no layer', 'stray.ts', "import 'node:fs';", "'stray.ts' belongs to no layer"],
    ['a folder of no layer', 'utils/a.ts', "import 'node:fs';", "'utils/a.ts' belongs to no layer"],
    ['Node itself', 'base/a.ts', "import { join } from 'node:path';", undefined],
  ];

  test.each(cases)('judges %s', (_name, file, text, complaint) => {
    const found = violations(new Map([[file, text]]));
    expect(found).toHaveLength(complaint === undefined ? 0 : 1);
    expect(found[0] ?? '').toContain(complaint ?? '');
  });
});
