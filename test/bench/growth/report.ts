/** The growth of costs as tables in Markdown. */
import { markdownTable, megabytes, seconds } from '../report.ts';
import { memoryTarget } from '../target.ts';
import { considerable, lastExponent, linear, type Point } from './exponent.ts';

/** What a command of one tool cost at each size, smallest first. */
export interface Growth {
  readonly command: string;
  readonly tool: 'ours' | 'theirs';
  readonly points: readonly Point[];
}

/** One thing of which there is more and more. */
export interface Axis {
  /** `files`, `bytes`. */
  readonly name: string;
  /** Such as `1,000 files, 4,000 files`. */
  readonly sizes: readonly string[];
  readonly growths: readonly Growth[];
}

const cost = { wall: (point: Point) => point.wall, cpu: (point: Point) => point.cpu };

function line({ command, tool, points }: Growth): string[] {
  const series = (text: (point: Point) => string) => points.map(text).join(', ');
  const power = (of: (point: Point) => number) => `**${lastExponent(points, of).toFixed(2)}**`;
  return [
    command,
    tool,
    series(({ wall }) => seconds(wall)),
    power(cost.wall),
    series(({ cpu }) => seconds(cpu)),
    power(cost.cpu),
    series(({ largest }) => megabytes(largest)),
    series(({ peak }) => megabytes(peak)),
  ];
}

const titles = ['command', 'tool', 'time', 'power', 'CPU', 'power', 'largest process', 'all processes'];

/** A table for each axis. The power is that of the size with which a cost grows between the largest two sizes. */
export function growthTables(axes: readonly Axis[]): string {
  return axes
    .map(
      ({ name, sizes, growths }) =>
        `### ${name}: ${sizes.join('; ')}\n\n${markdownTable([titles, ...growths.map(line)])}`,
    )
    .join('\n\n');
}

/** Between smallest and largest size the largest process may have grown so much. */
const flat = 1.25;

/** A line for each command of ours that costs more than it is to: processor time or memory. */
export function grown(axes: readonly Axis[]): string[] {
  return axes.flatMap(({ name, growths }) =>
    growths
      .filter(({ tool }) => tool === 'ours')
      .flatMap(({ command, points }) => {
        const power = lastExponent(points, cost.cpu);
        const [first, last] = [points[0]?.largest ?? 0, points.at(-1)?.largest ?? 0];
        const counts = (points.at(-1)?.cpu ?? 0) >= considerable;
        return [
          ...(counts && power > linear
            ? [`${name}, ${command}: processor time grows with the power ${power.toFixed(2)}`]
            : []),
          ...(last > flat * first || last > memoryTarget
            ? [`${name}, ${command}: largest process ${megabytes(first)} to ${megabytes(last)}`]
            : []),
        ];
      }),
  );
}
