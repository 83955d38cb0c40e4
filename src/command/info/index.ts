/** `info`: what the repositories hold. It answers whatever state they are in; only a wrong command line is an error. */
import { BackstopError } from '../../base/error.ts';
import { lookAtArchiver } from '../local-archiver.ts';
import { repoSettings, storageContext } from '../open.ts';
import type { Session } from '../session.ts';
import { findStanzas } from './find.ts';
import { formatReportJson } from './json.ts';
import { makeReport } from './report.ts';
import { formatReportText } from './text.ts';

export async function run(session: Session<'info'>): Promise<undefined> {
  const { stanza, set, type, output, 'detail-level': level, 'lock-path': lockPath } = session.settings.values;
  const progressOnly = level === 'progress';
  if (set !== undefined && progressOnly) {
    throw new BackstopError('option-invalid', "option 'set' cannot be used with option 'detail-level' = 'progress'");
  }
  const named = set === undefined ? {} : { set };
  // what is not known of it is no fault of the repositories, and whoever reads JSON wants no warning in it
  const tell = (message: string) => session.log.debug('info::archiver', message);
  const findings = await findStanzas({
    repos: repoSettings(session),
    lockPath,
    progressOnly,
    contextOf: settings => storageContext(session, settings),
    archiverOf: name => lookAtArchiver(session, name, tell),
    tell,
    now: Math.floor(session.clock.now() / 1000),
    ...named,
    ...(stanza === undefined ? {} : { stanza }),
  });
  const reports = findings.map(finding =>
    makeReport(finding, { progressOnly, ...named, ...(type === undefined ? {} : { type }) }),
  );
  session.print(output === 'json' ? formatReportJson(reports) : formatReportText(reports, set));
}
