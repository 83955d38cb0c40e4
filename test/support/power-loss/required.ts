/** The sweep needs strace. */
import { missingRecorder } from './trace.ts';

/** @returns why the tests are to be skipped, or undefined @throws where PGBACKSTOP_REQUIRE_COMPAT=1 forbids skipping, as in CI */
export function requireRecorder(): string | undefined {
  const missing = missingRecorder();
  if (missing === undefined) return undefined;
  if (process.env.PGBACKSTOP_REQUIRE_COMPAT === '1') throw new Error(`test/sweep/power-loss: ${missing}`);
  console.log(`test/sweep/power-loss: skipped, ${missing}`);
  return missing;
}
