/** What PostgreSQL, the administrator and other processes of ours have written. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLockFile } from '../../../src/base/lock.ts';
import { isOnList, readPrefetchState } from '../../../src/command/archive/prefetch-state.ts';
import { readDroppedWal, recordDroppedWal } from '../../../src/command/dropped-wal.ts';
import { isSpoolOf, readStatus, spoolPaths, warningOf } from '../../../src/command/spool.ts';
import { load } from '../../../src/config/index.ts';
import { parseIni } from '../../../src/config/ini-file.ts';
import { decodeControl, encodeRestoreMarker, hasRestoreMarker } from '../../../src/postgres/control.ts';
import { crc32c, legacyCrc32 } from '../../../src/postgres/crc.ts';
import { choosePassword } from '../../../src/postgres/password-file.ts';
import { checkTimelineReachable, parseTimelineHistory } from '../../../src/postgres/timeline.ts';
import { versions } from '../../../src/postgres/versions.ts';
import { countWalNames, decodeWalHeader, nextWalName, type WalName } from '../../../src/postgres/wal.ts';
import { type BlockItem, decodeBlockMap, encodeBlockMap } from '../../../src/repo/block/map.ts';
import { planBlockReads } from '../../../src/repo/block/plan.ts';
import { parseArchivedName } from '../../../src/repo/wal-store.ts';
import { Random } from '../../support/random.ts';
import { changedBytes } from './bytes.ts';
import { type Fuzz, must } from './fuzz.ts';
import { configFiles, controls, walHeaders } from './seeds.ts';

const buffers = (...texts: readonly string[]): Buffer[] => texts.map(text => Buffer.from(text));

export async function fuzzPostgres(fuzz: Fuzz): Promise<void> {
  const known = versions.map(version => version.text);
  await fuzz.run({
    name: 'pg_control',
    inputs: changedBytes(
      controls().map(bytes => bytes.subarray(0, 512)),
      {
        longest: 8192,
        // most have the CRC that they ought to have
        seal: (bytes, choice) => (choice % 8 === 0 ? bytes : withCrc(bytes)),
      },
    ),
    read(input) {
      const forced = input.length % 3 === 0 ? known[input.length % known.length] : undefined;
      const { walSegmentSize, pageSize } = decodeControl(input, forced);
      must(walSegmentSize >= 2 ** 20 && walSegmentSize <= 2 ** 30 && pageSize >= 1024, 'sizes are possible');
      must(hasRestoreMarker(decodeControl(encodeRestoreMarker(input, forced), forced)), 'the marker can be set');
    },
    kinds: ['format', 'checksum', 'version-not-supported'],
    cases: [3000, 100_000],
  });
  await fuzz.run({
    name: 'WAL header',
    inputs: changedBytes(
      walHeaders().map(bytes => bytes.subarray(0, 512)),
      { longest: 512 },
    ),
    read: input => decodeWalHeader(input, input.length % 5 === 0 ? '15' : undefined),
    kinds: ['format', 'version-not-supported'],
    cases: [4000, 100_000],
  });
  await fuzz.run({
    name: 'timeline history',
    inputs: changedBytes(
      buffers(
        '1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\tat restore point "x"\n',
        '# c\n1 16/B374D848 after transaction 1\n',
      ),
      { tokens: ['1\t', '4294967296\t', '0/0', '/', '\t', '99999999999', '\n', 'FFFFFFFF/FFFFFFFF', ' ', '\r', '#'] },
    ),
    read(input) {
      const history = parseTimelineHistory(input.toString());
      checkTimelineReachable(3, history, { timeline: 1, lsn: 0x2000000n });
    },
    kinds: ['format', 'db-mismatch'],
    cases: [1500, 80_000],
  });
  await fuzz.run({
    name: 'names of WAL',
    inputs: changedBytes(
      buffers(
        '0000000100000000000000FF',
        'FFFFFFFFFFFFFFFFFFFFFFFF',
        `000000010000000A00000001-${'a'.repeat(40)}.gz`,
        `000000010000000A00000001.partial-${'0'.repeat(40)}`,
      ),
      { tokens: ['F', '0', '.partial', '-', '.gz', '\n', '..', '/'], longest: 400 },
    ),
    read(input) {
      const text = input.toString();
      const archived = parseArchivedName(text);
      must(archived === undefined || !/[/\n]/.test(text), 'a file of the archive is in its directory');
      for (const size of [2 ** 20, 2 ** 24, 2 ** 30]) {
        must(nextWalName(text, size) > text, 'the next name comes later');
        must(countWalNames(text, nextWalName(text, size), size) === 2, 'and there is none between');
      }
    },
    kinds: ['format'],
    cases: [3000, 100_000],
  });
  await fuzz.run({
    name: 'password file',
    inputs: changedBytes(
      buffers('localhost:5432:*:backup:secret\n*:*:*:*:other\\:one\n', '# c\n/tmp:5432:postgres:postgres:x\r\n'),
      { tokens: [':', '\\', '\\:', '*', '\n', '\r\n', '#', '\0', '\\\\'] },
    ),
    read: input => choosePassword(input.toString(), { host: '/tmp', port: 5432, database: 'postgres', user: 'backup' }),
    kinds: [],
    cases: [1500, 80_000],
  });
}

/** As PostgreSQL would have made it, if the fields were these. */
function withCrc(bytes: Buffer): Buffer {
  const version = versions.find(({ controlVersion, catalogVersion, catalogVersionLast }) => {
    const catalog = bytes.length < 16 ? 0 : bytes.readUInt32LE(12);
    return (
      bytes.length >= 512 &&
      bytes.readUInt32LE(8) === controlVersion &&
      catalog >= catalogVersion &&
      catalog <= catalogVersionLast
    );
  });
  if (version === undefined) return bytes;
  const { crc } = version.control;
  const sum = version.controlCrc === 'legacy' ? legacyCrc32 : crc32c;
  bytes.writeUInt32LE(sum(bytes.subarray(0, crc)), crc);
  return bytes;
}

