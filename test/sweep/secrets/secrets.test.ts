/**
 * Keys, passphrases and tokens are in no output, no process, no environment of others, and in no file, whatever a command
 * does and however it ends.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireCompat } from '../../support/real-pgbackrest.ts';
import { s3Lab } from '../../support/s3/lab.ts';
import { requireS3Server } from '../../support/s3/radosgw.ts';
import { isFullSweep, Sweep, shortOrFull } from '../../support/sweep/sweep.ts';
import { unprivilegedUser } from '../../support/unprivileged.ts';
import { runnableProject } from '../../support/unprivileged-project.ts';
import { BucketPart } from './bucket-part.ts';
import { describeSightings } from './canary.ts';
import { defects, lookers } from './mishaps.ts';
import { misplacedCases } from './misplaced-cases.ts';
import { modesOf } from './modes-part.ts';
import { SecretBed } from './secret-bed.ts';
import { type PasswordPlace, passwordPlaces, ServerPart } from './server-part.ts';
import { stanzaCases } from './stanza-cases.ts';
import { straceProblem } from './watched-run.ts';

const sweep = new Sweep('secrets');
const real = requireCompat();
afterAll(() => sweep.report());
if (straceProblem !== undefined) console.log(`test/sweep/secrets: ${straceProblem}`);

let bed: SecretBed;
beforeAll(() => {
  bed = new SecretBed(sweep);
});
afterAll(() => bed?.dispose());

stanzaCases(sweep, () => bed);
misplacedCases(sweep, () => bed);

describe.skipIf(real === undefined)('modes', () => {
  const project = runnableProject(unprivilegedUser());
  afterAll(() => project.remove());
  const all = ['000', '022', '077'].flatMap(umask => [true, false].map(neutral => ({ umask, neutral })));

  it.each(shortOrFull([{ umask: '000', neutral: false }], all))(
    'are those of the real tool, under $umask, neutral $neutral',
    async one => {
      sweep.tried('modes');
      const [ours, theirs] = [await modesOf(project.command, one), await modesOf([real?.path ?? ''], one)];
      // each tool has files that the other one has not
      const common = [...ours].filter(([name]) => theirs.has(name));
      expect(common.length).toBeGreaterThan(60);
      expect(Object.fromEntries(common)).toEqual(Object.fromEntries(common.map(([name]) => [name, theirs.get(name)])));
    },
  );
});

describe('a server that wants a password', () => {
  let part: ServerPart;
  beforeAll(async () => {
    part = await ServerPart.start(bed);
  });
  afterAll(() => part?.dispose());

  const look = () => {
    bed.lookAtAll();
    const log = describeSightings('log of the server', bed.canaries.find(Buffer.from(part.cluster.log)));
    expect(log).toEqual([]);
  };

  it('is asked for WAL, and gives a backup', async () => {
    const usual = sweep.random.pick(passwordPlaces);
    expect((await part.run(usual, 'stanza-create')).code).toBe(0);
    for (const place of shortOrFull<readonly PasswordPlace[]>([usual], passwordPlaces)) {
      for (const command of shortOrFull(['check'], ['check', 'backup', 'stanza-upgrade'])) {
        await sweep.case(`${command}, password by ${place}`, async () => {
          sweep.tried('password of a server');
          const outcome = await part.run(place, command);
          expect(outcome.code, outcome.output).toBe(0);
        });
      }
    }
    look();
  });

  it('refuses a wrong one', async () => {
    for (const place of shortOrFull<readonly PasswordPlace[]>([sweep.random.pick(passwordPlaces)], passwordPlaces)) {
      sweep.tried('password of a server');
      const outcome = await part.run(place, 'check', [], bed.canaries.make('wrong password'));
      expect(outcome.code, outcome.output).toBe(27);
    }
    look();
  });
});

describe.skipIf(!requireS3Server())('a repository in a bucket', { timeout: shortOrFull(300_000, 3_600_000) }, () => {
  let part: BucketPart;
  beforeAll(async () => {
    part = await BucketPart.open(bed, await s3Lab());
  });
  afterAll(() => part?.close());

  it('takes keys from everywhere, and tells them nobody', async () => {
    const [usual] = part.places;
    expect((await bed.run('stanza-create', ['--no-online'], usual?.run)).code).toBe(0);
    const commands = lookers.filter(([name]) => !/^(check|restore|manifest|annotate|repo-get)$/.test(name));
    for (const { what, run } of part.places) {
      for (const [command, args] of isFullSweep() ? commands : [sweep.random.pick(commands)]) {
        await sweep.case(`${command}, key by ${what}`, async () => {
          sweep.tried('keys of a bucket');
          const outcome = await bed.run(command, args(bed), { ...run, input: 'a note\n' });
          expect([0, 1], outcome.output).toContain(outcome.code);
        });
      }
    }
    for (const { what, run } of part.wrong(bed)) {
      for (const [command, args] of isFullSweep() ? commands : [sweep.random.pick(commands)]) {
        await sweep.case(`${command}, ${what}`, async () => {
          sweep.tried('refused by a bucket');
          const outcome = await bed.run(command, args(bed), { ...run, input: 'a note\n' });
          expect(defects, outcome.output).not.toContain(outcome.code);
        });
      }
    }
    bed.lookAtAll();
  });
});
