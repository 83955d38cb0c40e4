/** Backups from a standby, ours and the real tool's: the same, and each can be restored and continued by the other. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Target } from '../support/cluster.ts';
import { requireCompat } from '../support/real-pgbackrest.ts';
import { createStandbyPair, type StandbyPair } from '../support/standby-pair.ts';
import type { Tool } from '../support/stanza.ts';
import { unprivilegedUser } from '../support/unprivileged.ts';
import { type RunnableProject, runnableProject } from '../support/unprivileged-project.ts';
import { binaries, canCompare, comparableInfo } from './support.ts';

describe.runIf(canCompare)('backups from a standby', () => {
  let project: RunnableProject;
  let ours: Tool;
  let real: Tool;
  let pair: StandbyPair;
  beforeAll(async () => {
    project = runnableProject(unprivilegedUser());
    ours = project.command;
    real = [requireCompat()?.path ?? ''];
    // the default of the level of compression on the way is another one since 2.45
    const options = { 'backup-standby': 'y', 'compress-type': 'zst', 'compress-level-network': 3 };
    pair = await createStandbyPair(real, options, binaries);
  });
  afterAll(async () => {
    await pair?.dispose();
    project?.remove();
  });

  interface Made {
    readonly label: string;
    readonly lines: readonly string[];
    readonly manifest: string;
  }

  async function backup(tool: Tool, type: string): Promise<Made> {
    pair.archiver.use(pair.stanza, tool);
    const output = await pair.stanza.run(
      tool,
      'backup',
      `--type=${type}`,
      ...['--log-level-console=detail', '--no-log-timestamp', '--no-expire-auto'],
    );
    const label = /new backup label = (\S+)/.exec(output)?.[1] ?? '';
    const path = join(pair.stanza.repo, 'backup', 'demo', label, 'backup.manifest');
    return { label, lines: output.split('\n'), manifest: readFileSync(path, 'utf8') };
  }

  /** Messages at info, without what differs from backup to backup. */
  const messages = ({ lines }: Made): string[] =>
    lines
      .filter(line => / INFO: (?!backup command begin)/.test(line))
      .map(line =>
        line
          // words that 2.59.1 does not say any more
          .replace('non-exclusive ', '')
          // whether a segment was begun before the backup is chance
          .replace('prior segment', 'segment')
          .replace(/[0-9A-F]{24}/g, 'WAL')
          .replace(/[0-9A-F]+\/[0-9A-F]+/g, 'LSN')
          .replace(/\d{8}-\d{6}[\w-]*/g, 'LABEL')
          .replace(/(?<=size = |total = )\S+/g, 'N'),
      );

  /** Where each file was copied from: `01 PATH` for the primary, `0n PATH` for the standby. */
  const sources = ({ lines }: Made): string[] =>
    lines
      .flatMap(line => {
        const [, worker, path] = /^P(\d+) DETAIL: backup file (\S+) \(/.exec(line) ?? [];
        return worker === undefined ? [] : `${worker === '01' ? '01' : '0n'} ${path}`;
      })
      .sort();

  /** Lines of some sections of a manifest. */
  const sections = ({ manifest }: Made, pattern: RegExp): string[] =>
    manifest.split(/^(?=\[)/m).filter(section => pattern.test(section));

  async function expectRestored(tool: Tool, label: string, target: Target): Promise<void> {
    const restored = await pair.stanza.restore(tool, [
      `--set=${label}`,
      `--tablespace-map-all=${pair.stanza.folder}/spaces-${label}`,
      '--type=name',
      `--target=${target.name}`,
      '--target-action=promote',
    ]);
    await restored.start();
    await restored.waitFor('select not pg_is_in_recovery()');
    expect(await restored.fingerprint()).toBe(target.fingerprint);
    expect(await restored.value('select sum(n)::int from spaced')).toBe(200_010_000);
    expect(await restored.checkAmcheck()).toMatchObject({ passed: true });
    await restored.stop();
    expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
  }

  let full: Made;
  let theirs: Made;
  test('say the same, read the same files from the same side, and have the same manifest', async () => {
    full = await backup(ours, 'full');
    theirs = await backup(real, 'full');
    expect(messages(full)).toEqual(messages(theirs));
    expect(sources(full)).toEqual(sources(theirs));
    expect(sources(full).filter(line => line.startsWith('01')).length).toBeGreaterThan(5);
    for (const pattern of [/^\[backup:option\]/, /^\[backup:target\]/, /^\[db\]/, /^\[target:path/, /^\[metadata\]/]) {
      expect(sections(full, pattern), String(pattern)).toEqual(sections(theirs, pattern));
    }
    expect(full.manifest).toContain('\noption-backup-standby=true\n');
    const names = (made: Made): string[] =>
      sections(made, /^\[target:file\]/)
        .join()
        .split('\n')
        .map(line => line.split('=')[0] ?? '');
    expect(names(full)).toEqual(names(theirs));
  });

  test('are restored and continued by the other tool, under load', async () => {
    const load = await pair.primary.startLoad(1);
    const incr = await backup(ours, 'incr');
    expect(incr.label).toContain(theirs.label);
    const one = await pair.archiver.markTarget('one');
    const next = await backup(real, 'incr');
    expect(next.label).toContain(theirs.label);
    const last = await backup(ours, 'incr');
    const two = await pair.archiver.markTarget('two');
    await load.stop();
    await expectRestored(real, incr.label, one);
    await expectRestored(real, full.label, one);
    await expectRestored(ours, last.label, two);
    const said = await pair.stanza.run(real, 'info', '--output=json');
    expect(comparableInfo(await pair.stanza.run(ours, 'info', '--output=json'))).toEqual(comparableInfo(said));
  });
});
