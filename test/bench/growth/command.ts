/** `npm run bench -- growth` and `npm run bench -- million`. */
import { Argument, Command, InvalidArgumentError } from 'commander';
import { machine } from '../bench.ts';
import { positive, resultFile, withTools } from '../command-line.ts';
import { writeWhole } from '../files.ts';
import { watchInterrupt } from '../interrupt.ts';
import { axisNames, type GrowthOptions, type GrowthResult, growth } from './growth.ts';
import { type MillionOptions, type MillionResult, million, millionTable } from './million.ts';
import { grown, growthTables } from './report.ts';

interface Files {
  readonly json: string;
  readonly markdown?: string;
}

function steps(text: string): number[] {
  const values = text.split(',').map(positive);
  const ascending = values.every((value, index) => index === 0 || value > (values[index - 1] ?? 0));
  if (values.length < 2 || !ascending) throw new InvalidArgumentError('two ascending numbers or more are wanted');
  return values;
}

const common = (command: Command, file: string): Command =>
  withTools(command)
    .option('--ours-only', 'leaves the real tool out')
    .option('--folder <path>', 'a folder in memory: what is to be seen is the growth, not the disk', '/dev/shm')
    .option('--json <path>', 'file for the results', resultFile(file))
    .option('--markdown <path>', 'file for the tables');

function heading({ versions }: Pick<GrowthResult, 'versions'>): string {
  const { processors, memory } = machine();
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [new Date().toISOString().slice(0, 10), processors, memory, ...programs].join('; ');
}

function save(result: object, text: string, { json, markdown }: Files): void {
  const whole = { date: new Date().toISOString(), machine: machine(), ...result };
  writeWhole(json, `${JSON.stringify(whole, undefined, 2)}\n`);
  if (markdown !== undefined) writeWhole(markdown, `${text}\n`);
}

function growthText(result: GrowthResult): string {
  const lines = grown(result.axes);
  const found =
    lines.length === 0
      ? 'Nothing grows faster than linear, and no memory with the size.'
      : ['Grows:', '', ...lines.map(line => `- ${line}`)].join('\n');
  return `${heading(result)}\n\n${growthTables(result.axes)}\n\n${found}`;
}

export function growthCommand(): Command {
  const command = new Command('growth')
    .description(
      'What backup, restore, info, expire and verify cost with more and more files, and bytes: time, processor time and memory, and the power of the size that they grow with.',
    )
    .addArgument(new Argument('[axes...]', 'of what there is more and more (all)').choices(axisNames))
    .option('--files <n>', 'files at the smallest size', positive, 4000)
    .option('--megabytes <n>', 'megabytes at the smallest size', positive, 64)
    .option('--steps <list>', 'sizes, as multiples of the smallest', steps, [1, 4, 16])
    .option('--runs <n>', 'runs at each size, of which the cheapest counts', positive, 1);
  return common(command, 'growth.json').action(
    async (axes: string[], options: Omit<GrowthOptions, 'bytes'> & Files & { readonly megabytes: number }) => {
      const { check } = watchInterrupt();
      const result = await growth(axes, { ...options, check, bytes: options.megabytes * 2 ** 20 }, found =>
        save(found, growthText(found), options),
      );
      console.log(growthText(result));
    },
  );
}

export function millionCommand(): Command {
  const command = new Command('million')
    .description('Backup, verify and restore of a million files, empty and tiny, in bundles and without.')
    .option('--files <n>', 'files', positive, 1_000_000);
  return common(command, 'million.json').action(async (options: MillionOptions & Files) => {
    const text = (result: MillionResult) => `${heading(result)}; ${result.files} files\n\n${millionTable(result)}`;
    console.log(text(await million(options, found => save(found, text(found), options))));
  });
}
