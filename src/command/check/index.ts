/** `check`: is the stanza configured well, and does WAL reach every repository (behaviour, section 3)? */
import { BackstopError } from '../../base/error.ts';
import { isFor, load, processArguments } from '../../config/index.ts';
import { findSessionClusters, repoSettings, stanzaOf } from '../open.ts';
import type { Session } from '../session.ts';
import { listClusterPaths } from './cluster.ts';
import { formatReport } from './report.ts';
import { checkPrimary, checkStandby } from './stanza.ts';

export async function run(session: Session<'check'>): Promise<undefined> {
  const { stanza, report } = session.settings.values;
  if (report) {
    session.print(formatReport(session.settings, session.environment));
    return;
  }
  if (stanza !== undefined) return await checkStanza(session);
  if (session.stanzas.length === 0) {
    session.log.warn('no stanzas found to check\nHINT: are there non-empty stanza sections in the configuration?');
  }
  for (const name of session.stanzas) {
    session.log.info(`check stanza '${name}'`);
    await checkStanza(forStanza(session, name));
  }
}

/** The session with the configuration that it would have had with `--stanza`. */
function forStanza(session: Session<'check'>, stanza: string): Session<'check'> {
  const { settings, log, environment } = session;
  const replace = new Map([['stanza', stanza]]);
  const argv = processArguments(settings, { command: 'check', role: 'main', argumentsOnly: true, replace });
  const loaded = load(argv, environment, settings.program);
  if (loaded.kind !== 'run' || !isFor(loaded.settings, 'check')) {
    throw new TypeError(`the configuration of stanza '${stanza}' is not one of check`);
  }
  for (const warning of [...loaded.warnings, ...loaded.afterBegin.warnings]) log.warn(warning);
  if (loaded.afterBegin.error !== undefined) throw loaded.afterBegin.error;
  return { ...session, settings: loaded.settings };
}

async function checkStanza(session: Session<'check'>): Promise<undefined> {
  stanzaOf(session);
  const { primary, standby } = await findSessionClusters(session, 'any', false);
  try {
    if (primary === undefined && standby === undefined) {
      throw new BackstopError('config', 'no database found', { hint: 'check indexed pg-path/pg-host configurations' });
    }
    const paths = await listClusterPaths(session);
    if (standby !== undefined) {
      const hasLocalRepo = repoSettings(session).some(repo => repo.host === undefined);
      // on the host of a standby whose repository is elsewhere, the primary need not be known
      if (primary === undefined && (paths > 1 || hasLocalRepo)) {
        throw new BackstopError('config', 'primary database not found', {
          hint: 'check indexed pg-path/pg-host configurations',
        });
      }
      await checkStandby(session, standby);
    } else if (session.settings.values['backup-standby'] !== 'n') {
      session.log.warn("option 'backup-standby' is enabled but standby is not properly configured");
    }
    if (primary !== undefined) await checkPrimary(session, primary);
  } finally {
    await primary?.close();
    await standby?.close();
  }
}
