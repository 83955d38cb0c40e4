/** Lays out the repository of test/fixture/info-repo, which pgBackRest 2.59.1 wrote. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const fixture = join(import.meta.dirname, '..', '..', 'fixture', 'info-repo');

export const labels = [
  '20261121-032210F',
  '20261121-032210F_20261121-032211D',
  '20261121-032210F_20261121-032212I',
] as const;

/** What the real tool printed: `info.txt`, `info.json`, `info-LABEL.txt`. */
export const expected = (name: string): string => readFileSync(join(fixture, 'expected', name), 'utf8');

/** @param root becomes the path of the repository, which holds stanza `demo` */
export function layOutRepo(root: string, stanza = 'demo'): void {
  const put = (path: string, content: string | Uint8Array): void => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  };
  for (const kind of ['archive', 'backup']) {
    const info = readFileSync(join(fixture, `${kind}.info`));
    put(`${kind}/${stanza}/${kind}.info`, info);
    put(`${kind}/${stanza}/${kind}.info.copy`, info);
  }
  for (const name of readdirSync(fixture)) {
    const [, label] = /^(.+)\.manifest\.gz$/.exec(name) ?? [];
    if (label === undefined) continue;
    const manifest = gunzipSync(readFileSync(join(fixture, name)));
    put(`backup/${stanza}/${label}/backup.manifest`, manifest);
    put(`backup/${stanza}/${label}/backup.manifest.copy`, manifest);
  }
  for (const path of readFileSync(join(fixture, 'archived.txt'), 'utf8').trim().split('\n')) {
    put(`archive/${stanza}/15-1/${path}`, '');
  }
}
