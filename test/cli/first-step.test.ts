/** The shell half of bin/pgbackstop.cjs: when it answers, and when it leaves that to Node. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Call, hintOf } from '../../src/cli/first-step.ts';
import type { SpoolAnswer } from '../../src/command/session.ts';
import { load } from '../../src/config/index.ts';

const launcher = join(process.cwd(), 'bin', 'pgbackstop.cjs');
const segment = '0000000300000007000000FE';
/** Four ahead, where a log has 256 segments. */
const ahead = '000000030000000800000002';
const queue = { ahead: 4, segmentSize: 16 * 1024 * 1024 };

/** The shells that /bin/sh is on the systems that PostgreSQL runs on. */
const shells = [['dash'], ['bash', '--posix'], ['busybox', 'sh']].filter(([name = '']) =>
  existsSync(join('/bin', name)),
);

let root: string;
let home: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'first-step-'));
  mkdirSync(join(root, 'bin'));
  // in the place of Node: tells what it was started with
  writeFileSync(join(root, 'bin', 'node'), '#!/bin/sh\nprintf "NODE"; printf "\\0%s" "$@"\n', { mode: 0o755 });
});
afterAll(() => rmSync(root, { recursive: true }));

/** Seconds of the files' times: what was there, the server's start, a segment, what is written of it, the hint. */
const times = { there: 1000, wal: 3000, ok: 4000, hint: 2500 } as const;

/** A cluster, its spool and a hint, all as they are in the middle of work. */
class Scene {
  readonly root: string;
  readonly config: string;
  readonly pg: string;
  readonly lock: string;
  readonly cache: string;
  readonly command: 'archive-push' | 'archive-get';
  readonly environment: Record<string, string>;
  hint = '';

  constructor(command: Scene['command'], name = 'scene') {
    home = mkdtempSync(join(root, 'home-'));
    this.command = command;
    this.root = join(home, name);
    this.pg = join(this.root, 'pg');
    this.lock = join(this.root, 'lock');
    this.cache = join(home, 'cache');
    this.config = join(this.root, 'etc', 'pgbackrest.conf');
    for (const folder of [
      'pg/pg_wal',
      'lock',
      'etc/conf.d',
      'spool/archive/demo/in',
      'spool/archive/demo/out',
      'dist',
    ]) {
      mkdirSync(join(this.root, folder), { recursive: true });
    }
    this.write('pg/postmaster.pid', '1');
    this.write('spool/archive/demo/cluster', '{}');
    this.write('dist/program.cjs', '');
    this.write('etc/conf.d/more.conf', '');
    writeFileSync(this.config, '[global]\narchive-async=y\n[demo]\npg1-path=/nowhere\n');
    this.age(this.root, times.there);
    if (command === 'archive-push') {
      this.write(`pg/pg_wal/${segment}`, 'wal', times.wal);
      this.write(`spool/archive/demo/out/${segment}.ok`, '', times.ok);
    } else {
      for (const each of [segment, ahead]) this.write(`spool/archive/demo/in/${each}`, 'wal', times.wal);
    }
    this.environment = { PATH: `${join(root, 'bin')}:/usr/bin:/bin`, XDG_CACHE_HOME: this.cache };
    this.writeHint();
  }

  get folder(): string {
    return `spool/archive/demo/${this.command === 'archive-push' ? 'out' : 'in'}`;
  }

  get options(): string[] {
    return [`--config-path=${join(this.root, 'etc')}`, `--lock-path=${this.lock}`, '--stanza=demo'];
  }

  /** What PostgreSQL puts behind the command. */
  get params(): string[] {
    return this.command === 'archive-push' ? [`pg_wal/${segment}`] : [segment, 'pg_wal/RECOVERYXLOG'];
  }

  write(name: string, content: string, time: number = times.there): void {
    writeFileSync(join(this.root, name), content);
    utimesSync(join(this.root, name), time, time);
  }

  age(path: string, time: number): void {
    for (const name of readdirSync(path, { recursive: true, encoding: 'utf8' }))
      utimesSync(join(path, name), time, time);
    utimesSync(path, time, time);
  }

