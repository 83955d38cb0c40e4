/** Performs steps: the command on the repositories, and what it should come to on the model. */
import type { BackupLabel } from '../../../src/repo/label.ts';
import { checkExpired, checkLabel, checkUnchanged, needed, unfinishedUse } from './expectations.ts';
import { type ExpireWish, expire, type ModelBackup, type ModelRepo } from './model.ts';
import type { Step } from './steps.ts';
import { current, type Ended, pick, type RepoState, type World } from './world.ts';

/** Of every backup. */
const firstNotes: ReadonlyMap<string, string> = new Map([['from', 'start']]);

type Of<Kind extends Step['kind']> = Extract<Step, { readonly kind: Kind }>;

/** @throws when something is not as it should be */
export async function perform(world: World, step: Step): Promise<void> {
  switch (step.kind) {
    case 'backup':
      return await backup(world, step);
    case 'wal':
      for (let count = 0; count < step.segments; count++) await world.switchWal(count === 0 ? step.break : undefined);
      return;
    case 'promote':
      return await promote(world, step);
    case 'upgrade':
      return await upgrade(world, step);
    case 'expire':
      return await expireStep(world, step);
    case 'annotate':
      return await annotate(world, step);
    case 'clock':
      world.clock.seconds += step.seconds;
      return;
    case 'retention': {
      const repo = world.repos[step.repo - 1];
      if (repo !== undefined) repo.retention = step.retention;
      world.configure();
    }
  }
}

async function promote(world: World, { back, partial }: Of<'promote'>): Promise<void> {
  const { position } = world.cluster;
  if (partial) await world.archive(`${position.name()}.partial`);
  const { name, text } = position.promote(back);
  await world.archive(name, text);
}

async function upgrade(world: World, step: Of<'upgrade'>): Promise<void> {
  world.cluster.replace(step.version);
  world.cluster.change(world.clock.seconds);
  const { result, isBroken } = await world.attempt('stanza-upgrade', ['--no-online'], step.break);
  if (isBroken) await world.run('stanza-upgrade', ['--no-online']);
  else if (result?.error !== undefined) throw result.error;
  world.dbs.push({ id: world.dbs.length + 1, version: step.version });
}

async function annotate(world: World, step: Of<'annotate'>): Promise<void> {
  const labels = [...new Set(world.repos.flatMap(({ backups }) => backups.map(({ label }) => label)))].sort();
  const label = pick(labels, step.which);
  if (label === undefined) return;
  const args = [`--set=${label}`, `--annotation=note=${step.note}`];
  const { result, isBroken } = await world.attempt('annotate', args, step.break);
  // which of the repositories has got it nobody knows
  if (isBroken) await world.run('annotate', args);
  else if (result?.error !== undefined) throw result.error;
  for (const repo of world.repos) {
    repo.isUnsettled = false;
    repo.backups = repo.backups.map(entry => {
      if (entry.label !== label) return entry;
      const notes = new Map(entry.notes);
      if (step.note === '') notes.delete('note');
      else notes.set('note', step.note);
      return { ...entry, notes };
    });
  }
}

async function backup(world: World, step: Of<'backup'>): Promise<void> {
  const { clock, cluster } = world;
  const repos = world.chosen(step.repo);
  cluster.change(clock.seconds);
  const content = cluster.content();
  const plans = repos.map(repo => ({ repo, ...needed(world, repo, step.type), known: checkLabel.known(repo) }));
  const first = cluster.position.name();
  const begun = clock.seconds;
  current.online = step.online
    ? { position: cluster.position, clock, ...step, switchWal: () => world.switchWal() }
    : undefined;
  const args = [
    `--type=${step.type}`,
    '--no-checksum-page',
    ...(step.repo === 'all' ? ['--backup-fan-out'] : [`--repo=${step.repo}`]),
    ...(step.online ? [] : ['--no-online']),
    ...(step.expire ? [] : ['--no-expire-auto']),
    ...(step.resume ? [] : ['--no-resume']),
    '--annotation=from=start',
  ];
  const before = new Map(repos.map(repo => [repo, new Set<string>(repo.disk.complete())]));
  const attempted = await world.attempt('backup', args, step.break, true);
  current.online = undefined;
  const error = attempted.result?.error;
  const isLate = error !== undefined && checkLabel.isLate(world, plans, begun);
  if (error !== undefined && !attempted.isBroken && !(isLate && (error.code === 106 || plans.length > 1))) throw error;
  const ended = { ...attempted, isBroken: attempted.isBroken || isLate };
  for (const { repo, type, needs, known } of plans) {
    const made = repo.disk.complete().filter(label => !before.get(repo)?.has(label));
    if (made.length > 1) throw new Error(`one backup made ${made.join(', ')}`);
    const [label] = made;
    if (label === undefined) {
      if (!ended.isBroken) throw new Error(`repo${repo.key} has no new backup`);
      continue;
    }
    checkLabel.isNext(label, type, needs, known);
    const stop = (await repo.disk.repo.loadManifest(label, (await repo.disk.info()).cipherPass)).header.timestampStop;
    const entry: ModelBackup = {
      label,
      type,
      needs,
      dbId: world.dbs.length,
      ...(step.online ? { wal: [first, lastOf(world, first, step.segments)] as const } : {}),
      stop,
      content,
      notes: firstNotes,
    };
    repo.backups = [...repo.backups, entry].sort((a, b) => (a.label < b.label ? -1 : 1));
    repo.history = new Set(repo.history).add(label);
  }
  await expireAfterwards(world, repos, step.expire, ended);
}

