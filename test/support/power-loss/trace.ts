/** What a program and its children did to files, with every byte that they wrote: recorded by strace. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** One call that changed something, or made it durable, or told somebody of it. */
export type DiskCall =
  | {
      readonly call: 'open';
      readonly path: string;
      readonly descriptor: number;
      readonly create: boolean;
      readonly truncate: boolean;
      readonly append: boolean;
      readonly mode: number;
    }
  /** `at` is absent where the bytes go to where the descriptor is. */
  | {
      readonly call: 'write';
      readonly path: string;
      readonly descriptor: number;
      readonly bytes: Buffer;
      readonly at?: number;
    }
  | { readonly call: 'truncate'; readonly path: string; readonly size: number }
  /** Seconds since the epoch. */
  | { readonly call: 'times'; readonly path: string; readonly mtime: number }
  | { readonly call: 'mode'; readonly path: string; readonly mode: number }
  | { readonly call: 'mkdir'; readonly path: string; readonly mode: number }
  | { readonly call: 'rename' | 'link'; readonly from: string; readonly path: string }
  | { readonly call: 'symlink'; readonly to: string; readonly path: string }
  | { readonly call: 'unlink' | 'rmdir'; readonly path: string }
  /** A sync saves what was there when it began, and counts when it has ended: `number` joins the two. */
  | { readonly call: 'sync-begin' | 'sync-end'; readonly path: string; readonly number: number }
  | { readonly call: 'say'; readonly text: string }
  /** Of the process that was started. */
  | { readonly call: 'exit'; readonly code: number };

const traced = [
  'open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,splice,fallocate',
  'fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir',
  'symlink,symlinkat,link,linkat,truncate,ftruncate,utimensat,utime,utimes,futimesat,chmod,fchmod,fchmodat,exit_group',
].join(',');

/** What goes before a command to record it. */
export const recorder = (file: string): string[] => [
  ...['strace', '-f', '--seccomp-bpf', '-y', '-xx', '-s', String(64 * 1024 * 1024)],
  ...['-o', file, '-e', `trace=${traced}`, '-e', 'signal=none', '--'],
];

