import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import * as create from '../../../src/command/stanza/create.ts';
import * as upgrade from '../../../src/command/stanza/upgrade.ts';
import { encrypted, readStored } from '../../../src/repo/stored.ts';
import { openRepoStorage } from '../../../src/storage/drivers.ts';
import { type CommandResult, runCommand } from '../../support/command-run.ts';
import { infoFiles as files, writeControl } from './info-files.ts';

let root: string;

const contents = (): string[] => files.map(file => readFileSync(join(root, 'repo', file), 'latin1'));
const put = (index: number, content = ''): void =>
  writeFileSync(join(root, 'repo', files[index] ?? ''), content, 'latin1');

const encryption = { PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc', PGBACKREST_REPO1_CIPHER_PASS: 'sekret' };

const run = (name: 'stanza-create' | 'stanza-upgrade', environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> => {
  const args = [
    name,
    '--no-online',
    '--stanza=demo',
    `--pg1-path=${join(root, 'pg')}`,
    `--repo1-path=${join(root, 'repo')}`,
    `--lock-path=${join(root, 'lock')}`,
  ];
  return name === 'stanza-create' ? runCommand(create, args, environment) : runCommand(upgrade, args, environment);
};

const begun = "INFO: stanza-upgrade for stanza 'demo' on repo1";
const upToDate = "INFO: stanza 'demo' on repo1 is already up to date";
const again = (index: number) =>
  `INFO: '${join(root, 'repo', files[index] ?? '')}' was missing, damaged or old: written again from its copy`;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'upgrade-'));
});

afterEach(() => rmSync(root, { recursive: true }));

it.each([
  ['in the clear', {}, [0, 2, 1, 3]],
  ['encrypted', encryption, [0, 2, 1, 3]],
  ['in the order of the reference', {}, [0, 1, 2, 3]],
])('ends an upgrade that was stopped after any of its four files: %s', async (_, environment, order) => {
  for (let written = 0; written <= files.length; written++) {
    rmSync(join(root, 'repo'), { recursive: true, force: true });
    writeControl(root, '15');
    expect((await run('stanza-create', environment)).error).toBeUndefined();
    const before = contents();
    writeControl(root, '16');
    const first = await run('stanza-upgrade', environment);
    expect([first.log, first.error]).toEqual([[begun], undefined]);
    const upgraded = contents();
    for (const index of order.slice(written)) put(index, before[index]);
    const { log, error } = await run('stanza-upgrade', environment);
    expect(error).toBeUndefined();
    expect(log[0]).toBe(begun);
    expect(log.includes(upToDate)).toBe(written === files.length);
    const [archive, archiveCopy, backup, backupCopy] = contents();
    expect(archiveCopy, `after ${written} files`).toBe(archive);
    expect(backupCopy, `after ${written} files`).toBe(backup);
    // nothing is written twice, and the keys are those of the stanza
    if (written === files.length) expect(contents()).toEqual(upgraded);
    expect((await run('stanza-upgrade', environment)).log).toEqual([begun, upToDate]);
  }
});

it.each(['stanza-upgrade', 'stanza-create'] as const)(
  '%s: a copy that is missing, damaged or old is written again',
  async command => {
    writeControl(root, '15');
    expect((await run('stanza-create')).error).toBeUndefined();
    const old = contents();
    writeControl(root, '16');
    expect((await run('stanza-upgrade')).error).toBeUndefined();
    const wanted = contents();
    for (const index of files.keys()) {
      // the file itself is never the older one
      const wrong = [wanted[index]?.replace('"16"', '"14"'), ...(index % 2 === 1 ? [old[index]] : []), undefined];
      for (const content of wrong) {
        if (content === undefined) rmSync(join(root, 'repo', files[index] ?? ''));
        else put(index, content);
        const { log, error } = await run(command);
        expect(error).toBeUndefined();
        expect(log.slice(1)).toEqual([again(index)]);
        expect(contents()).toEqual(wanted);
      }
    }
  },
);

it('copies that hold the same are left as they are, however they are stored', async () => {
  writeControl(root, '15');
  expect((await run('stanza-create', encryption)).error).toBeUndefined();
  // one salt more: the same text, stored anew
  const storage = await openRepoStorage({ key: 1, type: 'posix', path: join(root, 'repo') });
  const text = await readStored(storage, `/${files[1]}`, 'sekret', 1e6);
  writeFileSync(join(root, 'repo', files[1] ?? ''), encrypted('sekret', text));
  const before = contents();
  expect(before[1]).not.toBe(before[0]);
  expect((await run('stanza-upgrade', encryption)).log).toEqual([begun, upToDate]);
  expect(contents()).toEqual(before);
});
