/**
 * After all other tests: every option of every command that there is was given to the executable at least once, in a run
 * that ended well. `npm test` counts when it runs everything; see `support/option-coverage.ts`.
 */
import { expect, it } from 'vitest';
import { commandModules } from '../src/command/index.ts';
import { isCommandName } from '../src/config/command.ts';
import { repoHostOptions } from '../src/config/options/repo-host.ts';
import { sftpOptions } from '../src/config/options/sftp.ts';
import { type OptionName, optionIsValid, optionNames } from '../src/config/table.ts';
import { coverageFolder, notedOptions } from './support/option-coverage.ts';
import { hasS3Server } from './support/s3/radosgw.ts';

/** Given by `integration/s3-options-everywhere.test.ts`, which needs a server. */
const ofS3 = /^(repo-(s3|storage)-|repo-target-time$|io-timeout$|tcp-keep-alive-idle$|tls-cipher-1[23]$)/;

/** Options that have no effect yet, in groups: each waits for what it belongs to; or that cannot be given here. */
const later: Readonly<Record<string, (option: OptionName, command: string) => boolean>> = {
  'other stores': option => /^repo-(azure|gcs)-/.test(option) || Object.hasOwn(sftpOptions, option),
  'other hosts': option =>
    Object.hasOwn(repoHostOptions, option) ||
    /^(pg-(host|local)|cmd-ssh$|compress-level-network$|log-subprocess$|protocol-timeout$|sck-|tcp-keep-alive-(count|interval)$|tls-server-)/.test(
      option,
    ),
  'features in a trial, of which there is none': option => option === 'beta',
  ...(hasS3Server() ? {} : { 'S3, without a server': option => ofS3.test(option) }),
};

/** `COMMAND OPTION` that no test gives yet. Nothing may be added; what a test gives now is to be removed. */
const notGiven: readonly string[] = [];

const wanted = Object.keys(commandModules)
  .filter(isCommandName)
  .flatMap(command =>
    optionNames
      .filter(
        option =>
          optionIsValid(option, command, 'main') && !Object.values(later).some(isLater => isLater(option, command)),
      )
      .map(option => `${command} ${option}`),
  );

it('names pairs that there are', () => {
  expect(wanted.length).toBeGreaterThan(350);
  expect(notGiven.filter(pair => !wanted.includes(pair))).toEqual([]);
  for (const [group, isLater] of Object.entries(later))
    expect(
      optionNames.some(option => isLater(option, 'backup')),
      group,
    ).toBe(true);
});

it('every option of every command is given by a test', ({ skip }) => {
  const folder = coverageFolder();
  if (folder === undefined) return skip('counted only when all tests run');
  const given = notedOptions(folder);
  const missing = wanted.filter(pair => !given.has(pair));
  expect(
    missing.filter(pair => !notGiven.includes(pair)),
    'options that no test gives',
  ).toEqual([]);
  expect(
    notGiven.filter(pair => given.has(pair)),
    'given by a test now: remove from the list',
  ).toEqual([]);
});
