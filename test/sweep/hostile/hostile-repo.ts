/** Repositories that our program made, and somebody then changed who may write to them and knows their format. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import fc from 'fast-check';
import type { Random } from '../../support/random.ts';
import { changeBytes } from './bytes.ts';
import type { Inputs } from './fuzz.ts';
import { changedInfo } from './info-text.ts';

/** Changes a repository once. @returns what was done */
export function spoil(repo: string, outside: string, random: Random): string {
  // nobody reads the history
  const all = below(repo).filter(path => !path.includes('/backup.history'));
  const files = all.filter(path => lstatSync(path).isFile());
  const folders = all.filter(path => lstatSync(path).isDirectory());
  const file = random.pick(files);
  const name = relative(repo, file);
  switch (random.between(0, 11)) {
    case 0:
    case 1: {
      const others = files.slice(0, 3).map(path => readFileSync(path));
      writeFileSync(file, changeBytes(readFileSync(file), random, others));
      return `bytes of ${name}`;
    }
    case 2:
    case 3:
    case 4:
    case 5:
      return spoilInfo(repo, random);
    case 6: {
      const kind = random.pick(['outside', 'itself', 'zero', 'folder', 'pipe', 'nothing', 'hole']);
      replace(file, kind, outside);
      return `${name} is ${kind}`;
    }
    case 7: {
      const folder = random.pick(folders.filter(path => path !== repo));
      rmSync(folder, { recursive: true });
      symlinkSync(random.chance(50) ? outside : folder, folder);
      return `${relative(repo, folder)} is a link`;
    }
    case 8: {
      const other = random.pick(files);
      renameSync(file, `${file}.other`);
      if (other !== file) renameSync(other, file);
      renameSync(`${file}.other`, other);
      return `${name} and ${relative(repo, other)} are exchanged`;
    }
    case 9:
      rmSync(file);
      return `${name} is gone`;
    default:
      return plant(random.pick(folders), outside, repo, random);
  }
}

/** Both copies of an info file or a manifest, with the right checksum; of one that is encrypted, bytes. */
function spoilInfo(repo: string, random: Random): string {
  const infos = below(repo).filter(path => /\/(archive\.info|backup\.info|backup\.manifest)$/.test(path));
  const path = random.pick(infos);
  const text = readFileSync(path);
  if (!text.toString('latin1').startsWith('[backrest]')) {
    for (const copy of ['', '.copy']) writeFileSync(path + copy, changeBytes(text, random, [text]));
    return `bytes of ${relative(repo, path)}`;
  }
  const built = pick(changedInfo([text.toString()]), random.between(0, 1_000_000_000));
  for (const copy of ['', '.copy']) writeFileSync(path + copy, built);
  return `entries of ${relative(repo, path)}`;
}

function pick<Description>(inputs: Inputs<Description>, seed: number): Buffer {
  const [description] = fc.sample(inputs.arbitrary, { seed, numRuns: 1 });
  if (description === undefined) throw new Error('nothing was made');
  return inputs.build(description);
}

function replace(path: string, kind: string, outside: string): void {
  rmSync(path);
  if (kind === 'outside') symlinkSync(join(outside, 'precious'), path);
  else if (kind === 'itself') symlinkSync(path, path);
  else if (kind === 'zero') symlinkSync('/dev/zero', path);
  else if (kind === 'folder') mkdirSync(path);
  else if (kind === 'pipe') execFileSync('mkfifo', [path]);
  else writeFileSync(path, '');
  if (kind === 'hole') truncateSync(path, 2 ** 40);
}

/** Something with a name that means something, or that no shell and no parser likes. */
function plant(folder: string, outside: string, repo: string, random: Random): string {
  const name = random.pick([
    ...[
      'a\nb',
      'a=b',
      '[x]',
      '..x',
      ' ',
      'x'.repeat(255),
      '20991231-235959F',
      '20991231-235959F_20991231-235959I',
      '15-99',
    ],
    ...[
      'FFFFFFFFFFFFFFFF',
      '00000001FFFFFFFF',
      `FFFFFFFFFFFFFFFFFFFFFFFF-${'a'.repeat(40)}`,
      'FFFFFFFF.history',
      'latest',
    ],
    ...[
      `0000000100000000000001FF-${'0'.repeat(40)}.gz`,
      'archive.info.copy',
      'backup.manifest.copy',
      '2999',
      'bundle',
      '1',
    ],
  ]);
  const path = join(folder, name);
  if (existsSync(path)) rmSync(path, { recursive: true });
  const kind = random.pick(['file', 'folder', 'link', 'bytes that are no UTF-8']);
  if (kind === 'file') writeFileSync(path, '1\t0/1\tx\n');
  else if (kind === 'folder') mkdirSync(path);
  else if (kind === 'link') symlinkSync(outside, path, 'dir');
  else writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe, 0x61])]), 'x');
  return `${JSON.stringify(name)} (${kind}) in ${relative(repo, folder)}`;
}

/** Everything below a folder, the folder first; no link is followed. Names that are no UTF-8 are left out. */
export function below(folder: string): string[] {
  const found = [folder];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (!existsSync(path) && !entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) found.push(...below(path));
    else found.push(path);
  }
  return found;
}

/** What is in a folder, by what the file system says of it: to see that nothing has changed. */
export function shape(folder: string): string {
  return below(folder)
    .map(path => {
      const { size, mtimeMs, mode, ino } = lstatSync(path);
      const link = lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '';
      return `${path} ${size} ${mtimeMs} ${mode} ${ino} ${link}`;
    })
    .sort()
    .join('\n');
}

/** A folder beside everything, which no command of ours may touch. It looks like a part of a repository. */
export function makeOutside(folder: string): void {
  const wal = `000000010000000000000001-${'a'.repeat(40)}`;
  const names = [
    'precious',
    `0000000100000000/${wal}`,
    '20200101-000000F/backup.manifest',
    'pg_data/PG_VERSION',
    'bundle/1',
  ];
  for (const name of [...names, 'backup.manifest', '15-1/x']) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    appendFileSync(join(folder, name), 'precious');
  }
}