export async function fuzzConfiguration(fuzz: Fuzz): Promise<void> {
  const tokens = [
    ...[
      '=',
      '[',
      ']',
      '[]',
      '[global]',
      '[demo:backup]',
      '#',
      '\n',
      '\r\n',
      '\0',
      'repo1-',
      'repo257-path',
      'no-',
      'reset-',
    ],
    ...[
      'pg1-path=/x',
      'pg257-path',
      'process-max=99999999999999999999',
      'buffer-size=1PiB',
      'repo1-cipher-pass=',
      '=y',
      '=n',
    ],
    ...[
      'compress-level=-1e9',
      'stanza=a/b',
      'repo1-path=relative',
      'repo1-path=/a//b',
      'protocol-timeout=0.0001',
      '\ufeff',
    ],
    ...[
      'repo1-retention-full=9007199254740993',
      'tablespace-map=x',
      'db-timeout=1e999',
      'recovery-option=a',
      '__proto__=1',
    ],
  ];
  await fuzz.run({
    name: 'ini',
    inputs: changedBytes(configFiles(), { tokens }),
    read(input) {
      const ini = new Map<string, Map<string, string[]>>();
      parseIni(input, ini, line => line);
      for (const section of ini.values()) {
        for (const [key, texts] of section)
          must(key !== '' && texts.every(text => !text.includes('\n')), 'keys have values');
      }
    },
    kinds: ['format'],
    cases: [2000, 100_000],
  });
  await inFolder(async folder => {
    const file = join(folder, 'config');
    await fuzz.run({
      name: 'configuration',
      inputs: changedBytes(configFiles(), { tokens, longest: 8192 }),
      read(input) {
        writeFileSync(file, input);
        const command = ['backup', 'restore', 'archive-push', 'info', 'expire'][input.length % 5] ?? 'info';
        const words = command === 'archive-push' ? ['/x/000000010000000000000001'] : [];
        const loaded = load([`--config=${file}`, '--stanza=demo', command, ...words], {}, '/usr/bin/pgbackstop');
        must(loaded.kind === 'run', 'it is a command to run');
      },
      kinds: [
        'format',
        'option-invalid',
        'option-invalid-value',
        'option-required',
        'command-invalid',
        'param-invalid',
        'config',
      ],
      cases: [500, 20_000],
    });
  });
}

export async function fuzzBlockMaps(fuzz: Fuzz): Promise<void> {
  const seeds = Array.from({ length: 8 }, (_, seed) =>
    Buffer.from(encodeBlockMap(someItems(new Random(seed + 1)), 8192)),
  );
  await fuzz.run({
    name: 'block map',
    inputs: changedBytes(seeds, { longest: 64 * 1024 }),
    read(input) {
      // as short as a manifest may say that checksums are
      const items = decodeBlockMap(input, 8192, input.length % 4 === 0 ? 1 : 6);
      for (const { superSize, block, offset, size } of items) {
        must(
          block >= 0 && block * 8192 < superSize && size >= 0 && Number.isSafeInteger(offset + size),
          'blocks lie in super blocks',
        );
      }
      must(
        planBlockReads(items, () => true).reduce((sum, read) => sum + read.blocks.length, 0) === items.length,
        'each is read',
      );
      const size = items[0]?.checksum.length ?? 6;
      const again = decodeBlockMap(encodeBlockMap(items, 8192), 8192, size);
      must(again.length === items.length, 'it is read as it is written');
      for (const [index, item] of items.entries()) {
        const other = again[index] as BlockItem;
        must(
          other.reference === item.reference &&
            other.offset === item.offset &&
            other.superSize === item.superSize &&
            other.block === item.block &&
            other.size === item.size &&
            other.bundleId === item.bundleId &&
            Buffer.compare(other.checksum, item.checksum) === 0,
          `block ${index} is read as it is written`,
        );
      }
    },
    kinds: ['format'],
    cases: [4000, 150_000],
  });
}

