/**
 * Rows of a test over several dimensions in which every pair of values of two dimensions occurs, in far fewer rows than
 * there are combinations. Deterministic: the same dimensions give the same rows.
 */

/** Values of each dimension, by its name. */
export type Dimensions = Readonly<Record<string, readonly string[]>>;

export type Row<D extends Dimensions> = { readonly [Name in keyof D]: D[Name][number] };

/** Every combination, with the last dimension changing fastest. */
export function allCombinations<const D extends Dimensions>(dimensions: D): Row<D>[] {
  let rows: Record<string, string>[] = [{}];
  for (const [name, values] of Object.entries(dimensions)) {
    rows = rows.flatMap(row => values.map(value => ({ ...row, [name]: value })));
  }
  return rows as Row<D>[];
}

/**
 * @param required combinations of values each of which must occur, besides all pairs: one row is made for each
 * @param allowed false for a row that must not be made for a required combination; pairs are covered by any row
 * @throws when a required combination has no allowed row
 */
export function allPairs<const D extends Dimensions>(
  dimensions: D,
  required: readonly Partial<Row<D>>[] = [],
  allowed: (row: Row<D>) => boolean = () => true,
): Row<D>[] {
  const space = allCombinations(dimensions);
  const missing = new Set(space.flatMap(row => pairsOf(row)));
  const rows: Row<D>[] = [];
  const take = (candidates: readonly Row<D>[]): void => {
    const gain = (row: Row<D>): number => pairsOf(row).filter(pair => missing.has(pair)).length;
    const best = candidates.reduce<Row<D> | undefined>(
      (chosen, row) => (chosen === undefined || gain(row) > gain(chosen) ? row : chosen),
      undefined,
    );
    if (best === undefined) throw new Error('a required combination has no row that is allowed');
    rows.push(best);
    for (const pair of pairsOf(best)) missing.delete(pair);
  };
  for (const values of required) {
    const wanted = Object.entries(values);
    take(space.filter(row => wanted.every(([name, value]) => row[name] === value) && allowed(row)));
  }
  while (missing.size > 0) take(space);
  return rows;
}

/** Every pair of values in a row, as text. */
export function pairsOf(row: Readonly<Record<string, string>>): string[] {
  const values = Object.entries(row).map(([name, value]) => `${name}=${value}`);
  return values.flatMap((one, index) => values.slice(index + 1).map(other => `${one} ${other}`));
}
