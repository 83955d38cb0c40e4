/** Recovery from the archive: how long a server takes to replay so many segments that restore_command gives it. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bed, Tool } from '../bed.ts';
import type { Command } from '../measure.ts';
import { compress, type Row, usual } from '../row.ts';

const repo = 'recovery';
/** What a server makes when it has replayed all there is. */
const recovered = 'recovered';
const target = (bed: Bed, tool: Tool): string => join(bed.cluster.root, `${tool.name}-recovered`);

/** A backup, and after it as many segments of changes, in one repository that both tools read. */
async function fillArchive(bed: Bed, reference: Tool): Promise<void> {
  const { cluster, options } = bed;
  await bed.freshRepository(reference, repo, compress('lz4'));
  await bed.run([...bed.base(reference, repo), ...usual, '--type=full', 'backup']);
  for (let segment = 0; segment < options.replaySegments; segment++) {
    // some 15 MB of WAL, and as little in the data directory at the end as at the beginning
    await cluster.sql('create table filling as select n, md5(n::text) as text from generate_series(1, 220000) n');
    await cluster.sql('drop table filling');
    await cluster.switchWal();
  }
  await cluster.waitFor('select last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) from pg_stat_archiver');
}

/** A server that starts, recovers, and is stopped. pg_ctl itself waits for the beginning of recovery only. */
function recovery(bed: Bed, tool: Tool): Command {
  const controller = join(bed.cluster.binaries.bin, 'pg_ctl');
  const data = target(bed, tool);
  const script = [
    `'${controller}' -D '${data}' -l '${data}.log' start`,
    `until [ -e '${data}/${recovered}' ]; do [ -e '${data}/postmaster.pid' ] && sleep 0.02 || exit; done`,
    `'${controller}' -D '${data}' -m immediate stop`,
  ].join(' && ');
  return ['bash', '-c', script];
}

function replay(how: 'sync' | 'async', processes: number): Row {
  return {
    name: `recovery/archive-get-lz4${how === 'async' ? `-async-${processes}` : ''}`,
    bed: 'recovery',
    timeOnly: true,
    countOf: ({ replaySegments }) => replaySegments,
    unit: 'segments',
    prepare: (bed, reference) => bed.once(repo, () => fillArchive(bed, reference)),
    reset: async (bed, tool) => {
      const data = target(bed, tool);
      const settings = how === 'async' ? ['archive-async=y', `process-max=${processes}`] : [];
      const base = bed.baseWith(tool, repo, `recovery-${how}-${processes}`, settings, data);
      bed.emptyFolder(`${tool.name}-recovered`, 0o700);
      bed.emptyFolder(`${tool.name}-spool`);
      await bed.run([...base, 'restore']);
      const server = [
        `restore_command = '${base.join(' ')} archive-get %f "%p"'`,
        `recovery_end_command = 'touch ${recovered}'`,
        "listen_addresses = ''",
        `unix_socket_directories = '${data}'`,
        'hot_standby = off',
        'archive_mode = off',
        'shared_buffers = 512MB',
        'fsync = off',
      ];
      appendFileSync(join(data, 'postgresql.auto.conf'), `${server.join('\n')}\n`);
      await bed.settle();
    },
    commands: (bed, tool) => [recovery(bed, tool)],
  };
}

export const recoveryRows: readonly Row[] = [replay('sync', 1), replay('async', 2)];