/** Blocks of a file as backups make them. */
function someItems(random: Random): BlockItem[] {
  const items: BlockItem[] = [];
  const ends = new Map<number, number>();
  for (let group = 0; group < 6; group++) {
    const reference = random.between(0, 3);
    const blocks = random.between(1, 9);
    const offset = (ends.get(reference) ?? 0) + random.pick([0, 0, 100]);
    const size = random.between(1, 40_000);
    ends.set(reference, offset + size);
    const checksum = Buffer.alloc(6, group + 1);
    for (let block = 0; block < blocks; block++) {
      items.push({
        reference,
        bundleId: reference % 2,
        offset,
        size,
        superSize: blocks * 8192 - (group === 5 ? 100 : 0),
        block,
        checksum,
      });
    }
  }
  return items;
}

export async function fuzzSpool(fuzz: Fuzz): Promise<void> {
  const segment = '000000010000000000000004' as WalName;
  await inFolder(async folder => {
    const { out, root, cluster } = spoolPaths(folder, 'demo');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(out, { recursive: true });
    await fuzz.run({
      name: 'status of a segment',
      inputs: changedBytes(buffers('', '0\nwarning\n', '42\nunable to read\nHINT: is it there?\n', '25\nassert'), {
        tokens: ['\n', '0', '999', '25', 'HINT: ', '\0', '\r', '-1', ' '],
      }),
      read(input) {
        const name = input.length % 3 === 0 ? '.ok' : input.length % 3 === 1 ? '.error' : '';
        const file = name === '' ? `${out}/global.error` : `${out}/${segment}${name}`;
        writeFileSync(file, input);
        try {
          const status = readStatus(out, segment);
          must(status !== undefined, 'there is a status');
          if (status.kind === 'ok' && status.note !== undefined)
            must(warningOf(segment, status.note) !== '', 'a warning');
          if (status.kind === 'error') must(status.error.code > 0, 'an error is one');
        } finally {
          rmSync(file);
        }
      },
      kinds: ['format'],
      cases: [400, 20_000],
    });
    await fuzz.run({
      name: 'cluster of a spool',
      inputs: changedBytes(buffers('{"system-id":7710459850167362506,"version":"15"}')),
      read(input) {
        writeFileSync(cluster, input);
        isSpoolOf({ root, out, in: out, cluster }, { systemId: 1n, version: '15' });
      },
      kinds: ['format'],
      cases: [150, 5000],
    });
    await fuzz.run({
      name: 'record of dropped WAL',
      inputs: changedBytes(
        buffers(
          `{"dropped":[{"count":4,"first":"${segment}","last":"000000010000000000000007","size":67108864,"start":1795231333,"stop":1795231334}]}\n`,
        ),
        {
          tokens: [
            '9007199254740991',
            '1e999',
            '-1',
            '{}',
            '[]',
            'null',
            '"first":',
            ',',
            'FFFFFFFFFFFFFFFFFFFFFFFF',
            '{"dropped":',
          ],
        },
      ),
      read(input) {
        writeFileSync(`${root}/dropped.json`, input);
        recordDroppedWal(root, [{ name: segment, size: 16777216 }], 16777216, 1795231400);
        must(readDroppedWal(root).length > 0, 'what is recorded is there');
      },
      kinds: ['format'],
      cases: [150, 5000],
    });
    await fuzz.run({
      name: 'state of a prefetch',
      inputs: changedBytes(
        buffers(
          `{"boot":"b","count":8,"first":"${segment}","missing":"${segment}","pid":77,"slow":{"1":1795231333},"start":"5"}`,
        ),
        {
          tokens: [
            '1e999',
            '-1',
            'null',
            '{}',
            '"pid":',
            '0.5',
            '__proto__',
            'FFFFFFFFFFFFFFFFFFFFFFFF',
            '18446744073709551616',
          ],
        },
      ),
      read(input) {
        writeFileSync(`${root}/prefetch`, input);
        const state = readPrefetchState({ root, out, in: out, cluster });
        if (state === undefined) return;
        must(Number.isSafeInteger(state.pid) && Number.isSafeInteger(state.count), 'numbers are whole');
        isOnList(state, segment, 16 * 1024 * 1024);
      },
      kinds: [],
      cases: [250, 10_000],
    });
    await fuzz.run({
      name: 'lock file',
      inputs: changedBytes(buffers('{"execId":"1-a","pctCplt":1234,"pid":77,"sz":100,"szCplt":50}', ''), {
        tokens: ['1e999', '-1', '9007199254740991', 'null', '[]', '{', '0.5', '18446744073709551616', '\0'],
      }),
      read(input) {
        writeFileSync(`${folder}/lock`, input);
        const { size = 0, sizeComplete = 0, percentComplete = 0 } = readLockFile(`${folder}/lock`) ?? {};
        for (const number of [size, sizeComplete, percentComplete]) {
          must(Number.isSafeInteger(number) && number >= 0, `${number} is a count`);
        }
      },
      kinds: [],
      cases: [250, 15_000],
    });
  });
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'pgbackstop-hostile-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
