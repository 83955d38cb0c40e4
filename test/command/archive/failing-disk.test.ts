/** Asynchronous archiving where a file beside the WAL cannot be looked at or read in one piece. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AsyncPushBed, segmentName } from '../../integration/async-push-bed.ts';
import { Injector } from '../../support/sweep/injector.ts';
import { runnableProject } from '../../support/unprivileged-project.ts';

let bed: AsyncPushBed;
let injector: Injector;
const project: { current?: ReturnType<typeof runnableProject> } = {};
beforeAll(async () => {
  bed = await AsyncPushBed.create();
  project.current = runnableProject(bed.bed.user);
  injector = new Injector(bed.bed.user, join(bed.bed.folder, 'lock'), project.current.command);
});
afterAll(() => {
  bed?.dispose();
  project.current?.remove();
});

it('a status that is read in two pieces is told whole', async () => {
  bed.ready(4);
  const said = 'dropped WAL file because somebody wanted that';
  const path = bed.bed.write(`spool/archive/demo/out/${segmentName(4)}.ok`, `0\n${said}`);
  bed.bed.own();
  const run = injector.prepare({ under: [path], kinds: ['read'], nth: 1, fault: 'short', onwards: true });
  const { code, output } = await bed.bed.run(run.tool, ['archive-push', '--archive-async', `pg_wal/${segmentName(4)}`]);
  expect(output).toContain(`WARN: ${said}`);
  expect(code).toBe(0);
  await bed.backgroundEnds();
});

it('a lock that the background process is handed, and cannot look at, is an error of the lock', async () => {
  bed.ready(6);
  const under = [join(bed.bed.folder, 'lock')];
  const run = injector.prepare({ under, kinds: ['stat'], nth: 1, fault: 'EIO', process: 'background', onwards: true });
  const asked = ['archive-push', '--archive-async', '--archive-timeout=10', `pg_wal/${segmentName(6)}`];
  const { code, output } = await bed.bed.run(run.tool, asked);
  expect(output).toContain('the background process has failed [50] and could not write why');
  expect(code).toBe(50);
  await bed.backgroundEnds();
});

it('a destination that cannot be looked at is not one that is missing', async () => {
  bed.bed.segment(segmentName(5));
  expect(await bed.bed.push(`pg_wal/${segmentName(5)}`)).toMatchObject({ code: 0 });
  const target = join(bed.bed.folder, 'target');
  mkdirSync(target);
  bed.bed.own();
  const run = injector.prepare({ under: [target], kinds: ['stat'], nth: 1, fault: 'EIO', process: 'foreground' });
  const asked = ['archive-get', '--archive-async', segmentName(5), join(target, 'RECOVERYXLOG')];
  const { code, output } = await bed.bed.run(run.tool, asked);
  expect(output).toContain(`ERROR: [041]: unable to get info for path/file '${target}': [5] I/o error`);
  expect(code).toBe(41);
  await bed.backgroundEnds();
});
