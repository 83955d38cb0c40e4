/**
 * Reads the import lines of a source tree and says which of them break the table of layers.
 *
 * Pure: it takes file names and texts, so that its own test can hand it a wrong arrow.
 */
import { posix } from 'node:path';

/** What the files of one layer may import. */
export interface Layer {
  /** Layers below it. `storage (types)`: by `import type` only. */
  readonly layers: readonly string[];
  /** npm packages. */
  readonly packages: readonly string[];
}

/** Arrows point down: a layer is listed above every layer it may import. */
export const layers: Readonly<Record<string, Layer>> = {
  cli: {
    layers: ['command', 'config', 'repo', 'postgres', 'storage', 'parallel', 'protocol', 'codec', 'base'],
    packages: [],
  },
  command: {
    layers: ['config', 'repo', 'postgres', 'storage', 'parallel', 'protocol', 'codec', 'base'],
    packages: ['p-limit'],
  },
  config: { layers: ['base'], packages: [] },
  repo: { layers: ['postgres', 'storage', 'codec', 'base'], packages: ['p-limit'] },
  postgres: { layers: ['storage (types)', 'protocol', 'codec', 'base'], packages: ['pg'] },
  storage: {
    layers: ['protocol', 'codec', 'base'],
    packages: [
      'aws4',
      '@aws-sdk/client-s3',
      '@aws-sdk/credential-provider-ini',
      '@smithy/core',
      '@smithy/node-http-handler',
      'p-limit',
    ],
  },
  parallel: { layers: ['base'], packages: [] },
  protocol: { layers: ['base'], packages: [] },
  codec: {
    layers: ['base'],
    packages: [
      'lz4-napi',
      'lz4',
      'xxhash-wasm',
      'hash-wasm',
      'zstd-napi',
      '@toondepauw/node-zstd',
      'fzstd',
      'bzip2-wasm',
    ],
  },
  base: { layers: [], packages: [] },
  // A program beside the house: it uses the command line as a user would.
  demo: { layers: [], packages: ['pg'] },
};

export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

const patterns = [
  // import x from 'y', import type { x } from 'y', export * from 'y'
  /^[ \t]*(?:import|export)(?<type>\s+type\b)?[^'"`;]*?\bfrom\s*['"](?<specifier>[^'"]+)['"]/gm,
  // import 'y'
  /^[ \t]*import\s*['"](?<specifier>[^'"]+)['"]/gm,
  // import('y'), and the type form of it
  /(?<type>\btypeof\s+)?\bimport\(\s*['"](?<specifier>[^'"]+)['"]/g,
  /\brequire\(\s*['"](?<specifier>[^'"]+)['"]/g,
];

/** Every import in a TypeScript text, static and lazy. */
export function importsOf(text: string): Import[] {
  return patterns.flatMap(pattern =>
    [...text.matchAll(pattern)].map(match => ({
      specifier: match.groups?.specifier ?? '',
      typeOnly: match.groups?.type !== undefined,
    })),
  );
}

/** `@scope/name/file` -> `@scope/name` */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** @returns why the import is not allowed, or undefined when it is */
function objection(file: string, { specifier, typeOnly }: Import): string | undefined {
  const [layer = '', sibling] = file.split('/');
  const rules = layers[layer];
  if (rules === undefined || sibling === undefined) return `'${file}' belongs to no layer`;
  if (specifier.startsWith('node:')) return undefined;
  if (!specifier.startsWith('.')) {
    const name = packageOf(specifier);
    return rules.packages.includes(name) ? undefined : `${layer} must not use the package '${name}'`;
  }
  const target = posix.join(posix.dirname(file), specifier);
  if (target.startsWith('..')) return `imports '${target}' from outside src`;
  const [targetLayer = '', targetSibling = ''] = target.split('/');
  if (targetLayer === layer) {
    // command/index.ts and command/session.ts are the layer's own ground, folders are commands.
    const crosses = layer === 'command' && sibling !== targetSibling && file.split('/').length > 2;
    const intoFolder = target.split('/').length > 2;
    return crosses && intoFolder ? `command '${sibling}' must not import command '${targetSibling}'` : undefined;
  }
  if (rules.layers.includes(targetLayer)) return undefined;
  if (rules.layers.includes(`${targetLayer} (types)`)) {
    return typeOnly ? undefined : `${layer} may import only types from ${targetLayer}`;
  }
  return `${layer} must not import ${targetLayer}`;
}

/**
 * @param files path below `src` (with `/`) -> text
 * @returns one line for each import that breaks the table, empty when the house is in order
 */
export function violations(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([file, text]) =>
    importsOf(text).flatMap(found => {
      const reason = objection(file, found);
      return reason === undefined ? [] : [`src/${file}: import of '${found.specifier}': ${reason}`];
    }),
  );
}
