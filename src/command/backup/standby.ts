/** The standby that relation files are copied from, so that the primary has less to do (option backup-standby). */
import { BackstopError } from '../../base/error.ts';
import type { Cluster } from '../../postgres/cluster.ts';
import { parseWalName } from '../../postgres/wal.ts';
import { type ClusterSettings, settingsOfCluster } from '../open.ts';
import type { Session } from '../session.ts';
import type { StartPoint } from './start-point.ts';

export class Standby {
  readonly settings: ClusterSettings;
  readonly #session: Session<'backup'>;
  readonly #server: Cluster;

  /** @throws db-mismatch when it is no copy of the primary */
  constructor(session: Session<'backup'>, server: Cluster, primary: Cluster) {
    const [here, there] = [server.control, primary.control];
    if (here.systemId !== there.systemId) {
      throw new BackstopError(
        'db-mismatch',
        `standby pg${server.key} has system-id ${here.systemId} but primary pg${primary.key} has system-id ${there.systemId}`,
        { hint: `do pg${primary.key}-path and pg${server.key}-path belong to the same stanza?` },
      );
    }
    this.#session = session;
    this.#server = server;
    this.settings = settingsOfCluster(session, server);
  }

  /**
   * Waits until the standby's files hold everything from before the backup.
   * @throws archive-timeout, db-mismatch
   */
  async catchUp({ lsn, walName }: StartPoint): Promise<void> {
    const { log, settings } = this.#session;
    log.info(`wait for replay on the standby to reach ${lsn}`);
    await this.#server.waitForReplay(lsn, parseWalName(walName).timeline, settings.values['archive-timeout']);
    log.info(`replay on the standby reached ${lsn}`);
  }

  checkRole(): Promise<void> {
    return this.#server.checkRole();
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
