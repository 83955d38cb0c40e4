/**
 * The connection to PostgreSQL is cut, or falls silent, at every message: the command says so, the server is no longer in a
 * backup, and the next command is none the worse.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorKind, errorCodes } from '../../../src/base/error.ts';
import { BadInputBed } from '../../integration/bad-input-bed.ts';
import { isFullSweep, Sweep } from '../../support/sweep/sweep.ts';
import { giveTo } from '../../support/unprivileged.ts';
import { type Cut, CutProxy } from './cut-proxy.ts';

const sweep = new Sweep('fault');
let bed: BadInputBed;
let proxy: CutProxy;
let folder: string;

beforeAll(async () => {
  bed = await BadInputBed.create(1, { 'repo1-bundle': 'y', 'compress-type': 'none', 'repo1-retention-full': 2 });
  folder = join(bed.cluster.root, 'proxy');
  mkdirSync(folder);
  giveTo(bed.cluster.user, folder);
  proxy = await CutProxy.start(folder, bed.cluster.socketDirectory, bed.cluster.port);
});
afterAll(async () => {
  await proxy?.close();
  await bed?.dispose();
  sweep.report('connection');
});

interface Scenario {
  readonly name: string;
  readonly args: readonly string[];
  readonly short: number;
  /** Other exit codes that are right. */
  readonly codes?: readonly ErrorKind[];
  /** What exit code 0 says. */
  complete(before: readonly string[]): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

const scenarios: readonly Scenario[] = [
  { name: 'check', args: ['check'], short: 2, complete: nothing, codes: ['config'] },
  { name: 'stanza-create', args: ['stanza-create'], short: 1, complete: nothing },
  { name: 'stanza-upgrade', args: ['stanza-upgrade'], short: 1, complete: nothing },
  {
    name: 'backup',
    args: ['backup', '--type=full'],
    short: 2,
    async complete(before) {
      const now = await bed.listed();
      expect(now.at(-1)).not.toBe(before.at(-1));
    },
  },
];

const through = (args: readonly string[]): string[] => [...args, `--pg1-socket-path=${folder}`];

/** All cuts, or some of them. */
function cuts(messages: CutProxy['counts'], short: number): Cut[] {
  const all: Cut[] = [];
  for (let nth = 1; nth <= messages.client; nth++)
    for (const how of ['before', 'after'] as const) all.push({ side: 'client', nth, how });
  for (let nth = 1; nth <= messages.server; nth++) all.push({ side: 'server', nth, how: 'before' });
  const silent: Cut[] = [1, 2, 3].map(() => ({
    side: sweep.random.pick(['client', 'server'] as const),
    nth: sweep.random.between(1, messages.client),
    how: 'silence',
  }));
  if (isFullSweep()) return [...sweep.mine(all), ...silent];
  return [...Array.from({ length: short }, () => sweep.random.pick(all)), ...(short > 3 ? silent.slice(0, 1) : [])];
}

/** No session is left that a backup could be in. */
async function serverIsFree(): Promise<void> {
  await bed.cluster.waitFor(
    "select count(*) = 0 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    20_000,
  );
}

async function meet(scenario: Scenario, cut: Cut): Promise<void> {
  const before = await bed.listed();
  proxy.set(cut);
  // two seconds until a silent server is given up, and five for it to obey
  const limits = cut.how === 'silence' ? ['--db-timeout=2', '--protocol-timeout=4'] : [];
  const result = await bed.run(...through(scenario.args), ...limits);
  const { done } = proxy;
  proxy.set();
  proxy.breakAll();
  try {
    expect(result.signal).toBeUndefined();
    if (result.code === 0) await scenario.complete(before);
    else {
      expect(done, 'the connection was cut').toBe(true);
      const codes = (['db-connect', 'db-query', ...(scenario.codes ?? [])] as const).map(
        kind => errorCodes[kind] as number,
      );
      expect(codes).toContain(result.code);
      expect(result.output).toMatch(/unable to (connect to|complete query|execute query)|timed out/);
    }
    await serverIsFree();
    const again = await bed.run(...through(scenario.args));
    expect(again.code, again.output).toBe(0);
  } catch (error) {
    throw new Error(
      `${error instanceof Error ? error.message : String(error)}\nexit code ${result.code}\n${result.output}`,
    );
  }
}

describe('a connection that is cut', () => {
  test.each(scenarios.map(scenario => [scenario.name, scenario] as const))(
    '%s',
    { timeout: 3_600_000 },
    async (name, scenario) => {
      proxy.set();
      await bed.expectOk(...through(scenario.args));
      const wrong: string[] = [];
      for (const cut of cuts({ ...proxy.counts }, scenario.short)) {
        const what = `${name}: ${cut.how} ${cut.side} message ${cut.nth}`;
        sweep.tried(`${name}, connection, ${cut.how} ${cut.side} message`);
        await sweep.case(what, () => meet(scenario, cut)).catch(error => wrong.push(String(error)));
      }
      if (wrong.length > 0) throw new Error(`${wrong.length} cases went wrong\n\n${wrong.join('\n\n')}`);
    },
  );

  test('what was backed up through all that is sound', async () => {
    await bed.expectOk('backup', '--type=full');
    expect(await bed.expectOk('verify', '--output=text', '--verbose')).not.toMatch(/status: (error|invalid)/);
    const restored = await bed.stanza.restore([...bed.tool], ['--type=immediate', '--target-action=promote']);
    await restored.start();
    await restored.waitFor('select not pg_is_in_recovery()');
    expect(await restored.fingerprint('select id, md5(content) from big order by id')).toBe(
      await bed.cluster.fingerprint('select id, md5(content) from big order by id'),
    );
  });
});