  hintFor(call: Partial<Call> = {}, answer: Partial<SpoolAnswer> = {}): ReturnType<typeof hintOf> {
    const argv = [...this.options, this.command, ...this.params];
    const loaded = load(call.argv ?? argv, {}, launcher);
    if (loaded.kind !== 'run') throw new TypeError('not a command to run');
    return hintOf(
      loaded.settings,
      {
        clusterPath: this.pg,
        folder: join(this.root, this.folder),
        ...(this.command === 'archive-get' ? { queue } : {}),
        ...answer,
      },
      {
        argv,
        environment: {},
        file: join(this.root, 'dist', 'program.cjs'),
        began: 0,
        places: loaded.places,
        ...call,
      },
    );
  }

  writeHint(): void {
    const made = this.hintFor();
    if (made === undefined) throw new Error('there is no hint for this scene');
    this.hint = join(this.cache, 'pgbackstop', 'first-step', made.name);
    mkdirSync(join(this.cache, 'pgbackstop', 'first-step'), { recursive: true });
    this.replaceHint(() => made.text);
  }

  replaceHint(change: (text: string) => string): void {
    writeFileSync(this.hint, change(existsSync(this.hint) ? readFileSync(this.hint, 'latin1') : ''), 'latin1');
    utimesSync(this.hint, times.hint, times.hint);
  }

  /** @returns what it says, and what Node was started with if it was */
  run(
    argv: readonly string[] = [...this.options, this.command, ...this.params],
    { shell = ['sh'], cwd = this.pg, env = {} }: { shell?: readonly string[]; cwd?: string; env?: object } = {},
  ): { status: number | null; node: string[] | undefined; said: string } {
    const [program = 'sh', ...before] = shell;
    const { status, stdout, stderr } = spawnSync(program, [...before, launcher, ...argv], {
      cwd,
      env: { ...this.environment, ...env },
      encoding: 'utf8',
    });
    const [said = '', ...node] = stdout.split('\0');
    return said === 'NODE' ? { status, node, said: stderr } : { status, node: undefined, said: said + stderr };
  }
}

const answered = { status: 0, node: undefined, said: '' };
const leftToNode = (argv: readonly string[]) => ({ status: 0, node: [launcher, ...argv], said: '' });

/** What must keep the shell from answering: a change of the scene, and for whom. */
type Obstacle = readonly [name: string, change: (scene: Scene) => void];

/** The file under another name, and a link to it that is as old. */
function linkTo(path: string): void {
  const { mtime } = statSync(path);
  renameSync(path, `${path}.2`);
  symlinkSync(`${path}.2`, path);
  lutimesSync(path, mtime, mtime);
}

function makeDirectory(path: string): void {
  rmSync(path);
  mkdirSync(path);
}

const obstacles: readonly Obstacle[] = [
  ['no hint', ({ hint }) => rmSync(hint)],
  ['a hint that is a link', ({ hint }) => linkTo(hint)],
  ['a hint that is a directory', ({ hint }) => makeDirectory(hint)],
  ['a hint that is empty', scene => scene.replaceHint(() => '')],
  ['a hint of zeros, as a crash may leave it', scene => scene.replaceHint(text => '\0'.repeat(text.length))],
  ['a hint of another version', scene => scene.replaceHint(text => text.replace('step 1', 'step 2'))],
  ['a hint without its end', scene => scene.replaceHint(text => text.replace(/end\n$/, ''))],
  ['a hint with a line that is none', scene => scene.replaceHint(text => text.replace(/end\n$/, 'x\nend\n'))],
  ['another option in the hint', scene => scene.replaceHint(text => text.replace('--lock-path=', '--lock-pafh='))],
  ['a program that is gone', scene => rmSync(join(scene.root, 'dist', 'program.cjs'))],
  ['a configuration that is newer', scene => utimesSync(scene.config, 2600, 2600)],
  ['a configuration that is as old as the hint', scene => utimesSync(scene.config, times.hint, times.hint)],
  ['a configuration that is gone', scene => rmSync(scene.config)],
  ['another file in the place of the configuration', scene => utimesSync(join(scene.root, 'etc'), 2600, 2600)],
  ['an included file that is newer', scene => utimesSync(join(scene.root, 'etc/conf.d/more.conf'), 2600, 2600)],
  ['one included file more', scene => utimesSync(join(scene.root, 'etc/conf.d'), 2600, 2600)],
  ['a server that was started since', scene => utimesSync(join(scene.pg, 'postmaster.pid'), 2600, 2600)],
  ['no server', scene => rmSync(join(scene.pg, 'postmaster.pid'))],
  [
    'a spool that another cluster took',
    scene => utimesSync(join(scene.root, 'spool/archive/demo/cluster'), 2600, 2600),
  ],
  ['an error of the segment', scene => scene.write(`${scene.folder}/${segment}.error`, '45\nno')],
  ['an error of all segments', scene => scene.write(`${scene.folder}/global.error`, '45\nno')],
];

