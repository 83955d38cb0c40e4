import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as check from '../../../src/command/check/index.ts';
import { runCommand } from '../../support/command-run.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'check-'));
});

afterEach(() => rmSync(root, { recursive: true }));

const run = (config: string, ...args: string[]) => {
  writeFileSync(join(root, 'config'), config);
  return runCommand(check, ['check', `--config=${join(root, 'config')}`, ...args]);
};

const stanza = (name: string) => `[${name}]\npg1-path=${root}/${name}\npg1-socket-path=${root}\npg1-port=54321\n`;

describe('check without a server', () => {
  it('says which cluster cannot be asked, and that there is none', async () => {
    const { log, error } = await run(stanza('demo'), '--stanza=demo');
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/^WARN: unable to check pg1: \[DbConnectError\] unable to connect to /);
    expect(error).toMatchObject({
      kind: 'config',
      message: 'no database found',
      hints: ['check indexed pg-path/pg-host configurations'],
    });
  });

  it('without a stanza takes every one of the configuration, in order, and stops at the first failure', async () => {
    const { log, error } = await run(`[global]\nprocess-max=2\n${stanza('two')}${stanza('one')}[one:backup]\n`);
    expect(error?.message).toBe('no database found');
    expect(log[0]).toBe("INFO: check stanza 'one'");
    expect(log[1]).toContain('port=54321');
    expect(log).toHaveLength(2);
  });

  it('warns when there is no stanza to check', async () => {
    const { log, error } = await run('[global]\nrepo1-path=/nowhere\n');
    expect(error).toBeUndefined();
    expect(log).toEqual([
      'WARN: no stanzas found to check\nHINT: are there non-empty stanza sections in the configuration?',
    ]);
  });
});
