/** A fan-out backup of a running cluster: the real tool takes each repository as if it were alone, and goes on there. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TestStanza } from '../support/stanza.ts';
import { runAs } from '../support/unprivileged.ts';
import { canCompare, useBench } from './support.ts';

describe.skipIf(!canCompare)('a fan-out backup', () => {
  const bench = useBench();

  it('restores from each repository with both tools, and both go on there', async () => {
    const { cluster, archiver, ours, real } = bench();
    const second = cluster.makeFolder('second');
    const stanza = new TestStanza(cluster, 'fan-out', {
      'backup-fan-out': 'y',
      'compress-type': 'zst',
      'log-level-console': 'info',
      'repo2-path': join(second, 'repo'),
      'repo2-cipher-type': 'aes-256-cbc',
      'repo2-cipher-pass': 'x+y/z#1;2==',
      'repo2-bundle': 'y',
      'repo2-retention-full': 9,
    });
    try {
      archiver.use(stanza, ours);
      await stanza.run(ours, 'stanza-create');
      const said = await stanza.run(ours, 'backup', '--type=full');
      // one backup of the server
      expect(said.match(/execute backup start/g)).toHaveLength(1);
      expect(said.match(/execute backup stop/g)).toHaveLength(1);
      const [label] = /\d{8}-\d{6}F/.exec(said) ?? [];
      const target = await archiver.markTarget('fan_out');
      const fits = async (restored: Awaited<ReturnType<TestStanza['restore']>>) => {
        await restored.start();
        await restored.waitFor('select not pg_is_in_recovery()');
        expect(await restored.fingerprint()).toBe(target.fingerprint);
        await restored.stop();
        expect(await restored.checkPageChecksums()).toMatchObject({ passed: true });
      };
      for (const [tool, repo] of [
        [real, 1],
        [real, 2],
        [ours, 1],
        [ours, 2],
      ] as const) {
        const args = [`--repo=${repo}`, `--set=${label}`, '--type=name', '--target=fan_out', '--target-action=promote'];
        await fits(await stanza.restore(tool, args));
      }

      // the real tool knows nothing of fan-out: it says so, and backs up to one
      for (const repo of [1, 2]) {
        const { code, stdout, stderr } = await runAs(
          cluster.user,
          stanza.commandLine(real, 'backup', '--type=incr', `--repo=${repo}`),
        );
        expect(code, stdout + stderr).toBe(0);
        // newer releases say it on stdout
        expect(stdout + stderr).toContain("WARN: configuration file contains invalid option 'backup-fan-out'");
      }
      await stanza.run(ours, 'backup', '--type=incr');
      for (const repo of [1, 2]) {
        const printed = await stanza.run(real, 'info', '--output=json', `--repo=${repo}`, '--log-level-console=off');
        // newer releases warn on stdout whatever the level
        const [info] = JSON.parse(printed.replace(/^P00 +WARN: .*\n/gm, '')) as [
          { status: { message: string }; backup: { type: string }[] },
        ];
        expect(info.status.message).toBe('ok');
        expect(info.backup.map(({ type }) => type)).toEqual(['full', 'incr', 'incr']);
        expect(await stanza.run(real, 'verify', `--repo=${repo}`)).not.toMatch(/ERROR|WARN: path|invalid checksum/);
      }
    } finally {
      await stanza.dispose();
    }
  });
});
