/** Does with a manifest what commands do with it: what was read without an error must be good for all of that. */
import { isBackstopError } from '../../../src/base/error.ts';
import { fileJson, headJson } from '../../../src/command/manifest/json.ts';
import { fileText, headText } from '../../../src/command/manifest/text.ts';
import { RestoreLayout } from '../../../src/command/restore/layout.ts';
import { queueRestore } from '../../../src/command/restore/queue.ts';
import { remapManifest } from '../../../src/command/restore/remap.ts';
import { selectZeroed } from '../../../src/command/restore/selective.ts';
import { queueFiles, readAlone, readFromBundle, taskOf } from '../../../src/command/verify/backup-files.ts';
import { decodeBackupInfo, encodeBackupInfo } from '../../../src/repo/backup-info.ts';
import { entryOf } from '../../../src/repo/entry.ts';
import type { Manifest } from '../../../src/repo/manifest/manifest.ts';
import { ManifestReader } from '../../../src/repo/manifest/read.ts';
import { checkFinalManifest } from '../../../src/repo/manifest/validate.ts';
import { writeManifest } from '../../../src/repo/manifest/write.ts';
import { must } from './fuzz.ts';

/** Reads a manifest in pieces of any size. */
export function readManifest(input: Buffer, piece: number): Manifest {
  const reader = new ManifestReader();
  for (let at = 0; at < input.length; at += piece) reader.push(input.subarray(at, at + piece));
  return reader.end();
}

/** @throws what does not fit, or an error of ours where a command may end with one */
export function useManifest(manifest: Manifest): void {
  checkNames(manifest);
  record(manifest);
  print(manifest);
  planVerify(manifest);
  const again = writeAndRead(manifest);
  // it changes what it is given
  planRestore(again);
  checkFinalManifest(manifest);
}

function checkNames({ files, paths }: Manifest): void {
  for (const name of [
    ...Array.from({ length: files.length }, (_, index) => files.name(index)),
    ...paths.map(p => p.name),
  ])
    must(
      !`/${name}/`.includes('/../') && !name.includes('\0') && /^(pg_data|pg_tblspc)(\/|$)/.test(name),
      `name ${name}`,
    );
  for (let index = 1; index < files.length; index++) {
    must(Buffer.compare(Buffer.from(files.name(index - 1)), Buffer.from(files.name(index))) < 0, 'files are in order');
  }
}

/** Into backup.info, as a backup that is found in the repository is. */
function record(manifest: Manifest): void {
  const { dbId: id, pgVersion: version, systemId, catalogVersion, controlVersion } = manifest.header;
  const entry = entryOf(manifest);
  const history = [{ id, version, systemId, catalogVersion, controlVersion }];
  decodeBackupInfo(encodeBackupInfo({ currentId: id, history, backups: [entry] }, '1'));
}

function print({ header, files }: Manifest): void {
  let json = headJson(header);
  headText(header);
  for (let index = 0; index < files.length; index++) {
    const file = files.get(index);
    json += `${index === 0 ? '' : ','}${fileJson(file, undefined)}`;
    fileText(file, undefined, () => '');
  }
  must(JSON.parse(`${json.replaceAll(control, ' ')}]}`) !== null, 'it prints as JSON');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: names may have them, and are printed as they are
const control = /[\u0000-\u001f]/g;

function planVerify(manifest: Manifest): void {
  const { files } = manifest;
  const work = Uint8Array.from({ length: files.length }, (_, index) =>
    files.bundleId(index) > 0 ? readFromBundle : readAlone,
  );
  for (const workers of [undefined, 3]) {
    const seen = new Set<number>();
    for (const job of queueFiles(manifest, work, workers)) {
      for (const index of job) {
        seen.add(index);
        const { path } = taskOf('demo', manifest, files.get(index));
        must(path.startsWith('/backup/demo/') && !path.includes('/../'), `verify reads ${path}`);
      }
    }
    must(seen.size === files.length, 'verify looks at each file');
  }
}

function writeAndRead(manifest: Manifest): Manifest {
  const write = (from: Manifest): string => {
    let text = '';
    writeManifest(from, from.header.toolVersion ?? '', part => {
      text += part;
    });
    return text;
  };
  const text = write(manifest);
  const again = readManifest(Buffer.from(text), 1000);
  const [before, after] = [text.split('\n'), write(again).split('\n')];
  const differs = before.findIndex((line, index) => line !== after[index]);
  must(
    differs < 0 && before.length === after.length,
    `manifest: ${before[differs]} is written again as ${after[differs]}`,
  );
  return again;
}

function planRestore(manifest: Manifest): void {
  const target = '/restore/data';
  const quiet = () => undefined;
  const linkAll = manifest.files.length % 2 === 0;
  try {
    remapManifest(manifest, {
      pgPath: target,
      realPath: target,
      tablespaceMap: new Map(),
      tablespaceMapAll: '/restore/tablespaces',
      linkMap: new Map(),
      linkAll,
      info: quiet,
      warn: quiet,
    });
    selectZeroed(manifest, { include: [], exclude: ['postgres'], detail: quiet });
  } catch (error) {
    if (!isBackstopError(error)) throw error;
  }
  const layout = new RestoreLayout(manifest, target, target);
  const allowed = [target, ...layout.links.map(({ target: { path } }) => path), '/restore/'];
  if (!linkAll) {
    for (const { name } of manifest.paths) {
      if (!layout.isReal(name)) continue;
      const path = layout.pathOf(name);
      must(allowed.some(folder => path.startsWith(folder)) && !`${path}/`.includes('/../'), `restore makes ${path}`);
    }
  }
  for (const workers of [undefined, 3]) {
    const jobs = queueRestore(manifest, workers);
    must(new Set(jobs.flat()).size === manifest.files.length, 'restore brings each file');
  }
}