const ofPush: readonly Obstacle[] = [
  ['no status', scene => rmSync(join(scene.root, scene.folder, `${segment}.ok`))],
  ['a warning in it', scene => scene.write(`${scene.folder}/${segment}.ok`, '0\ndropped', times.ok)],
  ['a status that is older than the segment', scene => scene.write(`${scene.folder}/${segment}.ok`, '', 2900)],
  ['a status as old as the segment', scene => scene.write(`${scene.folder}/${segment}.ok`, '', times.wal)],
  ['a status that is a link', ({ root, folder }) => linkTo(join(root, folder, `${segment}.ok`))],
  ['no segment', scene => rmSync(join(scene.pg, 'pg_wal', segment))],
  ['a stopped stanza', scene => scene.write('lock/demo.stop', '')],
  ['all stanzas stopped', scene => scene.write('lock/all.stop', '')],
  ['no lock path', scene => rmSync(scene.lock, { recursive: true })],
];

const ofGet: readonly Obstacle[] = [
  ['no segment', scene => rmSync(join(scene.root, scene.folder, segment))],
  ['an empty segment', scene => truncateSync(join(scene.root, scene.folder, segment))],
  ['a segment that is a directory', scene => makeDirectory(join(scene.root, scene.folder, segment))],
  ['a warning to it, or that there is none', scene => scene.write(`${scene.folder}/${segment}.ok`, '')],
  ['half of the queue used up', scene => rmSync(join(scene.root, scene.folder, ahead))],
  ['a directory where it is to go', scene => mkdirSync(join(scene.pg, 'pg_wal/RECOVERYXLOG'))],
  ['no directory to put it into', scene => rmSync(join(scene.pg, 'pg_wal'), { recursive: true })],
  ...['08', '0', '-1', '', '1+1', 'x[$(touch /tmp/x)]', '99999999999999999999'].map(
    (text): Obstacle => [
      `'${text}' for a number`,
      scene => scene.replaceHint(hint => hint.replace(/\n4\n256\n/, `\n${text}\n256\n`)),
    ],
  ),
  ['no segments in a log', scene => scene.replaceHint(hint => hint.replace('\n4\n256\n', '\n4\n0\n'))],
];

/** A program that is built, as far as the shell can see. @returns where its first step is */
function builtProgram(name: string, version: string): string {
  const program = join(root, name, 'bin', 'pgbackstop.cjs');
  for (const folder of ['bin', 'dist']) mkdirSync(join(root, name, folder), { recursive: true });
  cpSync(launcher, program);
  writeFileSync(join(root, name, 'dist', 'main.cjs'), '');
  writeFileSync(join(root, name, 'dist', 'version'), version);
  return program;
}

test('the build writes down what `version` prints', () => {
  const { PATH } = process.env;
  const [ours, ofNode] = [[launcher], [process.execPath, launcher]].map(([program = '', ...argv]) =>
    spawnSync(program, [...argv, 'version'], { env: { PATH }, encoding: 'utf8' }),
  );
  expect(ours).toMatchObject({ status: 0, stderr: '', stdout: ofNode?.stdout });
  expect(readFileSync('dist/version', 'utf8')).toBe(ofNode?.stdout);
});

