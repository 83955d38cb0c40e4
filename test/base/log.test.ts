import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import { BackstopError } from '../../src/base/error.ts';
import { type LogSettings, ProcessLog } from '../../src/base/log.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgbackstop-log-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = new Date(2026, 10, 21, 2, 9, 56, 74).getTime();
const clock: Clock = { now: () => at, monotonic: () => 0, sleep: () => Promise.resolve() };
let files = 0;

/** What a log writes into its file. */
function written(settings: Partial<LogSettings>, say: (log: ProcessLog) => void, start = ''): string {
  const path = join(folder, `sub/${++files}.log`);
  const log = new ProcessLog({ console: 'off', stderr: 'off', file: 'trace', timestamp: true, ...settings }, clock);
  if (start !== '') writeFileSync(path, start);
  log.openFile(path);
  say(log);
  log.closeFile();
  return readFileSync(path, 'utf8');
}
const head = '-------------------PROCESS START-------------------\n';

describe('lines', () => {
  it('have time, process, level and text', () => {
    const text = written({}, log => {
      log.info('hello');
      log.worker(1).detail('from a worker');
      log.warn('two\nlines');
      log.debug('a::b', 'c');
      log.trace('a::b', 'c');
    });
    expect(text).toBe(
      `${head}2026-11-21 02:09:56.074 P00   INFO: hello\n` +
        '2026-11-21 02:09:56.074 P01 DETAIL: from a worker\n' +
        '2026-11-21 02:09:56.074 P00   WARN: two\n                                    lines\n' +
        '2026-11-21 02:09:56.074 P00  DEBUG:     a::b: c\n' +
        '2026-11-21 02:09:56.074 P00  TRACE:         a::b: c\n',
    );
  });

  it('can do without the time, have wider process numbers, and a prefix', () => {
    const text = written({ timestamp: false, processDigits: 3, prefix: '[DRY-RUN] ', file: 'info' }, log =>
      log.info('x'),
    );
    expect(text).toBe(`${head}P000   INFO: [DRY-RUN] x\n`);
  });

  it('have the prefix behind the code of an error', () => {
    const text = written({ timestamp: false, prefix: '[DRY-RUN] ', file: 'info' }, log =>
      log.error(new BackstopError('checksum', 'bad')),
    );
    expect(text).toBe(`${head}P00  ERROR: [026]: [DRY-RUN] bad\n`);
  });

  it('of errors have their code and hints', () => {
    const text = written({ timestamp: false, file: 'info' }, log => {
      log.error(new BackstopError('checksum', 'bad', { hint: 'do' }));
      log.error(new BackstopError('assert', 'worse'));
    });
    expect(text).toBe(`${head}P00  ERROR: [026]: bad\n            HINT: do\nP00 ASSERT: [025]: worse\n`);
  });

  it('of a defect have its stack', () => {
    const text = written({ file: 'info' }, log => log.error(new BackstopError('unhandled', 'bug')));
    expect(text).toContain('[124]: UnhandledError: bug');
    expect(text).toContain('STACK: ');
  });

  it('go up to the level of the file', () => {
    const say = (log: ProcessLog): void => {
      log.warn('w');
      log.info('i');
      log.detail('d');
    };
    expect(written({ timestamp: false, file: 'warn' }, say)).toBe(`${head}P00   WARN: w\n`);
    expect(written({ timestamp: false, file: 'info' }, say)).toBe(`${head}P00   WARN: w\nP00   INFO: i\n`);
  });
});

describe('the file', () => {
  it('is appended to, after an empty line', () => {
    written({ timestamp: false }, () => undefined);
    const text = written({ timestamp: false }, log => log.info('x'), 'old\n');
    expect(text).toBe(`old\n\n${head}P00   INFO: x\n`);
  });

  it('is not touched when nothing is said', () => {
    expect(written({}, () => undefined)).toBe('');
  });

  it('is readable for its owner and group only', () => {
    written({}, log => log.info('x'));
    expect(statSync(join(folder, `sub/${files}.log`)).mode & 0o007).toBe(0);
  });
});

describe('a log in a process of its own', () => {
  let program: string;
  beforeAll(() => {
    const source = join(folder, 'say.ts');
    const base = join(process.cwd(), 'src/base');
    writeFileSync(
      source,
      `import { ProcessLog, writeAll } from '${base}/log.ts';
       import { systemClock } from '${base}/clock.ts';
       const [console, stderr, count] = process.argv.slice(2);
       const log = new ProcessLog({ console, stderr, file: 'info', timestamp: false }, systemClock);
       log.openFile('/dev/null/x.log');
       for (let i = 0; i < Number(count); i++) log.info('x'.repeat(1000));
       log.warn('the end');
       process.exit(0);`,
    );
    program = join(folder, 'say.cjs');
    buildSync({ entryPoints: [source], bundle: true, platform: 'node', format: 'cjs', outfile: program });
  });
  const lines = (text: string): string[] => text.split('\n').filter(line => line !== '');

  it('speaks to stderr instead of the console up to the level of stderr', () => {
    const out = execFileSync(process.execPath, [program, 'info', 'warn', '1'], { stdio: ['ignore', 'pipe', 'pipe'] });
    expect(lines(out.toString())).toEqual([`P00   INFO: ${'x'.repeat(1000)}`]);
  });

  it('warns of a file that cannot be opened and goes on without it', () => {
    const out = execFileSync(process.execPath, [program, 'info', 'off', '0']).toString();
    expect(out).toContain("WARN: unable to open log file '/dev/null/x.log'");
    expect(out).toContain('NOTE: process will continue without log file.');
    expect(out).toContain('WARN: the end');
  });

  it('loses nothing when its reader is slow, and does not fail when its reader goes away', async () => {
    const slow = spawn('sh', ['-c', `"$0" "$1" info off 3000 | (sleep 1; cat)`, process.execPath, program]);
    let text = '';
    for await (const chunk of slow.stdout) text += chunk;
    expect(lines(text)).toHaveLength(3000 + 3);
    expect(text).toContain('the end');
    const script = `("$0" "$1" info off 3000; echo code $? >&2) | head -1`;
    const gone = spawn('sh', ['-c', script, process.execPath, program]);
    let said = '';
    for await (const chunk of gone.stderr) said += chunk;
    expect(said).toBe('code 0\n');
  });
});
