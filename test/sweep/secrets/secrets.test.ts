/**
 * Keys, passphrases and tokens are in no output, no process, no environment of others, and in no file, whatever a command
 * does and however it ends.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import { Injector } from '../../support/sweep/injector.ts';
import { isFullSweep, Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { unprivilegedUser } from '../../support/unprivileged.ts';
import { runnableProject } from '../../support/unprivileged-project.ts';
import { BucketPart } from './bucket-part.ts';
import { Canaries, describeSightings } from './canary.ts';
import { ChangedInfo } from './changed-info.ts';
import { beginning, change, end, help, learnPassphrases, middle, type Step } from './life.ts';
import { defects, echoMishaps, forgetRestored, lookers, type Mishap, plainMishaps, silentService } from './mishaps.ts';
import { commandLines, lines, variables } from './misplaced.ts';
import { modesOf } from './modes-part.ts';
import { SecretBed, type Way, ways } from './secret-bed.ts';
import { type PasswordPlace, passwordPlaces, ServerPart } from './server-part.ts';
import { told } from './told.ts';
import { straceProblem } from './watched-run.ts';

const sweep = new Sweep('secrets');
const real = requireCompat();
afterAll(() => sweep.report());
if (straceProblem !== undefined) console.log(`test/sweep/secrets: ${straceProblem}`);

let bed: SecretBed;
beforeAll(() => {
  bed = new SecretBed(sweep);
});
afterAll(() => bed?.dispose());

async function take(steps: readonly Step[], way?: Way): Promise<void> {
  for (const { command, args, code = 0, run } of steps) {
    const words = args?.(bed) ?? [];
    const chosen = way ?? sweep.random.pick(ways);
    await sweep.case(`${command} ${words.join(' ')}, secrets by ${chosen}`, async () => {
      sweep.tried(`works: ${command}`);
      const outcome = await bed.run(command, words, { way: chosen, ...run });
      expect(outcome.code, outcome.output).toBe(code);
    });
  }
}

describe('a stanza with two encrypted repositories', () => {
  it('lives its life', async () => {
    await take(beginning);
    await learnPassphrases(bed);
    change(bed, 'something new');
    await take(middle);
    await take(
      shortOrFull(
        help.filter((_, index) => index % 7 === 0),
        help,
      ),
    );
    for (const way of shortOrFull<readonly Way[]>([], ways)) {
      for (let round = 0; round < 3; round++) {
        change(bed, `round ${round} ${way}`);
        await take(middle, way);
      }
    }
    bed.lookAtAll();
  });

  /** All in the long form, so many in the short one. */
  function some<Value>(all: readonly Value[], short: number): readonly Value[] {
    return sweep.numbers(all.length, short).flatMap(number => all[number - 1] ?? []);
  }

  /** What can go wrong meets each command in the long form, and one of them in the short one. */
  async function meet({ what, run, undo }: Mishap): Promise<void> {
    try {
      const chosen = isFullSweep() ? lookers : [sweep.random.pick(lookers)];
      for (const [command, args] of chosen) {
        const way = sweep.random.pick(ways);
        await sweep.case(`${what}: ${command}, secrets by ${way}`, async () => {
          forgetRestored(bed);
          sweep.tried('fails: a command');
          const outcome = await bed.run(command, args(bed), { way, input: 'a note\n', ...run });
          expect(defects, outcome.output).not.toContain(outcome.code);
        });
      }
    } finally {
      undo?.();
    }
  }

  it('cannot do its work', async () => {
    for (const make of some(plainMishaps, 9)) await meet(make(bed));
    bed.lookAtAll();
  });

  it('is answered with what it has sent', async () => {
    for (const make of some(echoMishaps, 3)) await meet(await make(bed));
    bed.lookAtAll();
  });

  it('finds changed passphrases in the repository', async () => {
    const changed = await ChangedInfo.open(
      sweep.random,
      join(bed.root, 'repo1'),
      bed.folder('changed'),
      bed.labels()[0] ?? '',
      bed.secrets['repo1-cipher-pass'] ?? '',
    );
    for (let round = 0; round < shortOrFull(300, 10_000); round++) {
      const { what, said } = await changed.next();
      sweep.tried('fails: a changed info file or manifest');
      await sweep.case(what, () => expect(describeSightings(what, bed.canaries.find(Buffer.from(said)))).toEqual([]));
    }
  });

  it('is killed in the middle', async () => {
    const cases = [
      {
        command: 'restore',
        under: 'restored/other',
        args: lookers.find(([name]) => name === 'restore')?.[1](bed) ?? [],
      },
      { command: 'backup', under: 'repo1', args: ['--no-online', '--type=full', '--repo=1'] },
    ];
    const injector = new Injector(bed.user, bed.folder('injector'), bed.tool as [string, string]);
    for (const { command, under, args } of cases) {
      const places = [join(bed.root, under)];
      const prepare = () => (command === 'restore' ? forgetRestored(bed) : change(bed, `${Math.random()}`));
      prepare();
      const kinds = ['create'] as const;
      const count = await injector.count({ under: places, kinds }, tool => bed.run(command, args, { tool }));
      for (const nth of sweep.numbers(count, 2)) {
        await sweep.case(`${command}, killed at file ${nth}`, async () => {
          prepare();
          sweep.tried(`killed: ${command}`);
          const run = injector.prepare({ under: places, kinds, nth, fault: 'kill-after' });
          await bed.run(command, args, { tool: run.tool });
          bed.lookAtAll();
        });
      }
    }
  });

  it('gets signals, and is asked for a report', async () => {
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      const { what, run, asked, undo } = await silentService(bed);
      try {
        await sweep.case(`${what}, ${signal}`, async () => {
          sweep.tried('signals');
          const reports = bed.folder('work/reports');
          const before = readdirSync(reports).length;
          // Node takes the last signal that it is given for reports
          const report = `--report-on-signal --report-signal=SIGUSR2 --report-directory=${reports}`;
          const outcome = await bed.run('info', [], {
            ...run,
            way: 'environment',
            alone: true,
            env: { NODE_OPTIONS: report },
            onStart: pid => {
              const timer = setInterval(() => {
                if (asked() === 0) return;
                clearInterval(timer);
                process.kill(pid, signal);
                setTimeout(() => process.kill(pid, 'SIGTERM'), 500);
              }, 20);
            },
          });
          expect(outcome.output).not.toContain('Debugger');
          expect(readdirSync(reports).length - before).toBe(signal === 'SIGUSR2' ? 1 : 0);
        });
      } finally {
        undo?.();
      }
    }
    bed.lookAtAll();
  });

  it('comes to its end', async () => {
    await take(end);
    bed.lookAtAll();
  });
});