describe.each(shells.map(shell => [shell.join(' '), shell] as const))('%s', (name, shell) => {
  const [command = '', ...applet] = shell;
  const env = () => ({ PATH: `${join(root, 'bin')}:/usr/bin:/bin` });
  const tell = (program: string, ...argv: string[]) =>
    spawnSync(command, [...applet, program, ...argv], { env: env(), encoding: 'utf8' });

  test('says the version that the build has written down, by a link too', () => {
    const program = builtProgram(`of ${name}`, 'of this build\n');
    const link = join(root, `link of ${name}`);
    symlinkSync(program, link);
    for (const path of [program, link]) {
      expect(tell(path, 'version')).toMatchObject({ status: 0, stderr: '', stdout: 'of this build\n' });
    }
  });

  test('leaves the version to Node when it is asked for in another way, or something is missing', () => {
    const program = builtProgram(`broken of ${name}`, 'of this build\n');
    const toNode = (...argv: string[]) =>
      expect(tell(program, ...argv)).toMatchObject({
        status: 0,
        stderr: '',
        stdout: ['NODE', program, ...argv].join('\0'),
      });
    toNode('version', '--output=num');
    toNode('--output=num', 'version');
    toNode('version', '');
    toNode('1,version');
    writeFileSync(join(program, '../../dist/version'), 'without an end');
    toNode('version');
    rmSync(join(program, '../../dist/version'));
    toNode('version');
    writeFileSync(join(program, '../../dist/version'), 'of this build\n');
    rmSync(join(program, '../../dist/main.cjs'));
    toNode('version');
  });

  test('does not say the version where nothing can take it, or there is no Node', () => {
    const program = builtProgram(`closed of ${name}`, 'of this build\n');
    const stdout = openSync('/dev/full', 'w');
    const full = spawnSync(command, [...applet, program, 'version'], { env: env(), stdio: ['ignore', stdout, 'pipe'] });
    closeSync(stdout);
    expect(full.status).not.toBe(0);
    expect(spawnSync(`/bin/${command}`, [...applet, program, 'version'], { env: { PATH: root } }).status).toBe(127);
  });

  test('answers archive-push from the spool', () => {
    const scene = new Scene('archive-push');
    expect(scene.run(undefined, { shell })).toEqual(answered);
    expect(
      scene.run([...scene.options, 'archive-push', join(scene.pg, 'pg_wal', segment)], { shell, cwd: '/' }),
    ).toEqual(answered);
  });

  test('answers archive-get from the spool: the segment is moved', () => {
    const scene = new Scene('archive-get');
    scene.write('pg/pg_wal/RECOVERYXLOG', 'old');
    expect(scene.run(undefined, { shell })).toEqual(answered);
    expect(readFileSync(join(scene.pg, 'pg_wal/RECOVERYXLOG'), 'utf8')).toBe('wal');
    expect(readdirSync(join(scene.root, scene.folder))).toEqual([ahead]);
  });

  test.each([
    ...[...obstacles, ...ofPush].map(([name, change]) => [name, 'archive-push', change] as const),
    ...[...obstacles, ...ofGet].map(([name, change]) => [name, 'archive-get', change] as const),
  ])('%s: %s is left to Node', (_name, command, change) => {
    const scene = new Scene(command);
    change(scene);
    const argv = [...scene.options, command, ...scene.params];
    expect(scene.run(argv, { shell })).toEqual(leftToNode(argv));
    if (command === 'archive-get')
      expect(existsSync(join(scene.root, scene.folder, ahead)) || _name.startsWith('half')).toBe(true);
  });

  test.each([
    [{ PGBACKREST_REPO1_PATH: '/elsewhere' }],
    [{ NODE_DISABLE_COMPILE_CACHE: '1' }],
    [{ XDG_CACHE_HOME: 'relative', HOME: 'relative' }],
    [{ XDG_CACHE_HOME: '', HOME: '' }],
    [{ XDG_CACHE_HOME: '/nonexistent' }],
  ])('leaves it to Node with %j in the environment', env => {
    const scene = new Scene('archive-push');
    const argv = [...scene.options, 'archive-push', ...scene.params];
    expect(scene.run(argv, { shell, env })).toEqual(leftToNode(argv));
  });

  test('finds the hint in the home folder too', () => {
    const scene = new Scene('archive-push');
    renameSync(scene.cache, join(home, '.cache'));
    expect(scene.run(undefined, { shell, env: { XDG_CACHE_HOME: 'relative', HOME: home } })).toEqual(answered);
  });

  test('leaves a relative path to Node when it is not relative to the cluster', () => {
    const scene = new Scene('archive-push');
    cpSync(scene.pg, join(scene.root, 'other'), { recursive: true, preserveTimestamps: true });
    const argv = [...scene.options, 'archive-push', ...scene.params];
    expect(scene.run(argv, { shell, cwd: join(scene.root, 'other') })).toEqual(leftToNode(argv));
    symlinkSync(scene.pg, join(scene.root, 'link'));
    expect(scene.run(argv, { shell, cwd: join(scene.root, 'link') })).toEqual(answered);
  });

  test('hands every other call over as it was', () => {
    const scene = new Scene('archive-push');
    const base = [...scene.options, 'archive-push'];
    for (const argv of [
      [],
      ['version', ''],
      ['', ''],
      ['help', 'archive-push', 'x'],
      [...base],
      [...base, ...scene.params, 'more'],
      [...base, `--${segment}`],
      [...base, `-/${segment}`],
      [...base, ...scene.params, '--archive-async'],
      [...base, '--archive-async', ...scene.params],
      ['--log-level-console=info', ...base, ...scene.params],
      ['--stanza=other', ...base, ...scene.params],
      [...scene.options.slice(0, 2), '--stanza=../demo', 'archive-push', ...scene.params],
      [...scene.options.slice(0, 2), 'archive-push', ...scene.params],
      [...base, 'pg_wal/00000002.history'],
      [...base, `pg_wal/${segment}.partial`],
      [...base, `pg_wal/${segment.toLowerCase()}`],
      [...base, `pg_wal/${segment}\n`],
      [...base, `$(touch ${root}/made)/${segment}`],
      [...base, `\`touch ${root}/made\``],
      [...base, `'"\\ * ? [a-z] ~ $HOME\t\n;&|<>(){}#!`],
      [...base, `pg_wal/../pg_wal/../${segment}`],
    ]) {
      expect(scene.run(argv, { shell })).toEqual(leftToNode(argv));
    }
    expect(existsSync(join(root, 'made'))).toBe(false);
  });

  test.each([
    "it's",
    'two  words',
    ' blank ',
    '$(touch made)',
    '`touch made`',
    '*',
    '"',
    '\\n',
    '-n',
    '!',
    '#x',
    '%s',
    '[',
  ])('answers where everything lies below a folder named %j', name => {
    for (const command of ['archive-push', 'archive-get'] as const) {
      const scene = new Scene(command, name);
      expect(scene.run(undefined, { shell })).toEqual(answered);
      expect(existsSync(join(scene.pg, 'made'))).toBe(false);
    }
  });
});

