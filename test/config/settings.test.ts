import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { isFor, load, type Settings } from '../../src/config/index.ts';
import { program, settings } from './given.ts';

describe('inferred types', () => {
  type Backup = Settings<'backup'>['values'];
  type Restore = Settings<'restore'>['values'];
  type BackupRepo = Settings<'backup'>['repos'][number]['values'];
  type BackupCluster = Settings<'backup'>['clusters'][number]['values'];

  test('follow the table', () => {
    expectTypeOf<Backup['compress-type']>().toEqualTypeOf<'none' | 'bz2' | 'gz' | 'lz4' | 'zst'>();
    expectTypeOf<Backup['compress-level']>().toEqualTypeOf<number>();
    expectTypeOf<Backup['type']>().toEqualTypeOf<'full' | 'diff' | 'incr'>();
    expectTypeOf<Settings<'info'>['values']['type']>().toEqualTypeOf<'full' | 'diff' | 'incr' | undefined>();
    expectTypeOf<Settings<'verify'>['values']['output']>().toEqualTypeOf<'none' | 'text'>();
    expectTypeOf<Backup['stanza']>().toEqualTypeOf<string>();
    expectTypeOf<Settings<'info'>['values']['stanza']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Backup['checksum-page']>().toEqualTypeOf<boolean | undefined>();
    expectTypeOf<Backup['annotation']>().toEqualTypeOf<ReadonlyMap<string, string> | undefined>();
    expectTypeOf<Settings<'annotate'>['values']['annotation']>().toEqualTypeOf<ReadonlyMap<string, string>>();
    expectTypeOf<Restore['db-include']>().toEqualTypeOf<readonly string[] | undefined>();
    expectTypeOf<Restore['set']>().toEqualTypeOf<string>();
    expectTypeOf<Restore['target']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Backup['config']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Backup['cmd']>().toEqualTypeOf<string>();
    expectTypeOf<Settings<'archive-push'>['values']['spool-path']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Restore['spool-path']>().toEqualTypeOf<string>();
    expectTypeOf<BackupRepo['path']>().toEqualTypeOf<string>();
    expectTypeOf<BackupRepo['bundle-size']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<BackupRepo['hardlink']>().toEqualTypeOf<boolean>();
    expectTypeOf<BackupCluster['path']>().toEqualTypeOf<string>();
    expectTypeOf<Settings['values']['log-level-console']>().toEqualTypeOf<
      'off' | 'error' | 'warn' | 'info' | 'detail' | 'debug' | 'trace'
    >();
    expectTypeOf<Settings['values']['delta']>().toEqualTypeOf<boolean | undefined>();
  });

  test('leave out what a command does not have', () => {
    expectTypeOf<Backup>().not.toHaveProperty('tablespace-map');
    expectTypeOf<Settings<'archive-push'>['values']>().not.toHaveProperty('repo');
    expectTypeOf<Settings<'archive-push', 'async'>['values']>().not.toHaveProperty('archive-timeout');
    expectTypeOf<Settings<'expire'>['repos'][number]['values']>().not.toHaveProperty('bundle');
    const s = settings({ args: ['archive-push', '--stanza=x', 'y'] });
    expect(s.values).not.toHaveProperty('repo');
    expect(s.values).not.toHaveProperty('tablespace-map');
  });

  test('narrow by command', () => {
    const s = settings({ args: ['backup', '--stanza=x', '--pg1-path=/p'] });
    expect(isFor(s, 'restore')).toBe(false);
    if (!isFor(s, 'backup')) throw new Error('backup expected');
    expectTypeOf(s.values['start-fast']).toEqualTypeOf<boolean>();
    expect(s.values['start-fast']).toBe(false);
  });
});

describe('start-up', () => {
  test('loads no words of help', () => {
    const { metafile } = buildSync({
      entryPoints: [join(import.meta.dirname, '../../src/config/index.ts')],
      bundle: true,
      platform: 'node',
      metafile: true,
      write: false,
    });
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.some(input => input.endsWith('config/table.ts'))).toBe(true);
    expect(inputs.filter(input => input.includes('/prose/'))).toEqual([]);
  });

  test('takes little time', () => {
    const args = ['archive-push', '--stanza=x', '--no-config', '--pg1-path=/p', 'y'];
    for (let i = 0; i < 50; i++) load(args, {}, program);
    const started = performance.now();
    for (let i = 0; i < 100; i++) load(args, {}, program);
    expect((performance.now() - started) / 100).toBeLessThan(3);
  });
});
