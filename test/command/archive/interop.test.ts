/** One archive, two tools: each gets what the other pushed, and knows the other's duplicates. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { requireCompat, skipReason } from '../../support/real-pgbackrest.ts';
import { ArchiveBed, type Outcome, sha1 } from './archive-bed.ts';

const real = requireCompat();
if (real === undefined) console.warn(skipReason);

const segment = '000000010000000000000004';
const beds: ArchiveBed[] = [];

afterEach(() => {
  for (const bed of beds.splice(0)) bed.dispose();
});

interface Tool {
  push(name: string, ...options: string[]): Promise<Outcome>;
  get(name: string, destination: string): Promise<Outcome>;
}

async function makeTools(cipherPass?: string): Promise<{ bed: ArchiveBed; tools: Record<'ours' | 'real', Tool> }> {
  const bed = await ArchiveBed.create(cipherPass === undefined ? {} : { cipherPass });
  beds.push(bed);
  // 2.45 lists the backups' path in none of these commands, but a repository has it
  mkdirSync(join(bed.repoPath(), 'backup/demo'), { recursive: true });
  bed.own();
  const realPath = real?.path ?? '';
  return {
    bed,
    tools: {
      ours: {
        push: (name, ...options) => bed.push(`pg_wal/${name}`, options),
        get: (name, destination) => bed.get(name, destination),
      },
      real: {
        push: (name, ...options) => bed.run([realPath], ['archive-push', ...options, `pg_wal/${name}`]),
        get: (name, destination) => bed.run([realPath], ['archive-get', name, destination]),
      },
    },
  };
}

const directions = [
  { pusher: 'ours', getter: 'real' },
  { pusher: 'real', getter: 'ours' },
] as const;

describe.skipIf(real === undefined)('with the real pgbackrest', () => {
  for (const { pusher, getter } of directions) {
    const cases = ['none', 'gz', 'lz4', 'zst', 'bz2'].flatMap(type => [
      { type, cipherPass: undefined },
      { type, cipherPass: 'sekret' },
    ]);
    test.each(cases)(
      `${getter} gets what ${pusher} pushed: $type, passphrase $cipherPass`,
      async ({ type, cipherPass }) => {
        const { bed, tools } = await makeTools(cipherPass);
        const content: Record<string, Buffer> = { [segment]: bed.segment(segment) };
        // what follows does not depend on the compression
        if (type === 'gz') {
          content[`${segment}.partial`] = bed.segment(`${segment}.partial`, 'partial');
          content['00000002.history'] = Buffer.from('1\t0/4000000\tno recovery target specified\n');
          content[`${segment}.00000028.backup`] = Buffer.from('START WAL LOCATION: 0/4000028\n');
        }
        for (const [name, bytes] of Object.entries(content)) {
          bed.write(`data/pg_wal/${name}`, bytes);
          expect(await tools[pusher].push(name, `--compress-type=${type}`)).toMatchObject({ code: 0 });
        }
        const destination = join(bed.dataDirectory, 'pg_wal/RECOVERED');
        for (const [name, bytes] of Object.entries(content)) {
          const { code, output } = await tools[getter].get(name, 'pg_wal/RECOVERED');
          expect(output).toContain(`found ${name} in the repo1: 15-1 archive`);
          expect([name, code, sha1(readFileSync(destination))]).toEqual([name, 0, sha1(bytes)]);
        }
        const missing = await tools[getter].get('000000010000000000000005', 'pg_wal/MISSING');
        expect(missing.code).toBe(1);
        expect(existsSync(join(bed.dataDirectory, 'pg_wal/MISSING'))).toBe(false);
      },
    );

    test(`${getter} knows the duplicates of ${pusher}`, async () => {
      const { bed, tools } = await makeTools('sekret');
      bed.segment(segment);
      expect((await tools[pusher].push(segment, '--compress-type=lz4')).code).toBe(0);
      const before = bed.archived();
      const same = await tools[getter].push(segment, '--compress-type=gz');
      expect(same.output).toContain(`already exists in the repo1 archive with the same checksum`);
      expect(same.code).toBe(0);
      bed.segment(segment, 'other');
      const other = await tools[getter].push(segment, '--compress-type=gz');
      expect(other.output).toContain(`already exists in the repo1 archive with a different checksum`);
      expect(other.code).toBe(45);
      expect(bed.archived()).toEqual(before);
    });
  }

  test('both have the same names and sizes for uncompressed files', async () => {
    const names = await Promise.all(
      (['ours', 'real'] as const).map(async pusher => {
        const { bed, tools } = await makeTools();
        bed.segment(segment);
        await tools[pusher].push(segment, '--compress-type=none');
        return bed.archived().map(name => [name, sha1(readFileSync(bed.archivedPath(name)))]);
      }),
    );
    expect(names[0]).toEqual(names[1]);
    expect(names[0]).toHaveLength(1);
  });

  test.each([
    ['a missing parameter', [], 'archive-push'],
    ['a missing file', ['pg_wal/000000010000000000000009'], 'archive-push'],
    ['a missing segment', ['000000010000000000000009', 'pg_wal/X'], 'archive-get'],
    ['a missing destination', ['000000010000000000000009'], 'archive-get'],
    ['too many parameters', ['a', 'b', 'c'], 'archive-get'],
  ])('exit codes agree: %s', async (_what, parameters, command) => {
    const { bed } = await makeTools();
    const theirs = await bed.run([real?.path ?? ''], [command, ...parameters]);
    const ours = await bed.ours(command, ...parameters);
    expect(ours.code).toBe(theirs.code);
  });

  test('exit codes agree: another cluster, other versions, stanza missing', async () => {
    const { bed, tools } = await makeTools();
    const codes = async () => [(await tools.ours.push(segment)).code, (await tools.real.push(segment)).code];
    bed.segment(segment, 1, { systemId: 5n });
    expect(await codes()).toEqual([44, 44]);
    bed.segment(segment, 1, { magic: 0x1234 });
    expect(await codes()).toEqual([46, 46]);
    bed.segment(segment, 1, { info: 0 });
    expect(await codes()).toEqual([29, 29]);
    bed.segment(segment);
    bed.writeControl({ systemId: 5n });
    expect(await codes()).toEqual([103, 103]);
  });
});
