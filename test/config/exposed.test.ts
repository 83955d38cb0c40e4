/** Configuration files that every user can read, with secrets in them. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exposureWarnings, load } from '../../src/config/index.ts';

const root = mkdtempSync(join(tmpdir(), 'exposed-'));
const main = join(root, 'conf/main.conf');
const more = join(root, 'conf/more');
beforeAll(() => {
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'conf/more'), { recursive: true });
});
afterAll(() => rmSync(root, { recursive: true }));

const pass = 'repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=hunter2\n';

function write(path: string, content: string, mode: number): void {
  rmSync(path, { force: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

/** @param files modes, and what is in `[global]` */
function warnings(
  files: { readonly main?: [number, string]; readonly more?: [number, string] },
  argv: readonly string[] = ['backup'],
  path = main,
): string[] {
  write(main, `[demo]\npg1-path=/pg\n[global]\n${files.main?.[1] ?? ''}`, files.main?.[0] ?? 0o640);
  write(join(more, 'more.conf'), `[global]\n${files.more?.[1] ?? ''}`, files.more?.[0] ?? 0o640);
  const loaded = load([`--config=${path}`, `--config-include-path=${more}`, '--stanza=demo', ...argv], {}, '/x');
  if (loaded.kind !== 'run') throw new TypeError('not a command to run');
  return exposureWarnings(loaded.settings, loaded.places);
}

test('are named, with what to do', () => {
  expect(warnings({ main: [0o644, pass] })).toEqual([
    `every user of this host can read the secrets in configuration file '${main}'\n` +
      `HINT: chmod 640 ${main}\n` +
      'HINT: the user that runs pgbackrest must be the owner of the file, or in its group.',
  ]);
});

test('are one warning, also when there are several', () => {
  const text = warnings({ main: [0o604, pass], more: [0o666, 'repo2-s3-token=hunter3\n'] }).join('\n\n');
  expect(text).toContain(`'${main}' and '${more}/more.conf'\nHINT: chmod 640 ${main} ${more}/more.conf\n`);
  expect(text).not.toMatch(/hunter|\n\n/);
});

test('are told of through a link', () => {
  const link = join(root, 'link.conf');
  symlinkSync(main, link);
  expect(warnings({ main: [0o644, pass] }, ['expire'], link).join()).toContain(`'${link}'`);
});

test('a link is as open as the folders of the file that it leads to', () => {
  const closed = join(root, 'closed');
  mkdirSync(closed, { mode: 0o700 });
  const [inClosed, inOpen] = [join(closed, 'link.conf'), join(root, 'to-closed.conf')];
  symlinkSync(main, inClosed);
  expect(warnings({ main: [0o644, pass] }, ['expire'], inClosed)).toHaveLength(1);
  write(join(closed, 'real.conf'), `[demo]\npg1-path=/pg\n[global]\n${pass}`, 0o644);
  symlinkSync(join(closed, 'real.conf'), inOpen);
  expect(warnings({}, ['expire'], inOpen)).toEqual([]);
});

test.each<[string, string]>([
  ['of a command', '[global:archive-push]\nrepo1-cipher-pass=x\n'],
  ['of another stanza', '[other:backup]\nrepo2-s3-key-secret = x\n'],
  ['by an old name', 'repo-cipher-pass=x\n'],
  ['of a connection', 'recovery-option=primary_conninfo=host=db password=x\n'],
])('have secrets %s, too', (_, content) => expect(warnings({ main: [0o644, content] })).toHaveLength(1));

describe('nothing is told', () => {
  test.each<[string, number, string]>([
    ['of a file for owner and group', 0o640, pass],
    ['of a file that others can only write', 0o642, pass],
    ['of a file without secrets', 0o644, 'process-max=2\n# repo1-cipher-pass=x\nrepo1-s3-key-type=auto\n'],
  ])('%s', (_, mode, content) => expect(warnings({ main: [mode, content] })).toEqual([]));

  test('of a file in a folder that is closed to others', () => {
    chmodSync(root, 0o750);
    try {
      expect(warnings({ main: [0o644, pass] })).toEqual([]);
    } finally {
      chmodSync(root, 0o755);
    }
  });

  test.each([
    ['archive-push', 'x'],
    ['archive-get', '000000010000000000000001', 'x'],
    ['archive-push:async', 'x'],
    ['info'],
    ['repo-ls'],
    ['repo-get', 'x'],
    ['manifest'],
    ['check', '--report'],
  ])('by %s, whose output is for programs', (...argv) => {
    const spool = argv[0]?.startsWith('archive') ? `archive-async=y\nspool-path=${root}\n` : '';
    expect(warnings({ main: [0o644, pass + spool] }, argv)).toEqual([]);
  });
});
