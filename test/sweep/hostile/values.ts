/** Values as they stand in info files, manifests and records, which those like who want a reader to fall over them. */
import fc from 'fast-check';

/** JSON, and what only looks like it. */
const raws: readonly string[] = [
  ...['0', '-0', '-1', '1', '1.5', '1e3', '1e999', '-1e999', '4294967295', '4294967296', '65536', '255', '256', '262'],
  ...['9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740991', '9223372036854775807'],
  ...['9223372036854775808', '18446744073709551615', '18446744073709551616', '99999999999999999999999999'],
  ...['true', 'false', 'null', '""', '" "', '"\\u0000"', '"\\n"', '"\\ud800"', '"0"', '"1"', '"15"', '"9.6"', '"-1"'],
  ...['"0x10"', '"1e3"', '"NaN"', '"Infinity"', '"__proto__"', '"constructor"', '"toString"', '"a=b"', '"a,b"'],
  ...['".."', '"../.."', '"/"', '"/etc"', '"/etc/passwd"', '"../../../../tmp/evil"', '"pg_data/../../x"', '"."'],
  ...['"15/../../../x"', '"15-1/../.."', '"20261121-020956F"', '"20261121-020956F_20261121-030000I"'],
  ...['"99999999-999999F"', '"20261121-020956F\\n"', '"full"', '"diff"', '"incr"', '"gz"', '"none"', '"zst"'],
  ...['"000000010000000000000001"', '"FFFFFFFFFFFFFFFFFFFFFFFF"', '"0/0"', '"FFFFFFFF/FFFFFFFF"', '"0/0\\n"'],
  ...['"0700"', '"7777"', '"07777"', '"root"', '"da39a3ee5e6b4b0d3255bfef95601890afd80709"', '"path"', '"link"'],
  ...['[]', '{}', '[[]]', '[{}]', '{"":0}', '{"__proto__":{}}', '{"toString":1}', '{"valueOf":1,"toString":2}'],
  ...['{"a":18446744073709551616}', '[18446744073709551616]', '{"a":1,"a":2}', '[0,1,[2,3],[4,5]]', '[[5,4]]', '[-1]'],
  ...['', '{', '[', '"', '{"a"', '{"a":}', '[1,]', '{,}', 'nul', 'tru', '+1', '.5', '0x10', '1 ', ' 1', '"a"b', '01'],
  `"${'x'.repeat(5000)}"`,
  `"${'../'.repeat(1500)}x"`,
  '['.repeat(70) + ']'.repeat(70),
  '['.repeat(5000) + ']'.repeat(5000),
  `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`,
  `[${'1,'.repeat(5000)}1]`,
  `[${'"20261121-020956F",'.repeat(500)}"20261121-020956F"]`,
  '9'.repeat(400),
  '='.repeat(3000),
  '="'.repeat(1500),
];

/** The text of a value: one from the list, or any JSON. */
export const hostileRaw: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...raws), weight: 12 },
  { arbitrary: fc.integer().map(String), weight: 2 },
  { arbitrary: fc.bigInt().map(String), weight: 1 },
  { arbitrary: fc.string({ maxLength: 12 }).map(text => JSON.stringify(text)), weight: 2 },
  { arbitrary: fc.string({ maxLength: 12, unit: 'binary' }).map(text => JSON.stringify(text)), weight: 1 },
);

/** Names of keys, files, paths, databases, sections. */
export const hostileName: fc.Arbitrary<string> = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      ...['', '=', '==', '[x]', '[', ']', '#', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '0', '1', '2'],
      ...[
        '-1',
        '1.5',
        'NaN',
        'Infinity',
        '1e3',
        '0x1',
        ' 1',
        '1 ',
        '18446744073709551616',
        '\u0000',
        'a\u0000b',
        '"',
        '\\',
      ],
      ...['pg_data', 'pg_data/', 'pg_data/x', 'pg_data/../x', 'pg_data/..', 'pg_data/.', 'pg_data//x', '/etc/passwd'],
      ...['pg_data/base/5/1247', 'pg_data/PG_VERSION/x', 'pg_data/global/pg_control', 'pg_data/backup.manifest'],
      ...[
        'pg_data/a\u0000b',
        'pg_data/x=y',
        'pg_data/[x]',
        'pg_data/x={"size":1}',
        'pg_data/\u00e4',
        'pg_data/\ud83d\ude00',
      ],
      ...[
        'pg_tblspc',
        'pg_tblspc/1',
        'pg_tblspc/1/x',
        'pg_tblspc/../x',
        'pg_tblspc/NaN',
        'pg_tblspc/1000',
        'pg_tblspc/1.5',
      ],
      ...['pg_data/pg_tblspc/1', 'pg_data/pg_wal', 'pg_data/pg_wal/x', 'pg_tblspc/16/PG_15_202209061/5/1'],
      ...['20261121-020956F', '20261121-020956F_20261121-030000I', '20261121-020956F\r', '../20261121-020956F'],
      `pg_data/${'x'.repeat(300)}`,
      `pg_data/${'d/'.repeat(3000)}x`,
      `pg_data/${'x'.repeat(70_000)}`,
    ),
    weight: 6,
  },
  { arbitrary: fc.string({ maxLength: 10 }).map(text => text.replaceAll('\n', '')), weight: 1 },
);
