/** Runs ours once with V8's profiler, all threads, and tells where the time goes. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Bed } from './bed.ts';
import { Beds } from './beds.ts';
import { postgresVersion } from './bench.ts';
import type { Options } from './command-line.ts';
import {
  addUp,
  busyAndIdle,
  isMainThread,
  parseCpuProfile,
  type SelfTimes,
  selfTimes,
  topSelfTimes,
} from './cpu-profile.ts';
import { watchInterrupt } from './interrupt.ts';
import { type Command, measure } from './measure.ts';
import { ObjectStore } from './object-store.ts';
import type { Row } from './row.ts';
import { openWorkshop, type Workshop } from './tools.ts';

/** Functions that are told of each kind of thread. */
const told = 20;

/** Microseconds between two samples. */
const interval = 200;

/**
 * The commands of a row of ours, profiled.
 * @throws where a row's command is another program that starts ours: nothing of it would be seen
 */
function profiled(row: Row, commands: readonly Command[], launcher: string, folder: string): Command[] {
  return commands.map(command => {
    if (command[0] !== launcher) throw new Error(`${row.name} does not start pgbackstop itself: it cannot be profiled`);
    // the launcher is a shell's program too, which would drop the options
    return ['node', '--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${interval}`, ...command];
  });
}

async function profileRow(row: Row, bed: Bed, { tools }: Workshop, into: string): Promise<string> {
  const reference = tools.at(-1) ?? tools[0];
  const [ours] = tools;
  await row.prepare?.(bed, reference, tools);
  await row.reset?.(bed, ours);
  const seen = bed.emptyFolder('profile');
  const commands = profiled(row, row.commands(bed, ours), ours.command[0] ?? '', seen);
  const { wall, cpu } = await measure(bed.runner, commands);

  const folder = join(into, row.name.replaceAll('/', '-'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const threads = { main: [] as SelfTimes[], workers: [] as SelfTimes[] };
  for (const file of readdirSync(seen)) {
    copyFileSync(join(seen, file), join(folder, file));
    chmodSync(join(folder, file), 0o644);
    threads[isMainThread(file) ? 'main' : 'workers'].push(
      selfTimes(parseCpuProfile(readFileSync(join(seen, file), 'utf8'))),
    );
  }
  if (threads.main.length === 0) throw new Error(`${row.name}: Node wrote no profile`);
  const runs = commands.length === 1 ? '' : ` in ${commands.length} runs`;
  return [
    `${row.name}: ${wall.toFixed(2)} s, processors ${cpu.toFixed(2)} s (with the profiler)${runs}; ${folder}`,
    ...tellThreads('main thread', threads.main),
    ...tellThreads('worker threads', threads.workers),
  ].join('\n');
}

function tellThreads(name: string, threads: readonly SelfTimes[]): string[] {
  if (threads.length === 0) return [];
  const times = addUp(threads);
  const { busy, idle } = busyAndIdle(times);
  return [
    `${name} (${threads.length}): busy ${(busy / 1000).toFixed(2)} s, waiting ${(idle / 1000).toFixed(2)} s`,
    ...topSelfTimes(times, told),
  ];
}

/** Profiles the rows one after the other and prints what it finds. */
export async function profile(chosen: readonly Row[], options: Options): Promise<void> {
  const workshop = await openWorkshop(options);
  const { runner, versions } = workshop;
  const beds = Beds.of(await postgresVersion(runner.user), options, runner);
  const interrupt = watchInterrupt();
  let store: ObjectStore | undefined;
  try {
    console.log(`Node ${versions.Node}, ${versions.ours}`);
    for (const [index, row] of chosen.entries()) {
      interrupt.check();
      const bed = await beds.get(row.bed);
      if (row.roundTrip !== undefined) {
        store ??= await ObjectStore.start();
        bed.useObjectStore(store);
      }
      console.log(`\n${await profileRow(row, bed, workshop, options.profileFolder)}`);
      await beds.keepFor(chosen.slice(index + 1));
    }
  } finally {
    await beds.keepFor([]);
    await store?.close();
    workshop.close();
  }
}