describe('secrets that are where they do not belong', () => {
  const canaries = new Canaries(sweep.random);
  const base = ['--stanza=demo', '--pg1-path=/pg'];

  /** Everything that could be said, by every command. */
  function judge(what: string, argvs: readonly (readonly string[])[], environment: NodeJS.ProcessEnv): void {
    for (const argv of argvs) {
      sweep.tried('misplaced: told');
      const found = describeSightings(what, canaries.find(Buffer.from(told(argv, environment))));
      expect(found, `again: ${sweep.again}`).toEqual([]);
    }
  }

  const asked = (options: readonly string[]): string[][] => [
    ...['info', 'backup', 'restore', 'check', 'archive-push', 'verify'].map(name => [...options, ...base, name]),
    ...['restore', 'backup'].map(name => [...options, 'help', name]),
  ];

  /** Also by a process of its own: some in the short form. */
  const isRun = () => sweep.random.chance(shortOrFull(6, 100));

  it.each(commandLines)('on the command line: %s', async (what, make) => {
    const argv = make(canaries.make(what));
    judge(
      what,
      [
        ['--no-config', ...argv],
        ['--no-config', ...base, ...argv],
      ],
      {},
    );
    if (!isRun()) return;
    const secret = bed.canaries.make(what);
    sweep.tried('misplaced: run');
    await bed.start(what, ['--no-config', ...make(secret)]);
  });

  it.each(lines)('in a configuration file: %s', async (what, make) => {
    const text = (secret: string) => Buffer.from(`[global]\n${make(secret)}\n`, 'latin1');
    const config = bed.secretFile('odd.conf', text(canaries.make(what)));
    judge(what, asked([`--config=${config}`]), {});
    if (!isRun()) return;
    bed.secretFile('odd.conf', text(bed.canaries.make(what)));
    for (const [index, argv] of asked([`--config=${config}`, `--log-path=${bed.root}/log`]).entries()) {
      if (!isFullSweep() && index !== 2) continue;
      sweep.tried('misplaced: run');
      await bed.start(what, argv);
    }
  });

  it.each(variables)('in the environment: %s', async (what, make) => {
    judge(what, asked(['--no-config']), make(canaries.make(what)));
    if (!isRun()) return;
    sweep.tried('misplaced: run');
    await bed.start(what, ['--no-config', ...base, 'restore'], { env: make(bed.canaries.make(what)) });
  });
});

