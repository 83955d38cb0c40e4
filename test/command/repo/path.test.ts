import { describe, expect, test } from 'vitest';
import { nameFilter } from '../../../src/command/repo/filter.ts';
import { repoPath } from '../../../src/command/repo/path.ts';

describe('paths in the repository', () => {
  test.for([
    ['', '/repo', ''],
    ['.', '/repo', ''],
    ['archive/demo', '/repo', '/archive/demo'],
    ['archive/demo/', '/repo', '/archive/demo'],
    ['/repo', '/repo', ''],
    ['/repo/', '/repo', ''],
    ['/repo/archive', '/repo', '/archive'],
    ['/archive', '/', '/archive'],
    ['/', '/', ''],
    ['a..b', '/repo', '/a..b'],
  ] as const)("'%s' in '%s'", ([given, base, path]) => {
    expect(repoPath(given, base)).toBe(path);
  });

  test.for(['//', 'a//b', '..', 'a/../b', '/repository', '/etc/passwd', '/repo/..'])("not '%s'", given => {
    expect(() => repoPath(given, '/repo')).toThrow(expect.objectContaining({ kind: 'param-invalid' }));
  });
});

describe('filters', () => {
  test.for([
    [undefined, 'anything', true],
    ['info$', 'archive.info', true],
    ['^info', 'archive.info', false],
    ['^[[:xdigit:]]{4}$', '00fF', true],
    ['^[[:upper:][:digit:]_]+$', 'A_1', true],
    ['^[^[:space:]]+$', 'a b', false],
    ['(gz|lz4)$', 'x.lz4', true],
  ] as const)('%s on %s', ([expression, name, matches]) => {
    expect(nameFilter(expression)(name)).toBe(matches);
  });

  test('that are none', () => {
    expect(() => nameFilter('[')).toThrow(expect.objectContaining({ kind: 'format' }));
  });
});
