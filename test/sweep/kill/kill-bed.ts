/** A tiny cluster and its repositories, spool and locks in one folder that is photographed, and put back before each kill. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { OfflineBed, type Outcome } from '../../integration/offline-bed.ts';
import { findRealPgbackrest, isSince, type RealPgbackrest } from '../../support/real-pgbackrest.ts';
import type { OptionValues, Tool } from '../../support/stanza.ts';
import { Injector } from '../../support/sweep/injector.ts';
import { pages } from '../../support/tiny-cluster.ts';
import { unprivilegedUser } from '../../support/unprivileged.ts';

/** A folder with a copy of the state. */
export type Photo = string;

export class KillBed extends OfflineBed {
  /** Repositories, spool, locks, and what is restored. */
  readonly state: string;
  readonly injector: Injector;
  /** The judge, where there is one. */
  readonly real: RealPgbackrest | undefined = findRealPgbackrest();
  #changes = 0;

  constructor() {
    super();
    this.state = this.newFolder();
    const [node = '', launcher = ''] = this.ours;
    this.injector = new Injector(unprivilegedUser(), this.newFolder(), [node, launcher]);
  }

  /** Begins anew, with nothing in the state. */
  begin(options: OptionValues = {}): void {
    this.#empty();
    this.configure({
      'lock-path': join(this.state, 'lock'),
      'spool-path': join(this.state, 'spool'),
      'repo1-path': this.repo(1),
      'checksum-page': 'n',
      ...options,
    });
  }

  /** The folder of a repository. */
  repo(key: number): string {
    return join(this.state, `repo${key}`);
  }

  /** Whether the real tool knows the format that these options ask for. */
  canRead(options: OptionValues): boolean {
    return isSince(this.real, Object.keys(options).some(name => name.endsWith('-block')) ? '2.46' : '2.45');
  }

  /** What starts the real tool. */
  get judge(): Tool {
    if (this.real === undefined) throw new Error('there is no real pgbackrest here');
    return [this.real.path];
  }

  /** Gives the state to the user: the test process made some of it. */
  own(): void {
    const { foreign, uid, gid } = unprivilegedUser();
    if (foreign) execFileSync('chown', ['-hR', `${uid}:${gid}`, this.state]);
  }

  photograph(): Photo {
    const photo = this.newFolder();
    execFileSync('cp', ['-a', `${this.state}/.`, photo]);
    return photo;
  }

  putBack(photo: Photo): void {
    this.#empty();
    execFileSync('cp', ['-a', `${photo}/.`, this.state]);
  }

  forget(photo: Photo): void {
    rmSync(photo, { recursive: true });
  }

  /** Changes what is in the cluster, and lets files come and go. All was written long before it is backed up. */
  change(): void {
    const at = ++this.#changes;
    this.cluster.write('base/5/1247', pages(3, at));
    this.cluster.write(`base/5/${20_000 + at}`, pages(1 + (at % 3), at));
    this.cluster.write('postgresql.conf', `# settings ${at}\n`);
    if (at > 1) rmSync(join(this.cluster.data, `base/5/${20_000 + at - 1}`));
    const time = Math.floor(Date.now() / 1000) - 7200 + 60 * at;
    for (const name of ['base/5/1247', `base/5/${20_000 + at}`, 'postgresql.conf'])
      utimesSync(join(this.cluster.data, name), time, time);
  }

  /** Waits until a backup finds a label: one second has two at most. */
  async untilLabelIsFree(keys: readonly number[]): Promise<void> {
    const newest = keys
      .flatMap(key => this.directories(key))
      .map(label => label.slice(-16, -1))
      .sort()
      .at(-1);
    while (newest !== undefined && labelTime() < newest) await new Promise(resolve => setTimeout(resolve, 20));
  }

  /** Directories of backups, complete or not. */
  directories(key: number): string[] {
    const folder = join(this.repo(key), 'backup/demo');
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.filter(name => /^\d{8}-\d{6}F/.test(name)).sort();
  }

  /** Those with a final manifest. */
  completeBackups(key: number): string[] {
    return this.directories(key).filter(label =>
      existsSync(join(this.repo(key), 'backup/demo', label, 'backup.manifest')),
    );
  }

  /** Labels that a tool lists. */
  async listed(key: number, tool: Tool): Promise<string[]> {
    const { code, output, stdout } = await this.attempt('info', ['--output=json', `--repo=${key}`], tool);
    // newer releases warn on stdout whatever the level
    const [json] = /^\[.*/ms.exec(stdout) ?? [];
    if (code !== 0 || json === undefined) throw new Error(`info ended with ${code}\n${output}`);
    const [stanza] = JSON.parse(json) as { backup: { label: string }[] }[];
    return (stanza?.backup ?? []).map(({ label }) => label);
  }

  /** Names in the state, files and folders, that a killed process may have left and nobody needs. */
  leftovers(): string[] {
    return readdirSync(this.state, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.tmp'));
  }

  /** Lets them be so old that nobody can still be at work on them. */
  ageLeftovers(): void {
    const old = Date.now() / 1000 - 7200;
    for (const name of this.leftovers()) utimesSync(join(this.state, name), old, old);
  }

  #empty(): void {
    for (const name of readdirSync(this.state)) rmSync(join(this.state, name), { recursive: true });
  }
}

/** The present as labels have it: local time. */
function labelTime(): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** @throws with what was said, unless the command ended well */
export function expectOk(what: string, { code, signal, output }: Outcome): string {
  if (code !== 0) throw new Error(`${what} ended with ${code ?? signal}\n${output}`);
  return output;
}