describe.skipIf(real === undefined)('modes', () => {
  const project = runnableProject(unprivilegedUser());
  afterAll(() => project.remove());
  const all = ['000', '022', '077'].flatMap(umask => [true, false].map(neutral => ({ umask, neutral })));

  it.each(shortOrFull([{ umask: '000', neutral: false }], all))(
    'are those of the real tool, under $umask, neutral $neutral',
    async one => {
      sweep.tried('modes');
      const [ours, theirs] = [await modesOf(project.command, one), await modesOf([real?.path ?? ''], one)];
      // each tool has files that the other one has not
      const common = [...ours].filter(([name]) => theirs.has(name));
      expect(common.length).toBeGreaterThan(60);
      expect(Object.fromEntries(common)).toEqual(Object.fromEntries(common.map(([name]) => [name, theirs.get(name)])));
    },
  );
});

describe('a server that wants a password', () => {
  let part: ServerPart;
  beforeAll(async () => {
    part = await ServerPart.start(bed);
  });
  afterAll(() => part?.dispose());

  const look = () => {
    bed.lookAtAll();
    const log = describeSightings('log of the server', bed.canaries.find(Buffer.from(part.cluster.log)));
    expect(log).toEqual([]);
  };

  it('is asked for WAL, and gives a backup', async () => {
    const usual = sweep.random.pick(passwordPlaces);
    expect((await part.run(usual, 'stanza-create')).code).toBe(0);
    for (const place of shortOrFull<readonly PasswordPlace[]>([usual], passwordPlaces)) {
      for (const command of shortOrFull(['check'], ['check', 'backup', 'stanza-upgrade'])) {
        await sweep.case(`${command}, password by ${place}`, async () => {
          sweep.tried('password of a server');
          const outcome = await part.run(place, command);
          expect(outcome.code, outcome.output).toBe(0);
        });
      }
    }
    look();
  });

  it('refuses a wrong one', async () => {
    for (const place of shortOrFull<readonly PasswordPlace[]>([sweep.random.pick(passwordPlaces)], passwordPlaces)) {
      sweep.tried('password of a server');
      const outcome = await part.run(place, 'check', [], bed.canaries.make('wrong password'));
      expect(outcome.code, outcome.output).toBe(27);
    }
    look();
  });
});

describe.skipIf(!requireS3Server())('a repository in a bucket', () => {
  let part: BucketPart;
  beforeAll(async () => {
    part = await BucketPart.open(bed, await s3Lab());
  });
  afterAll(() => part?.close());

  it('takes keys from everywhere, and tells them nobody', async () => {
    const [usual] = part.places;
    expect((await bed.run('stanza-create', ['--no-online'], usual?.run)).code).toBe(0);
    const commands = lookers.filter(([name]) => !/^(check|restore|manifest|annotate|repo-get)$/.test(name));
    for (const { what, run } of part.places) {
      for (const [command, args] of isFullSweep() ? commands : [sweep.random.pick(commands)]) {
        await sweep.case(`${command}, key by ${what}`, async () => {
          sweep.tried('keys of a bucket');
          const outcome = await bed.run(command, args(bed), { ...run, input: 'a note\n' });
          expect([0, 1], outcome.output).toContain(outcome.code);
        });
      }
    }
    for (const { what, run } of part.wrong(bed)) {
      for (const [command, args] of isFullSweep() ? commands : [sweep.random.pick(commands)]) {
        await sweep.case(`${command}, ${what}`, async () => {
          sweep.tried('refused by a bucket');
          const outcome = await bed.run(command, args(bed), { ...run, input: 'a note\n' });
          expect(defects, outcome.output).not.toContain(outcome.code);
        });
      }
    }
    bed.lookAtAll();
  });
});
