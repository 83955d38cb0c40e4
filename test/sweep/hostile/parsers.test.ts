/** Hostile repository: everything that reads text or bytes of others, alone. */
import { afterAll, beforeAll, it } from 'vitest';
import { Sweep } from '../../support/sweep/sweep.ts';
import { fuzzBlockMaps, fuzzConfiguration, fuzzPostgres, fuzzSpool } from './format-targets.ts';
import { Fuzz } from './fuzz.ts';
import { fuzzInfoFiles, fuzzJson, fuzzManifests } from './info-targets.ts';
import { fuzzServices } from './service-targets.ts';
import { Watchdog } from './watchdog.ts';

const sweep = new Sweep('hostile');
let watchdog: Watchdog;
beforeAll(() => {
  watchdog = new Watchdog();
});
afterAll(async () => {
  await watchdog.close();
  sweep.report('parsers');
});

const suites: Readonly<Record<string, (fuzz: Fuzz) => Promise<void>>> = {
  json: fuzzJson,
  'info files': fuzzInfoFiles,
  manifests: fuzzManifests,
  'files of PostgreSQL': fuzzPostgres,
  configuration: fuzzConfiguration,
  'block maps': fuzzBlockMaps,
  'spool and locks': fuzzSpool,
  'answers of services': fuzzServices,
};

it.each(Object.keys(suites))(
  '%s: a result, or an error that fits',
  async name => {
    await suites[name]?.(new Fuzz(sweep, watchdog));
  },
  1_800_000,
);
