/** Tells how far a command is: the lock files, where info reads it, and whoever watches a terminal. */
import type { Clock } from '../base/clock.ts';
import type { Lock } from '../base/lock.ts';
import { writeAll } from '../base/log.ts';
import { formatSize, percentHundredths } from '../base/units.ts';
import type { Session } from '../command/session.ts';
import type { Settings } from '../config/index.ts';

/** Milliseconds, and hundredths of a percent, between two words: often enough for those who watch. */
const least = { interval: 100, step: 10 };

/** @param locks of the command, complete once it runs */
export function progressTeller(settings: Settings, locks: readonly Lock[], clock: Clock): Session['progress'] {
  let told: { readonly percent: number; readonly at: number } | undefined;
  return progress => {
    const percentComplete = progress === undefined ? 0 : percentHundredths(progress.sizeComplete, progress.size);
    if (progress === undefined) told = undefined;
    else {
      if (told !== undefined && percentComplete - told.percent < least.step) return;
      const at = clock.monotonic();
      if (told !== undefined && at - told.at < least.interval) return;
      told = { percent: percentComplete, at };
    }
    // info adds up what the locks of all repositories say: only the first, and the one without a key, speak
    for (const lock of new Set([locks[0], locks.at(-1)])) lock?.note(progress && { ...progress, percentComplete });
    if (!isWatched(settings)) return;
    const text =
      progress && `${settings.command} ${(percentComplete / 100).toFixed(1)}% of ${formatSize(progress.size)}`;
    // one line that rewrites itself; a log or a pipe gets lines only
    writeAll(2, `\r${text ?? ''}\x1b[K`);
  };
}

function isWatched({ values }: Settings): boolean {
  return process.stderr.isTTY && !['off', 'detail', 'debug', 'trace'].includes(values['log-level-console']);
}
