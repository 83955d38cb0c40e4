/** What verify tells of files that the real tool's has no line for, though they may be all that is left one day. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { findProblem } from '../../../src/command/verify/timelines.ts';
import { parseTimelineHistory } from '../../../src/postgres/timeline.ts';
import { CommandBed } from '../../support/sweep/command-bed.ts';
import { forgeSegment } from '../archive/archive-bed.ts';

vi.mock('../../../src/parallel/pool.ts', () => import('../../support/one-thread-pool.ts'));

let bed: CommandBed;
beforeEach(async () => {
  bed = new CommandBed('verify');
  bed.configure({ 'repo1-retention-full': 2, 'compress-type': 'lz4' });
  await bed.run('stanza-create', ['--no-online']);
});
afterEach(() => bed.dispose());

const inRepo = (name: string): string => join(bed.repoPath(), name);

function flip(name: string, at = readFileSync(inRepo(name)).length >> 1): void {
  const bytes = readFileSync(inRepo(name));
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(inRepo(name), bytes);
}

async function push(name: string, content: Uint8Array | string): Promise<void> {
  const path = join(bed.root, name);
  writeFileSync(path, content);
  await bed.run('archive-push', [path]);
}

describe('one damaged copy of two is warned of, and all the rest is sound', () => {
  test.each(['archive.info', 'archive.info.copy', 'backup.info', 'backup.info.copy'])('%s', async file => {
    const name = `${file.split('.')[0]}/demo/${file}`;
    flip(name);
    const { log, output } = await bed.run('verify', ['--output=text']);
    expect(log).toEqual([
      `WARN: '${inRepo(name)}' is damaged: only the other of its two copies can be used\nHINT: the next backup writes both copies anew.`,
    ]);
    expect(output).toBe('');
  });

  test('that is not there is no damage', async () => {
    rmSync(inRepo('backup/demo/backup.info.copy'));
    expect((await bed.run('verify')).log).toEqual([]);
  });

  test('of a manifest', async () => {
    await bed.run('backup', ['--no-online', '--no-checksum-page']);
    const label = readdirSync(inRepo('backup/demo')).find(entry => /^\d{8}-/.test(entry)) ?? '';
    const manifest = `backup/demo/${label}/backup.manifest`;
    for (const [damaged, sound] of [
      [manifest, `${manifest}.copy`],
      [`${manifest}.copy`, manifest],
    ] as const) {
      const bytes = readFileSync(inRepo(damaged));
      flip(damaged);
      const { log, output } = await bed.run('verify', ['--output=text']);
      expect(log).toEqual([
        `WARN: '${inRepo(damaged)}' is damaged: only the other of its two copies can be used\n` +
          `HINT: copy '${inRepo(sound)}' over it, or make a new backup.`,
      ]);
      expect(output).toBe('');
      writeFileSync(inRepo(damaged), bytes);
    }
  });
});

test('a damaged partial segment is told of', async () => {
  const name = '000000010000000000000004.partial';
  await push(name, forgeSegment(name));
  expect((await bed.run('verify')).log).toEqual([]);
  const folder = 'archive/demo/15-1/0000000100000000';
  const [file = ''] = readdirSync(inRepo(folder));
  flip(`${folder}/${file}`);
  const { log, output } = await bed.run('verify', ['--output=text']);
  expect(log.join('\n')).toContain(`15-1/0000000100000000/${file}`);
  expect(output).toMatch(/^stanza: demo\nstatus: error\n/);
});

describe('a timeline history', () => {
  const [second, third] = ['1\t0/700000\tno reason\n', '1\t0/700000\tno reason\n\n2\t0/A00028\tno reason\n'];

  test.each([
    ['that is none', 'third', third.replace('2\t', 'x\t'), '00000003.history: [29] invalid history line'],
    ['that is not ordered', 'third', third.replace('2\t', '1\t'), '00000003.history: [29] timeline 1'],
    ['that leads elsewhere', 'second', second.replace('0/7', '0/6'), '00000003.history: [29] it does not go on'],
    ['that leads to itself', 'third', third.replace('2\t', '3\t'), '00000003.history: [29] timeline 3'],
  ])('%s', async (_, which, text, expected) => {
    await push('00000002.history', which === 'second' ? text : second);
    await push('00000003.history', which === 'third' ? text : third);
    const { log, output } = await bed.run('verify', ['--output=text']);
    expect(log[0]).toContain(`INFO: invalid result 15-1/${expected}`);
    expect(log).toHaveLength(2);
    expect(output).toBe('stanza: demo\nstatus: error\n');
  });

  test('is sound as PostgreSQL writes it, also where that of the timeline before is gone', async () => {
    await push('00000002.history', second);
    await push('00000003.history', third);
    await push('00000005.history', `${third}\n3\t0/B00000\tbefore 2026-11-21 02:09:56+00\n`);
    await push('00000006.history', '1\t0/300000\tback to the first\n');
    expect((await bed.run('verify')).log).toEqual([]);
    rmSync(inRepo('archive/demo/15-1/00000002.history'));
    expect((await bed.run('verify')).log).toEqual([]);
  });

  test('is sound where recovery to the latest timeline has ended before that one began', async () => {
    await push('00000002.history', '1\t0/4003930\tat restore point "B"\n');
    await push('00000003.history', '1\t0/4003930\tat restore point "B"\n\n2\t0/3016A20\tat restore point "A"\n');
    expect((await bed.run('verify')).log).toEqual([]);
  });

  test('of nothing is none', () => {
    expect(findProblem(2, parseTimelineHistory('# nothing\n'), new Map())?.message).toMatch(/no timeline/);
  });
});
