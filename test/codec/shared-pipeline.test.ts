import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { openCodecs, type StepSpec } from '../../src/codec/codecs.ts';
import { openPipeline, prepareSteps, transformBytes } from '../../src/codec/pipeline.ts';
import { openSharedPipeline } from '../../src/codec/shared-pipeline.ts';

const content = Buffer.concat([Buffer.alloc(100_000, 'content'), randomBytes(50_000)]);

const hash: StepSpec = { step: 'hash', algorithm: 'sha1', id: 'content' };
const stored: StepSpec = { step: 'hash', algorithm: 'sha1', id: 'stored' };
const lz4: StepSpec = { step: 'compress', type: 'lz4', level: 1, raw: false };
/** With what the steps of these tests need. */
const codecs = openCodecs();
beforeAll(() => prepareSteps([hash, lz4], codecs));

const encrypt = (passphrase: string): StepSpec => ({ step: 'encrypt', passphrase, raw: false });

/** What each branch gave out, and how often a step of each kind was opened. */
function run(specs: readonly (readonly StepSpec[])[], own: readonly StepSpec[] = []) {
  const opened: string[] = [];
  let closed = 0;
  const counting = Object.fromEntries(
    Object.entries(codecs).map(([name, kind]) => [
      name,
      {
        open: (spec: never) => {
          opened.push(name);
          const step = kind.open(spec);
          return {
            push: step.push.bind(step),
            end: step.end.bind(step),
            result: () => step.result?.(),
            close: () => {
              closed++;
              step.close?.();
            },
          };
        },
      },
    ]),
  ) as unknown as typeof codecs;
  const outputs: Buffer[][] = specs.map(() => []);
  const pipeline = openSharedPipeline<StepSpec>(
    specs.map((shared, at) => ({
      shared,
      own,
      kinds: counting,
      sink: chunk => void outputs[at]?.push(Buffer.from(chunk)),
    })),
  );
  for (let at = 0; at < content.length; at += 8192) pipeline.push(content.subarray(at, at + 8192));
  pipeline.end();
  const results = pipeline.results();
  pipeline.close();
  return { outputs: outputs.map(parts => Buffer.concat(parts)), results, opened, closed };
}

describe('pipelines over the same input', () => {
  it('do once what they have to do alike, and each what is its own', () => {
    const specs = [
      [hash, lz4, stored],
      [hash, lz4, encrypt('a'), stored],
      [hash, lz4, encrypt('b'), stored],
      [hash],
      [hash, lz4, stored],
    ];
    const { outputs, results, opened, closed } = run(specs);
    expect(opened.sort()).toEqual(['compress', 'encrypt', 'encrypt', 'hash', 'hash', 'hash', 'hash']);
    expect(closed).toBe(opened.length);
    const plain = transformBytes([lz4], codecs, content).bytes;
    expect(outputs[0]?.equals(plain)).toBe(true);
    expect(outputs[4]?.equals(plain)).toBe(true);
    expect(outputs[3]?.equals(content)).toBe(true);
    for (const [at, passphrase] of [
      [1, 'a'],
      [2, 'b'],
    ] as const) {
      const decrypt: StepSpec = { step: 'decrypt', passphrase, raw: false };
      const { bytes } = transformBytes([decrypt], codecs, outputs[at] ?? Buffer.alloc(0));
      expect(Buffer.from(bytes).equals(plain)).toBe(true);
    }
    const sha1 = transformBytes([hash], codecs, content).results.content;
    for (const [at, result] of results.entries()) {
      const itsBytes = transformBytes([stored], codecs, outputs[at] ?? Buffer.alloc(0)).results.stored;
      expect(result).toEqual(at === 3 ? { content: sha1 } : { content: sha1, stored: itsBytes });
    }
  });

  it('share nothing of the steps that know more than they say, also when these are spelled alike', () => {
    const { opened } = run([[hash], [hash]], [lz4]);
    expect(opened.sort()).toEqual(['compress', 'compress', 'hash']);
  });

  it('are one plain pipeline when there is one branch', () => {
    const { outputs } = run([[hash, lz4]]);
    const parts: Buffer[] = [];
    const alone = openPipeline<StepSpec>([hash, lz4], codecs, chunk => parts.push(Buffer.from(chunk)));
    alone.push(content);
    alone.end();
    expect(outputs[0]?.equals(Buffer.concat(parts))).toBe(true);
  });
});
