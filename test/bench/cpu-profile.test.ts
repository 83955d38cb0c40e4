import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addUp, busyAndIdle, isMainThread, parseCpuProfile, selfTimes, topSelfTimes } from './cpu-profile.ts';

const frame = (functionName: string, url = '', lineNumber = -1) => ({ functionName, url, lineNumber });

describe('a profile of V8', () => {
  const profile = parseCpuProfile(
    JSON.stringify({
      nodes: [
        { id: 1, callFrame: frame('(root)') },
        { id: 2, callFrame: frame('(idle)') },
        { id: 3, callFrame: frame('work', 'file:///a/b/program.cjs', 9) },
        { id: 4, callFrame: frame('', 'node:fs', 0) },
        { id: 5, callFrame: frame('work', '/other/program.cjs', 9) },
      ],
      samples: [3, 2, 4, 5, 3],
      timeDeltas: [500, 1000, 4000, 2000, 3000],
    }),
  );

  test('says how long each function ran: until the next sample', () => {
    const times = selfTimes(profile);
    expect([...times]).toEqual([
      ['work program.cjs:10', 4],
      ['(idle)', 4],
      ['(anonymous) node:fs:1', 2],
    ]);
    expect(busyAndIdle(times)).toEqual({ busy: 6, idle: 4 });
    expect(topSelfTimes(addUp([times, times]), 1)).toEqual(['       8.0 ms  66.7 %  work program.cjs:10']);
  });

  test('may be empty, and other files are none', () => {
    expect(topSelfTimes(selfTimes({ nodes: [] }), 5)).toEqual([]);
    expect(() => parseCpuProfile('{}')).toThrow('no profile');
  });
});

test('Node writes one for each thread, which names what the thread did', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cpu-profile-'));
  try {
    const program = join(folder, 'program.cjs');
    writeFileSync(
      program,
      `const { isMainThread, Worker } = require('node:worker_threads');
       function spin() { for (const end = Date.now() + 60; Date.now() < end; ); }
       function spinInThread() { for (const end = Date.now() + 60; Date.now() < end; ); }
       if (isMainThread) { spin(); new Worker(__filename); } else spinInThread();`,
    );
    execFileSync(process.execPath, ['--cpu-prof', `--cpu-prof-dir=${folder}/profiles`, program], { stdio: 'pipe' });
    const files = readdirSync(join(folder, 'profiles'));
    expect(files.map(isMainThread).sort()).toEqual([false, true]);
    for (const file of files) {
      const times = selfTimes(parseCpuProfile(readFileSync(join(folder, 'profiles', file), 'utf8')));
      const wanted = isMainThread(file) ? 'spin ' : 'spinInThread ';
      const spent = [...times].filter(([name]) => name.startsWith(wanted)).reduce((sum, [, time]) => sum + time, 0);
      expect(spent).toBeGreaterThan(10);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
