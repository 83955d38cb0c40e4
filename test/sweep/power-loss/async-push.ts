/** The power fails while segments are pushed in the background: what the spool says is done is in the repository. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AsyncPushBed, segmentName } from '../../integration/async-push-bed.ts';
import {
  type CrashState,
  crashStates,
  type Recording,
  type Rules,
  unexplained,
  withoutSyncs,
} from '../../support/power-loss/replay.ts';
import { recorder, takeTrace } from '../../support/power-loss/trace.ts';
import { readTree, wordOf, writeTree } from '../../support/power-loss/tree.ts';
import { Random } from '../../support/random.ts';
import { type Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { type RunnableProject, runnableProject } from '../../support/unprivileged-project.ts';

const segments = [1, 2, 3].map(segmentName);
let bed: AsyncPushBed;
let project: RunnableProject;
let recording: Recording;

const ignored = (path: string): boolean => /\/(data|lock|log|traces|got|pgbackrest\.conf)$/.test(path);

/** Whether the path or a folder that it is in is not watched. */
const below = (folder: string, path: string): boolean =>
  ignored(join(folder, path.slice(folder.length + 1).split('/')[0] ?? ''));

/** @returns what is told to be archived and is not there, and what is there in part */
const rules: Rules = ({ tree, done }) => {
  const broken: string[] = [];
  const told = new Set(done ? [segments[0]] : []);
  for (const path of tree.keys()) {
    const status = /\/spool\/archive\/demo\/out\/([0-9A-F]{24})\.ok$/.exec(path);
    if (status !== null) told.add(status[1]);
    if (
      /\/repo1\/.*[0-9A-F]{24}-[0-9a-f]{40}/.test(path) &&
      !path.endsWith('.tmp') &&
      wordOf(tree.get(path)) !== wordOf(recording.after.get(path))
    )
      broken.push(`${path} is half written`);
  }
  for (const name of told) {
    const path = [...recording.after.keys()].find(each => each.includes(`/repo1/`) && each.includes(`/${name}-`));
    if (path === undefined || wordOf(tree.get(path)) !== wordOf(recording.after.get(path)))
      broken.push(`${name} was reported as archived and is ${path === undefined ? 'nowhere' : wordOf(tree.get(path))}`);
  }
  return broken;
};

export function watchAsyncPush(sweep: Sweep): void {
  beforeAll(async () => {
    bed = await AsyncPushBed.create();
    project = runnableProject(bed.bed.user);
    for (const number of [1, 2, 3]) bed.ready(number);
    bed.bed.write('traces/trace', '');
    bed.bed.write('got/nothing', '');
    bed.bed.own();
    const { folder } = bed.bed;
    const file = join(folder, 'traces/trace');
    const before = readTree(folder, path => ignored(path));
    const options = ['--archive-async', '--process-max=2', '--compress-type=lz4'];
    const { code, output } = await bed.bed.run(
      [...recorder(file), ...project.command],
      ['archive-push', ...options, `pg_wal/${segments[0]}`],
    );
    expect(code, output).toBe(0);
    const after = readTree(folder, ignored);
    recording = { root: folder, ignored: path => below(folder, path), before, calls: takeTrace(file), after };
  });
  afterAll(() => {
    bed?.dispose();
    project?.remove();
  });

  it('reports nothing that a crash could take back', async () => {
    expect(unexplained(recording)).toEqual([]);
    const states = crashStates(recording, sweep.random, shortOrFull(2, 12));
    sweep.tried('archive-push async, states by rules', states.length);
    expect(states.flatMap(rules), sweep.again).toEqual([]);
    for (let count = 0; count < shortOrFull(1, 40); count++) {
      const state = sweep.random.pick(states);
      await sweep.case(`archive-push async, ${state.how}`, () => goesOn(state));
      sweep.tried('archive-push async, states by programs');
    }
  });

  it('is found to lose segments when it does not sync', () => {
    const without = (dropped?: (path: string) => boolean): string =>
      crashStates(withoutSyncs(recording, dropped), new Random(1), 1).flatMap(rules).join('\n');
    expect(without(path => path.endsWith('.tmp'))).toMatch(/is half written/);
    expect(without(path => path.endsWith('/0000000100000000'))).toMatch(/was reported as archived and is nothing/);
  });
}

/** PostgreSQL hands over again what it has not taken note of, and gets back what it handed over. */
async function goesOn({ tree }: CrashState): Promise<void> {
  writeTree(bed.bed.folder, tree, { user: bed.bed.user, ignored });
  for (const [index, name] of segments.entries()) {
    const pushed = await bed.push(name);
    expect(pushed.code, pushed.output).toBe(0);
    const got = join(bed.bed.folder, 'got', name);
    const fetched = await bed.bed.get(name, got);
    expect(fetched.code, fetched.output).toBe(0);
    expect(bed.bed.segment(name).equals(readFileSync(got)), `segment ${index + 1}`).toBe(true);
  }
  await bed.backgroundEnds();
}