test.runIf(process.getuid?.() === 0)('a hint of another user is not believed', () => {
  const scene = new Scene('archive-push');
  chownSync(scene.hint, 65534, 65534);
  expect(scene.run().node).toBeDefined();
  chownSync(scene.hint, 0, 0);
  expect(scene.run()).toEqual(answered);
});

test.runIf(process.getuid?.() === 0)('a move that fails is tried again by Node', () => {
  const scene = new Scene('archive-get');
  writeFileSync(join(root, 'bin', 'mv'), '#!/bin/sh\necho full >&2\nexit 1\n', { mode: 0o755 });
  expect(scene.run()).toEqual(leftToNode([...scene.options, 'archive-get', ...scene.params]));
  rmSync(join(root, 'bin', 'mv'));
});

describe('called', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene('archive-push');
  });

  test('by a link, a copy and a path with blanks, as npm and people make them, Node gets the name as it was called', () => {
    const folder = join(scene.root, 'a place');
    mkdirSync(folder);
    symlinkSync(launcher, join(folder, 'pgbackrest'));
    cpSync(launcher, join(folder, 'a copy'));
    for (const program of [join(folder, 'pgbackrest'), join(folder, 'a copy'), launcher]) {
      const { stdout } = spawnSync(program, ['a b', '', 'c'], { env: scene.environment, encoding: 'utf8' });
      expect(stdout).toBe(['NODE', program, 'a b', '', 'c'].join('\0'));
    }
    const PATH = `${folder}:${scene.environment.PATH}`;
    const { stdout } = spawnSync('pgbackrest', ['help'], { env: { ...scene.environment, PATH }, encoding: 'utf8' });
    expect(stdout).toBe(['NODE', join(folder, 'pgbackrest'), 'help'].join('\0'));
  });

  test('where there is no Node, it is a missing program, which stops a recovery', () => {
    const empty = join(scene.root, 'empty');
    mkdirSync(empty);
    expect(spawnSync(launcher, ['version'], { env: { PATH: empty } }).status).toBe(127);
  });

  test('with an environment, Node gets that and nothing else', () => {
    const node = join(scene.root, 'node');
    writeFileSync(node, '#!/bin/sh\nexec /usr/bin/env -0\n', { mode: 0o755 });
    const kept = { PATH: `${scene.root}:/usr/bin:/bin`, LINES: 'a\nb', _x: '1' };
    const env = { ...kept, NODE_OPTIONS: '--no-warnings' };
    const give = (command: string, expected: Record<string, string>): void => {
      const { stdout } = spawnSync(launcher, [...scene.options, command, 'x'], { env, encoding: 'utf8' });
      const given = stdout.split('\0').filter(line => line !== '' && !/^(_|PWD|OLDPWD|SHLVL)=/.test(line));
      const lines = Object.entries(expected).map(([name, value]) => `${name}=${value}`);
      expect(given.sort()).toEqual(lines.sort());
    };
    give('info', env);
    // with these Node could end before our first line, with 1: not in the archive
    for (const command of ['archive-push', 'archive-get']) give(command, kept);
  });
});