/** The segment in which a backup ended. */
function lastOf({ cluster: { position } }: World, first: string, segments: number): string {
  return position.name(
    Number.parseInt(first.slice(8, 16), 16) * 4096 + Number.parseInt(first.slice(16), 16) + segments,
  );
}

async function expireAfterwards(
  world: World,
  repos: readonly RepoState[],
  isAsked: boolean,
  ended: Ended,
): Promise<void> {
  for (const repo of repos) {
    const wish = await wishOf(world, repo, {});
    const model = world.modelOf(repo);
    const after = isAsked ? expire(model, wish) : model;
    if (after === 'refused') throw new Error('retention is never refused');
    await take(world, repo, model, after, ended.isBroken);
    if (!ended.isBroken) {
      repo.isUnsettled = false;
      repo.isLinkStale = false;
      if (isAsked) checkExpired(world, repo);
    }
  }
}

async function wishOf(
  world: World,
  repo: RepoState,
  { set, oldest, before }: Pick<ExpireWish, 'set' | 'oldest' | 'before'>,
): Promise<ExpireWish> {
  return {
    set,
    oldest: oldest === true,
    before,
    now: Math.floor(world.clock.seconds),
    inUse: await unfinishedUse(world, repo),
    formatTime: seconds => world.labelTime(seconds),
  };
}

async function expireStep(world: World, step: Of<'expire'>): Promise<void> {
  const repos = world.chosen(step.repo);
  const segments = repos
    .flatMap(({ archive }) => [...(archive.get(world.archiveId) ?? [])])
    .filter(isSegment)
    .sort();
  const [set, before] = [world.setOf(step), pick(segments, step.before)];
  const args = [
    ...(step.repo === 'all' ? [] : [`--repo=${step.repo}`]),
    ...(set === undefined ? [] : [`--set=${set}`]),
    ...(step.oldest ? ['--oldest'] : []),
    ...(before === undefined ? [] : [`--archive-expire-before=${before}`]),
    ...(step.dryRun ? ['--dry-run'] : []),
  ];
  const expected: { repo: RepoState; model: ModelRepo; after: ModelRepo | 'refused' }[] = [];
  for (const repo of repos) {
    const model = world.modelOf(repo);
    const wish = await wishOf(world, repo, { set, oldest: step.oldest === true, before });
    expected.push({ repo, model, after: expire(model, wish) });
  }
  const photographs = step.dryRun ? repos.map(({ disk }) => disk.photograph()) : [];
  const ended = await world.attempt('expire', args, step.break);
  const isRefused = expected.some(({ after }) => after === 'refused');
  if (!ended.isBroken) {
    const error = ended.result?.error;
    if (isRefused !== (error !== undefined))
      throw new Error(`expire should ${isRefused ? '' : 'not '}be refused: ${ended.result?.log.join('\n')}`);
  }
  if (step.dryRun) return checkUnchanged(repos, photographs);
  for (const { repo, model, after } of expected) {
    await take(world, repo, model, after === 'refused' ? model : after, ended.isBroken);
    if (ended.isBroken || after === 'refused') continue;
    repo.isUnsettled = false;
    checkExpired(world, repo);
  }
}

const isSegment = (name: string): boolean => /^[0-9A-F]{24}$/.test(name);

/**
 * Takes over what a command has come to: what the model says, or, of one that was cut off, what is there, if it lies between
 * before and after.
 */
async function take(
  { clock }: World,
  repo: RepoState,
  before: ModelRepo,
  after: ModelRepo,
  isBroken: boolean,
): Promise<void> {
  Object.assign(repo, { backups: after.backups, archive: after.archive, history: after.history });
  if (!isBroken) return;
  repo.isUnsettled = true;
  repo.isLinkStale = true;
  const { disk } = repo;
  const complete = new Set<string>(disk.complete());
  for (const label of disk.directories()) if (!complete.has(label)) disk.touch(label, clock.seconds);
  const must = new Set(after.backups.map(({ label }) => label));
  // one that the list has lost is found again by its manifest, which knows the notes that it was made with
  const listed = new Set<string>((await disk.info()).backups.map(({ label }) => label));
  repo.backups = before.backups
    .filter(({ label }) => complete.has(label) || must.has(label))
    .map(entry => (listed.has(entry.label) ? entry : { ...entry, notes: firstNotes }));
  const torn = repo.backups.map(({ label }) => label).filter(label => !must.has(label));
  repo.torn = new Set([...repo.torn, ...torn]);
  const archive = disk.archive();
  const between = new Map<string, ReadonlySet<string>>();
  for (const [id, names] of before.archive) {
    const needs = after.archive.get(id) ?? new Set();
    const left = [...names].filter(name => archive.get(id)?.has(name) === true || needs.has(name));
    if (left.length > 0 || archive.has(id)) between.set(id, new Set(left));
  }
  repo.archive = between;
  const history = disk.history();
  // a backup that was cut off may have come as far as its history
  const isNew = (label: string) => !before.history.has(label) && !disk.complete().includes(label as BackupLabel);
  repo.history = new Set([
    ...[...before.history].filter(label => history.has(label) || after.history.has(label)),
    ...[...history].filter(isNew),
  ]);
}
