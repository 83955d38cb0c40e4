/** A primary and a hot standby of it under one stanza, made by one of the tools; both have a tablespace. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestCluster } from './cluster.ts';
import type { PostgresBinaries } from './pg-binaries.ts';
import { Archiver, type OptionValues, TestStanza, type Tool } from './stanza.ts';

export interface StandbyPair {
  readonly primary: TestCluster;
  readonly standby: TestCluster;
  readonly archiver: Archiver;
  readonly stanza: TestStanza;
  /** Waits until the standby has replayed all that the primary has written. */
  caughtUp(): Promise<void>;
  dispose(): Promise<void>;
}

/** @param binaries the newest when absent */
export async function createStandbyPair(
  tool: Tool,
  options: OptionValues = {},
  binaries?: PostgresBinaries,
): Promise<StandbyPair> {
  const primary = await TestCluster.create(binaries === undefined ? {} : { binaries });
  try {
    const archiver = new Archiver(primary);
    await primary.start();
    await primary.createLoadTables();
    const space = primary.makeFolder('ts1');
    await primary.sql(`create tablespace ts1 location '${space}'`);
    await primary.sql('create table spaced tablespace ts1 as select n from generate_series(1, 20000) n');
    const stanza = new TestStanza(primary, 'pair', options);
    archiver.use(stanza, tool);
    await stanza.run(tool, 'stanza-create');
    await stanza.run(tool, 'backup', '--type=full', '--no-backup-standby');
    const { socketDirectory, port, user } = primary;
    const standby = await stanza.restore(tool, [
      '--type=standby',
      `--tablespace-map=ts1=${join(stanza.folder, 'standby-ts1')}`,
      `--recovery-option=primary_conninfo=host=${socketDirectory} port=${port} user=${user.name}`,
    ]);
    await standby.start();
    const { dataDirectory } = standby;
    appendFileSync(
      stanza.config,
      `pg2-path=${dataDirectory}\npg2-port=${standby.port}\npg2-socket-path=${standby.socketDirectory}\n`,
    );
    return {
      primary,
      standby,
      archiver,
      stanza,
      caughtUp: async () => {
        const position = await primary.value('select pg_current_wal_lsn()');
        await standby.waitFor(`select pg_last_wal_replay_lsn() >= '${position}'`);
      },
      dispose: async () => {
        await stanza.dispose();
        await primary.dispose();
      },
    };
  } catch (error) {
    await primary.dispose();
    throw error;
  }
}