test('while the background process is at work it need not be started: half of the queue may be used up', () => {
  const scene = new Scene('archive-get');
  rmSync(join(scene.root, scene.folder, ahead));
  scene.write('lock/demo-archive-1.lock', '');
  expect(scene.run()).toEqual(answered);
});

test.runIf(process.getuid?.() === 0)('a shell that cannot start a process is no end of the archive', () => {
  const scene = new Scene('archive-push');
  const argv = [...scene.options, 'archive-push', ...scene.params];
  const nobody = 54321;
  spawnSync('chown', ['-R', String(nobody), root]);
  chmodSync(root, 0o755);
  chmodSync(home, 0o755);
  const { stdout } = spawnSync('prlimit', ['--nproc=1:1', 'dash', launcher, ...argv], {
    env: scene.environment,
    cwd: scene.pg,
    uid: nobody,
    gid: nobody,
    encoding: 'utf8',
  });
  expect(stdout.split('\0')).toEqual(['NODE', launcher, ...argv]);
});

describe('no hint is written', () => {
  let scene: Scene;
  const argv = (...more: string[]) => [...scene.options, ...more, 'archive-push', `pg_wal/${segment}`];
  const hint = (call: Partial<Call> = {}, answer: Partial<SpoolAnswer> = {}) => scene.hintFor(call, answer);
  beforeEach(() => {
    scene = new Scene('archive-push');
    expect(hint()).toBeDefined();
  });

  test.each([
    ['--log-level-console=info'],
    ['--log-level-stderr=info'],
    ['--log-level-console=detail'],
    ['--log-level-file=info'],
  ])('where there is something to say: %s', option => {
    expect(hint({ argv: argv(option) })).toBeUndefined();
  });

  test('where PostgreSQL’s words do not stand at the end', () => {
    expect(hint({ argv: [...scene.options, 'archive-push', `pg_wal/${segment}`, '--archive-async'] })).toBeUndefined();
    expect(hint({ argv: [...scene.options, 'archive-push', '--archive-async', `pg_wal/${segment}`] })).toBeUndefined();
  });

  test('where the stanza is not plain to see', () => {
    const [config = '', lock = ''] = scene.options;
    expect(hint({ argv: [config, lock, '--stanza', 'demo', 'archive-push', `pg_wal/${segment}`] })).toBeUndefined();
  });

  test('where an option comes from the environment', () => {
    expect(hint({ environment: { PGBACKREST_X: '' } })).toBeUndefined();
  });

  test('for what a shell could misread', () => {
    for (const name of ['a\nb', 'a\tb', 'ü', '\u0001']) {
      expect(hint({}, { clusterPath: `/${name}` })).toBeUndefined();
      expect(hint({ places: new Map([[`/${name}`, true]]) })).toBeUndefined();
    }
    expect(hint({ places: new Map([['relative.conf', true]]) })).toBeUndefined();
  });
});

test('the two halves are one program: the shell half is a comment to Node', () => {
  expect(spawnSync(process.execPath, ['--check', launcher]).status).toBe(0);
  expect(readFileSync(launcher, 'utf8').split('*/')).toHaveLength(2);
});
