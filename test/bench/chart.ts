/**
 * The ratios as a picture (SVG): a bar for each row on a logarithmic scale, to the left of 1 where ours needs less.
 * It brings its own background, light or dark as the reader's browser is set, so it can be read on any page.
 */
import { type Column, namesOf } from './comparison.ts';
import type { Result } from './result.ts';
import type { Spread } from './statistics.ts';
import { summarize } from './summary.ts';

interface Bar extends Spread {
  readonly met: boolean;
  readonly target: number;
}

const width = 960;
const right = 110;
const top = 92;
const bottom = 34;

/** Room for the names, of which no character is wider. */
const characterWidth = 7;

const anyRow = (result: Result) => [...result.rows, ...result.latencies];

function barOf({ result }: Column, name: string): Bar | undefined {
  const row = anyRow(result).find(each => each.name === name);
  if (row === undefined) return undefined;
  const { time, met, target } = summarize(row);
  return time === undefined ? undefined : { ...time, met: met === true, target };
}

/** Powers of two that take in all medians and targets; one more on each side for the whiskers. */
function domain(bars: readonly Bar[]): { readonly lowest: number; readonly highest: number } {
  const values = [1, ...bars.flatMap(({ median, target }) => [median, target])];
  const lowest = 2 ** (Math.floor(Math.log2(Math.min(...values))) - 0.5);
  const highest = 2 ** (Math.ceil(Math.log2(Math.max(...values))) + 0.5);
  return { lowest, highest };
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const style = `
    text { font: 12px -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328; }
    .heading { font-size: 16px; font-weight: 600; }
    .small { font-size: 11px; fill: #59636e; }
    .ground { fill: #ffffff; }
    .grid { stroke: #d1d9e0; }
    .one { stroke: #59636e; stroke-width: 1.5; }
    .whisker { stroke: #59636e; }
    .target { stroke: #1f2328; stroke-width: 2; }
    .met { fill: #0969da; }
    .missed { fill: #bc4c00; }
    .later { opacity: 0.55; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .small { fill: #9198a1; }
      .ground { fill: #0d1117; }
      .grid { stroke: #3d444d; }
      .one, .whisker { stroke: #9198a1; }
      .target { stroke: #f0f6fc; }
      .met { fill: #4493f8; }
      .missed { fill: #f0883e; }
    }
  `;

/** @param columns one or two: the bars of the second are paler @throws when no row has a ratio */
export function chart(columns: readonly Column[]): string {
  const rows = namesOf(columns, anyRow)
    .map(name => ({ name, bars: columns.map(column => barOf(column, name)) }))
    .filter(({ bars }) => bars.some(bar => bar !== undefined));
  const all = rows.flatMap(({ bars }) => bars.flatMap(bar => bar ?? []));
  if (all.length === 0) throw new Error('no row has a ratio: there is nothing to draw');
  const { lowest, highest } = domain(all);
  const left = 24 + characterWidth * Math.max(...rows.map(({ name }) => name.length));
  const plot = width - left - right;
  const x = (ratio: number): number => {
    const part = Math.log(Math.min(highest, Math.max(lowest, ratio)) / lowest) / Math.log(highest / lowest);
    return Math.round((left + part * plot) * 10) / 10;
  };
  const barHeight = columns.length === 1 ? 10 : 7;
  const rowHeight = columns.length * barHeight + 9;
  const height = top + rows.length * rowHeight + bottom;
  const end = height - bottom;
  const peers = new Set(columns.map(({ result }) => result.versions.theirs ?? 'pgBackRest'));
  const title = `Time of pgbackstop as a part of the time of ${[...peers].join(' and ')}`;
  const met = all.filter(bar => bar.met).length;
  const description = `${columns.map(({ label }) => label).join(' and ')}: ${met} of ${all.length} bars are what they are to be. ${rows
    .map(({ name, bars }) => `${name} ${bars.map(bar => bar?.median.toFixed(2) ?? 'not measured').join(' and ')}`)
    .join('; ')}.`;

  const ticks: number[] = [];
  for (let power = Math.ceil(Math.log2(lowest)); 2 ** power <= highest; power++) ticks.push(2 ** power);
  const scale = ticks.flatMap(tick => [
    `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${x(tick)}" y1="${top - 6}" x2="${x(tick)}" y2="${end}"/>`,
    `<text class="small" x="${x(tick)}" y="${top - 12}" text-anchor="middle">${tick}</text>`,
    `<text class="small" x="${x(tick)}" y="${end + 16}" text-anchor="middle">${tick}</text>`,
  ]);

  const drawn = rows.flatMap(({ name, bars }, index) => {
    const y = top + index * rowHeight + 4;
    const middle = y + (columns.length * barHeight) / 2;
    const target = bars.find(bar => bar !== undefined)?.target ?? 1;
    const text = bars.map(bar => bar?.median.toFixed(2) ?? '–').join(' · ');
    return [
      `<text x="${left - 10}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
      ...bars.flatMap((bar, at) => (bar === undefined ? [] : drawBar(bar, y + at * barHeight, barHeight, at > 0, x))),
      `<line class="target" x1="${x(target)}" y1="${y - 2}" x2="${x(target)}" y2="${y + columns.length * barHeight + 1}"/>`,
      `<text x="${left + plot + 10}" y="${middle + 4}">${text}</text>`,
    ];
  });

  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(description)}</desc>`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}" rx="6"/>`,
    `<text class="heading" x="16" y="26">${escaped(title)}</text>`,
    `<text class="small" x="16" y="44">Logarithmic; left of 1 pgbackstop needs less. Bar: median of pairs, thin line: their spread, upright mark: the target.</text>`,
    ...legend(columns),
    ...scale,
    ...drawn,
    '</svg>',
  ].join('\n')}\n`;
}

function drawBar(bar: Bar, y: number, height: number, later: boolean, x: (ratio: number) => number): string[] {
  const [from, to] = [x(Math.min(1, bar.median)), x(Math.max(1, bar.median))];
  const middle = y + height / 2;
  const kind = `${bar.met ? 'met' : 'missed'}${later ? ' later' : ''}`;
  return [
    // a ratio of 1 is to be seen too
    `<rect class="${kind}" x="${from}" y="${y}" width="${Math.max(2, Math.round((to - from) * 10) / 10)}" height="${height - 1}"/>`,
    `<line class="whisker" x1="${x(bar.lowest)}" y1="${middle}" x2="${x(bar.highest)}" y2="${middle}"/>`,
  ];
}

function legend(columns: readonly Column[]): string[] {
  const entries = columns.flatMap(({ label }, at) =>
    (['met', 'missed'] as const).map(kind => ({
      kind: `${kind}${at > 0 ? ' later' : ''}`,
      text: columns.length === 1 ? `target ${kind}` : `${label}, ${kind}`,
    })),
  );
  return entries.flatMap(({ kind, text }, index) => {
    const at = 16 + index * 200;
    return [
      `<rect class="${kind}" x="${at}" y="54" width="12" height="10"/>`,
      `<text class="small" x="${at + 18}" y="63">${escaped(text)}</text>`,
    ];
  });
}
