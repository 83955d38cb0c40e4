/**
 * Our backups and those of the real tool, exchanged through a bucket that both reach over TLS: a handful of rows, and with
 * PGBACKSTOP_S3=full every pair of values of {codec} x {cipher} x {layout} x {kind} x {who begins} x {where the bucket's
 * name goes} x {processes}. At the end of a row both expire, and one removes the stanza.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { allCombinations, allPairs, type Row } from '../support/all-pairs.ts';
import { isFullS3Run, requireS3Server, type S3Lab, s3Lab } from '../support/s3/lab.ts';
import { repoOptions } from '../support/s3/repo-options.ts';
import { TestStanza, type Tool } from '../support/stanza.ts';
import { exchange, exchanged, expectSameInfo, optionsOf } from './exchange.ts';
import { type Bench, canCompare, useBench } from './support.ts';

const dimensions = { ...exchanged, uriStyle: ['path', 'host'], processes: ['1', '3'] } as const;
type S3Row = Row<typeof dimensions>;

/** Each tool first, each layout, each URI style, with and without encryption. */
const handful: readonly S3Row[] = [
  { codec: 'gz', cipher: 'encrypted', first: 'ours', kind: 'incr', layout: 'files', uriStyle: 'host', processes: '3' },
  { codec: 'zst', cipher: 'plain', first: 'real', kind: 'delta', layout: 'bundle', uriStyle: 'path', processes: '1' },
  { codec: 'lz4', cipher: 'encrypted', first: 'ours', kind: 'diff', layout: 'block', uriStyle: 'host', processes: '3' },
];

/** Each codec with each cipher, begun by either tool, in a layout that both can read; and with these all pairs. */
const pairwise = (): S3Row[] => {
  const { codec, cipher, first } = dimensions;
  return allPairs(dimensions, allCombinations({ codec, cipher, first }), row => row.layout !== 'block');
};

describe.runIf(canCompare && requireS3Server())('exchange with the real tool through a bucket', () => {
  const bench = useBench();
  let lab: S3Lab;
  let bucket: string;
  beforeAll(async () => {
    lab = await s3Lab();
    bucket = await lab.newBucket();
  });

  const rows = (isFullS3Run() ? pairwise() : handful).map((row, index) => ({ ...row, index }));
  const title = '$codec, $cipher, $layout, $uriStyle style, $processes processes: $first first, then $kind';
  test.for(rows)(title, async row => {
    const { cluster, archiver, ours, real } = bench();
    const path = `/rows/${row.index}`;
    const neighbour = `rows/${row.index}-other/archive/demo/archive.info`;
    await lab.put(bucket, neighbour, 'not of this repository');
    const stanza = new TestStanza(cluster, `s3-${row.index}`, {
      ...optionsOf(row),
      ...repoOptions(lab, { bucket, path, uriStyle: row.uriStyle }),
      'process-max': row.processes,
    });
    try {
      await exchange(bench(), stanza, row, String(row.index));
      // the handful has shown it by then
      if (!isFullS3Run() && row.layout === 'block') return;
      await expectSameSegments(bench(), stanza);
      // who has begun removes what the other has made, and the reverse
      const [first, second] = row.first === 'ours' ? [ours, real] : [real, ours];
      await stanza.run(second, 'expire', '--repo1-retention-full=1');
      expect(await expectSameInfo(bench(), stanza)).toHaveLength(row.kind === 'full' ? 1 : 2);
      const only = await stanza.latest(ours);
      await stanza.run(second, 'backup', '--type=full');
      await stanza.run(first, 'expire', '--repo1-retention-full=1');
      const left = await expectSameInfo(bench(), stanza);
      expect(left).toHaveLength(1);
      expect(await lab.list(bucket, `rows/${row.index}/backup/demo/${only}/`)).toEqual(new Map());
      await removeStanza(stanza, first);
      expect([...(await lab.list(bucket, `rows/${row.index}/`)).keys()]).toEqual([]);
      expect(await lab.unfinishedUploads(bucket)).toEqual([]);
      expect(String(await lab.get(bucket, neighbour))).toBe('not of this repository');
    } finally {
      archiver.pause();
      await stanza.dispose();
      rmSync(stanza.folder, { recursive: true, force: true });
    }
  });
});

/** What either tool has pushed last, the other gets from the archive as PostgreSQL had written it. */
async function expectSameSegments({ cluster, archiver, ours, real }: Bench, stanza: TestStanza): Promise<void> {
  for (const [from, to] of [
    [ours, real],
    [real, ours],
  ] as const) {
    archiver.use(stanza, from);
    const segment = await cluster.walName();
    await archiver.markTarget(segment);
    const copies = await Promise.all(
      [from, to].map(async tool => {
        const copy = join(stanza.folder, `${segment}-${tool === ours ? 'ours' : 'real'}`);
        await stanza.run(tool, 'archive-get', segment, copy);
        return readFileSync(copy);
      }),
    );
    const [one, other] = copies;
    expect(one).toHaveLength(16 * 1024 * 1024);
    expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true);
    expect(one?.equals(readFileSync(join(cluster.dataDirectory, 'pg_wal', segment)))).toBe(true);
  }
}

/** Both tools want `stop` before, and PostgreSQL may run then with force. */
async function removeStanza(stanza: TestStanza, tool: Tool): Promise<void> {
  await stanza.run(tool, 'stop');
  await stanza.run(tool, 'stanza-delete', '--force');
  await stanza.run(tool, 'start');
}