/** @returns why there can be no recording on this machine */
export function missingRecorder(): string | undefined {
  try {
    execFileSync('strace', recorder('/dev/null').slice(1).concat('true'), { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `strace cannot be used (Debian: apt-get install strace): ${error instanceof Error ? error.message.split('\n')[0] : error}`;
  }
}

/** Reads a recording and removes its file. @returns the calls that succeeded, in order of their ends */
export function takeTrace(file: string): DiskCall[] {
  const calls = parseTrace(readFileSync(file, 'latin1'));
  rmSync(file);
  return calls;
}

/** Exported for its own test. */
export function parseTrace(text: string): DiskCall[] {
  const calls: DiskCall[] = [];
  const begun = new Map<string, { readonly start: string; readonly number: number }>();
  const first = /^(\d+) /.exec(text)?.[1];
  let syncs = 0;
  for (const line of text.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const earlier = resumed === null ? undefined : begun.get(thread);
    const whole = resumed === null ? rest : (earlier?.start ?? '') + (resumed[1] ?? '');
    const start = whole.replace(/ <unfinished \.\.\.>$/, '');
    const isSync = /^f(data)?sync\(/.test(start);
    let number = earlier?.number ?? 0;
    if (isSync && resumed === null) {
      number = ++syncs;
      calls.push({ call: 'sync-begin', path: descriptorOf(start).path, number });
    }
    if (start.length !== whole.length) {
      begun.set(thread, { start, number });
      continue;
    }
    const exit = /^exit_group\((\d+)\)/.exec(whole);
    if (exit !== null) {
      if (thread === first) calls.push({ call: 'exit', code: Number(exit[1]) });
      continue;
    }
    if (!/\) += \d/.test(whole)) continue;
    if (isSync) calls.push({ call: 'sync-end', path: descriptorOf(whole).path, number });
    else calls.push(...parseCall(whole));
  }
  return calls;
}

function parseCall(line: string): DiskCall[] {
  const name = /^\w+/.exec(line)?.[0] ?? '';
  const quoted = [...line.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => bytesOf(hex));
  const paths = (): string[] => absolute(line, quoted);
  const result = Number(/\) += (\d+)/.exec(line)?.[1]);
  const octal = (pattern: RegExp): number => Number.parseInt(pattern.exec(line)?.[1] ?? '0', 8);
  switch (name) {
    case 'open':
    case 'openat':
    case 'creat': {
      if (!/O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(line) && name !== 'creat') return [];
      const [path = ''] = paths();
      const has = (flag: string): boolean => line.includes(flag) || (name === 'creat' && flag !== 'O_APPEND');
      const mode = octal(/, 0([0-7]+)\) +=/);
      const flags = { create: has('O_CREAT'), truncate: has('O_TRUNC'), append: has('O_APPEND') };
      return [{ call: 'open', path, descriptor: result, mode, ...flags }];
    }
    case 'write':
    case 'writev':
    case 'pwrite64':
    case 'pwritev':
    case 'pwritev2': {
      const { number: descriptor, path } = descriptorOf(line);
      const bytes = Buffer.concat(quoted).subarray(0, result);
      if (descriptor === 1) return [{ call: 'say', text: bytes.toString() }];
      const at = /, (\d+)(?:, 0)?\) += \d+/.exec(line)?.[1];
      return [{ call: 'write', path, descriptor, bytes, ...(name.startsWith('p') ? { at: Number(at) } : {}) }];
    }
    case 'ftruncate':
    case 'truncate': {
      const size = Number(/, (\d+)\) +=/.exec(line)?.[1]);
      const path = name === 'truncate' ? (paths()[0] ?? '') : descriptorOf(line).path;
      return [{ call: 'truncate', path, size }];
    }
    case 'utimensat': {
      const path = quoted.length === 0 ? descriptorOf(line).path : (paths()[0] ?? '');
      const [, seconds, nanos] = /\}?[^{]*, \{tv_sec=(\d+), tv_nsec=(\d+)\}[^{]*\], \d+\) +=/.exec(line) ?? [];
      return [{ call: 'times', path, mtime: Number(seconds) + Number(nanos) / 1e9 }];
    }
    case 'chmod':
    case 'fchmodat':
    case 'fchmod': {
      const path = name === 'fchmod' ? descriptorOf(line).path : (paths()[0] ?? '');
      return [{ call: 'mode', path, mode: octal(/, 0([0-7]+)(?:, 0)?\) +=/) }];
    }
    case 'rename':
    case 'renameat':
    case 'renameat2':
    case 'link':
    case 'linkat': {
      const [from = '', path = ''] = paths();
      return [{ call: name.startsWith('rename') ? 'rename' : 'link', from, path }];
    }
    case 'symlink':
    case 'symlinkat':
      return [{ call: 'symlink', to: String(quoted[0]), path: paths()[1] ?? '' }];
    case 'mkdir':
    case 'mkdirat':
      return [{ call: 'mkdir', path: paths()[0] ?? '', mode: octal(/, 0([0-7]+)\) +=/) }];
    case 'rmdir':
      return [{ call: 'rmdir', path: paths()[0] ?? '' }];
    case 'unlink':
    case 'unlinkat':
      return [{ call: line.includes('AT_REMOVEDIR') ? 'rmdir' : 'unlink', path: paths()[0] ?? '' }];
    default:
      // nobody of ours does it today; a model that did not know of it would be wrong without a word
      throw new Error(`the model does not know what ${name} does to files: ${line.slice(0, 200)}`);
  }
}

/** The first descriptor of a call, and the path that it stood for when the call began. */
function descriptorOf(line: string): { readonly number: number; readonly path: string } {
  const [, number, hex = ''] = /\((\d+)<((?:\\x[0-9a-f]{2})*)>/.exec(line) ?? [];
  return { number: Number(number), path: bytesOf(hex).toString() };
}

/** Paths of a call as absolute ones: each is relative to the directory before it, if one is there. */
function absolute(line: string, quoted: readonly Buffer[]): string[] {
  const [, hex = ''] = /AT_FDCWD<((?:\\x[0-9a-f]{2})*)>/.exec(line) ?? [];
  const base = bytesOf(hex).toString();
  return quoted.map(bytes => (bytes[0] === 0x2f ? bytes.toString() : join(base, bytes.toString())));
}

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll('\\x', ''), 'hex');
