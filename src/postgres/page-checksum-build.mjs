/** Compiles page-checksum.wat into page-checksum-wasm.ts. Run by hand after a change; a test says when it is due. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import wabt from 'wabt';

/** The text of page-checksum-wasm.ts that belongs to a WebAssembly text. */
export async function compilePageChecksum(text) {
  const module = (await wabt()).parseWat('page-checksum.wat', text, { simd: true });
  const binary = Buffer.from(module.toBinary({}).buffer);
  module.destroy();
  return [
    '// Made from page-checksum.wat by page-checksum-build.mjs. Do not edit.',
    'export const pageChecksumWasm =',
    `  '${binary.toString('base64')}';`,
    '',
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  const text = readFileSync(join(import.meta.dirname, 'page-checksum.wat'), 'utf8');
  writeFileSync(join(import.meta.dirname, 'page-checksum-wasm.ts'), await compilePageChecksum(text));
}
