/** What can happen to a stanza, as plain data: every step means something after any others, so that any can be left out. */
import type { Random } from '../../support/random.ts';
import type { Break } from './breaking-storage.ts';
import type { BackupType, Retention } from './model.ts';

export type Step =
  | {
      readonly kind: 'backup';
      readonly type: BackupType;
      readonly repo: number | 'all';
      readonly online: boolean;
      /** Segments while it runs. */
      readonly segments: number;
      readonly seconds: number;
      /** Whether expire follows. */
      readonly expire: boolean;
      readonly resume: boolean;
      readonly break?: Break;
    }
  | { readonly kind: 'wal'; readonly segments: number; readonly break?: Break }
  | { readonly kind: 'promote'; readonly back: number; readonly partial: boolean }
  | { readonly kind: 'upgrade'; readonly version: '15' | '14'; readonly break?: Break }
  | {
      readonly kind: 'expire';
      readonly repo: number | 'all';
      /** Which backup is asked for, in parts of a thousand of the list. */
      readonly set?: number;
      readonly oldest?: boolean;
      readonly dryRun?: boolean;
      readonly before?: number;
      readonly break?: Break;
    }
  | { readonly kind: 'annotate'; readonly which: number; readonly note: string; readonly break?: Break }
  | { readonly kind: 'clock'; readonly seconds: number }
  | { readonly kind: 'retention'; readonly repo: number; readonly retention: Retention };

/** How a stanza is kept. */
export interface Setting {
  readonly repos: number;
  readonly options: Readonly<Record<string, string>>;
  /** Of each repository. */
  readonly retention: readonly Retention[];
}

const hour = 3600;
const day = 24 * hour;

export function makeSetting(random: Random): Setting {
  const repos = random.chance(35) ? 2 : 1;
  const layout = random.pick(['plain', 'plain', 'bundle', 'block']);
  return {
    repos,
    options: {
      'compress-type': random.pick(['lz4', 'lz4', 'gz', 'zst', 'none']),
      ...Object.fromEntries(
        Array.from({ length: repos }, (_, index) => `repo${index + 1}`).flatMap(repo => [
          ...(layout === 'plain' ? [] : [[`${repo}-bundle`, 'y']]),
          ...(layout === 'block' ? [[`${repo}-block`, 'y']] : []),
          ...(layout === 'plain' && random.chance(25) ? [[`${repo}-hardlink`, 'y']] : []),
          ...(random.chance(25)
            ? [
                [`${repo}-cipher-type`, 'aes-256-cbc'],
                [`${repo}-cipher-pass`, 'secret'],
              ]
            : []),
        ]),
      ),
    },
    retention: Array.from({ length: repos }, () => makeRetention(random)),
  };
}

function makeRetention(random: Random): Retention {
  const fullType = random.chance(25) ? 'time' : 'count';
  return {
    full: random.chance(90) ? random.between(1, fullType === 'time' ? 6 : 3) : undefined,
    fullType,
    diff: random.chance(40) ? random.between(1, 3) : undefined,
    archive: random.chance(45) ? random.between(1, 4) : undefined,
    archiveType: random.pick(['full', 'full', 'diff', 'incr']),
    history: random.chance(20) ? random.between(0, 4) : undefined,
  };
}

export function makeSteps(random: Random, repos: number, count: number): Step[] {
  return Array.from({ length: count }, () => makeStep(random, repos));
}

function makeStep(random: Random, repos: number): Step {
  const dice = random.between(1, 100);
  const repo = () => (repos > 1 && random.chance(40) ? 'all' : random.between(1, repos));
  // the first changes of a command are those that matter
  const broken = (percent: number, last: number): { break?: Break } =>
    random.chance(percent)
      ? { break: { at: random.between(1, random.pick([4, 10, last])), how: random.chance(65) ? 'kill' : 'fail' } }
      : {};
  if (dice <= 42) {
    return {
      kind: 'backup',
      type: random.pick(['full', 'full', 'diff', 'incr', 'incr']),
      repo: repo(),
      online: random.chance(85),
      segments: random.between(0, 2),
      seconds: random.chance(20) ? random.between(hour, 20 * hour) : random.between(0, 100),
      expire: random.chance(50),
      resume: random.chance(80),
      ...broken(25, 45),
    };
  }
  if (dice <= 56) return { kind: 'wal', segments: random.between(1, 4), ...broken(15, 6) };
  if (dice <= 60) return { kind: 'promote', back: random.between(0, 3), partial: random.chance(60) };
  if (dice <= 63) return { kind: 'upgrade', version: random.pick(['15', '14']), ...broken(30, 6) };
  if (dice <= 80) {
    const choice = random.between(1, 10);
    return {
      kind: 'expire',
      repo: repos > 1 && random.chance(20) ? random.between(1, repos) : 'all',
      ...(choice <= 2 ? { set: random.between(0, 999) } : {}),
      ...(choice === 3 ? { oldest: true } : {}),
      ...(choice === 4 ? { before: random.between(0, 999) } : {}),
      ...(random.chance(12) ? { dryRun: true } : broken(25, 30)),
    };
  }
  if (dice <= 84)
    return {
      kind: 'annotate',
      which: random.between(0, 999),
      note: random.chance(30) ? '' : `n${dice}`,
      ...broken(20, 4),
    };
  if (dice <= 97) {
    const seconds = random.pick([
      random.between(1, 5),
      random.between(hour, 3 * day),
      random.between(hour, 3 * day),
      random.between(300 * day, 400 * day),
      -1,
      -random.between(2, 2 * hour),
    ]);
    return { kind: 'clock', seconds };
  }
  return { kind: 'retention', repo: random.between(1, repos), retention: makeRetention(random) };
}

/** One line, as a user would have it. */
export function describeStep(step: Step): string {
  const broken = 'break' in step && step.break !== undefined ? ` # ${step.break.how} at change ${step.break.at}` : '';
  const of = (repo: number | 'all') => (repo === 'all' ? '' : ` --repo=${repo}`);
  switch (step.kind) {
    case 'backup': {
      const { type, repo, online, expire, resume, segments, seconds } = step;
      const options = [
        `--type=${type}`,
        ...(repo === 'all' ? ['--backup-fan-out'] : [`--repo=${repo}`]),
        ...(online ? [] : ['--no-online']),
        ...(expire ? [] : ['--no-expire-auto']),
        ...(resume ? [] : ['--no-resume']),
      ];
      return `backup ${options.join(' ')} (${segments} segments, ${seconds} s)${broken}`;
    }
    case 'wal':
      return `archive-push of ${step.segments} segments${broken}`;
    case 'promote':
      return `a new timeline, from ${step.back} segments ago${step.partial ? ', with a partial segment' : ''}`;
    case 'upgrade':
      return `stanza-upgrade to a new cluster of version ${step.version}${broken}`;
    case 'expire': {
      const { repo, set, oldest, before, dryRun } = step;
      return (
        `expire${of(repo)}${set === undefined ? '' : ` --set=(${set}/1000 of the list)`}${oldest ? ' --oldest' : ''}` +
        `${before === undefined ? '' : ` --archive-expire-before=(${before}/1000 of the WAL)`}${dryRun ? ' --dry-run' : ''}${broken}`
      );
    }
    case 'annotate':
      return `annotate --set=(${step.which}/1000 of the list) --annotation=note=${step.note}${broken}`;
    case 'clock':
      return `the clock goes ${step.seconds < 0 ? 'back' : 'on'} by ${Math.abs(step.seconds)} s`;
    case 'retention':
      return `repo${step.repo}-retention: ${JSON.stringify(step.retention)}`;
  }
}
