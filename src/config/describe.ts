/** Options as help shows them: what they are now and what they would be by default. */

import { texts } from './format.ts';
import { noKey } from './given.ts';
import { isRedacted, redacted } from './option.ts';
import { defaultText } from './resolve.ts';
import { type Resolved, slotOf } from './resolved.ts';
import { isOptionName, type OptionName, optionRule, ruleFor } from './table.ts';
import { withoutPassword } from './values.ts';

export interface DescribedValue {
  /** `repo1`; empty for options without index. */
  readonly index: string;
  /** What the configuration gives; undefined when it is a default or unset. Secrets are `<redacted>`. */
  readonly current: string | undefined;
  readonly fallback: string | undefined;
}

/** The values of an option, one for each index in use. */
export function describeOption(resolved: Resolved, name: OptionName): readonly DescribedValue[] {
  const { group } = optionRule(name);
  const keys = group === undefined ? [noKey] : resolved.keys[group];
  return keys.map(key => ({
    index: group === undefined ? '' : `${group}${key}`,
    current: currentText(resolved, name, key),
    fallback: fallbackText(resolved, name, key),
  }));
}

function currentText(resolved: Resolved, name: OptionName, key: number): string | undefined {
  const slot = slotOf(resolved, name, key);
  if (slot === undefined || slot.source === 'default' || slot.value === undefined) return undefined;
  return isRedacted(optionRule(name)) ? redacted : texts(slot).map(withoutPassword).join(', ');
}

function fallbackText(resolved: Resolved, name: OptionName, key: number): string | undefined {
  const rule = ruleFor(name, resolved.command);
  const other = rule.onlyIf?.option;
  if (other === undefined || !isOptionName(other)) return defaultText(rule, undefined, resolved.program);
  const value = slotOf(resolved, other, optionRule(other).group === undefined ? noKey : key)?.value;
  if (value === undefined || (rule.onlyIf?.is !== undefined && !rule.onlyIf.is.some(one => one === value))) {
    return undefined;
  }
  return defaultText(rule, typeof value === 'string' ? value : undefined, resolved.program);
}
