/**
 * Several pipelines over the same input. What they have to do alike from their beginning on is done once: a file that goes
 * to two places is hashed and compressed once, and encrypted for each.
 */
import { isDeepStrictEqual } from 'node:util';
import { type AnyStepSpec, openPipeline, type Pipeline, type StepKinds, type StepResults } from './pipeline.ts';
import type { Emit } from './step.ts';

export interface PipelineBranch<S extends AnyStepSpec> {
  /** First steps: equal specifications mean the same bytes, so the kinds of one branch serve all. */
  readonly shared: readonly S[];
  /** Steps after them, whose kinds know more than their specification says. */
  readonly own: readonly S[];
  readonly kinds: StepKinds<S>;
  /** Chunks given to it are valid only during that call. */
  readonly sink: Emit;
}

export interface SharedPipeline extends Pick<Pipeline, 'push' | 'end' | 'close'> {
  /** Of each branch, in the order in which they were given. Valid after end(). */
  results(): StepResults[];
}

/** Opens a pipeline for all of the branches, at least one. With one it is that branch's pipeline and nothing more. */
export function openSharedPipeline<S extends AnyStepSpec>(branches: readonly PipelineBranch<S>[]): SharedPipeline {
  return openFrom(branches, 0);
}

/** @param from steps that stand before these branches and are equal in all */
function openFrom<S extends AnyStepSpec>(branches: readonly PipelineBranch<S>[], from: number): SharedPipeline {
  const [first, ...others] = branches as readonly [PipelineBranch<S>, ...PipelineBranch<S>[]];
  if (others.length === 0) {
    const pipeline = openPipeline([...first.shared.slice(from), ...first.own], first.kinds, first.sink);
    return {
      push: pipeline.push,
      end: pipeline.end,
      close: pipeline.close,
      results: () => [pipeline.results()],
    };
  }
  let to = from;
  while (to < first.shared.length && others.every(({ shared }) => isDeepStrictEqual(shared[to], first.shared[to]))) {
    to++;
  }
  const children: { readonly at: readonly number[]; readonly pipeline: SharedPipeline }[] = [];
  const closeAll = () => {
    for (const { pipeline } of children) pipeline.close();
  };
  try {
    for (const at of groupsOf(branches, to)) {
      children.push({
        at,
        pipeline: openFrom(
          at.map(index => branches[index] as PipelineBranch<S>),
          to,
        ),
      });
    }
    const trunk = openPipeline(first.shared.slice(from, to), first.kinds, chunk => {
      for (const { pipeline } of children) pipeline.push(chunk);
    });
    return {
      push: trunk.push,
      end() {
        trunk.end();
        for (const { pipeline } of children) pipeline.end();
      },
      results() {
        const before = trunk.results();
        const results: StepResults[] = [];
        for (const { at, pipeline } of children) {
          for (const [place, after] of pipeline.results().entries()) results[at[place] ?? 0] = { ...before, ...after };
        }
        return results;
      },
      close() {
        trunk.close();
        closeAll();
      },
    };
  } catch (error) {
    closeAll();
    throw error;
  }
}

/** The branches, as indexes, by their step at this place; one that shares no more steps stands alone. */
function groupsOf<S extends AnyStepSpec>(branches: readonly PipelineBranch<S>[], place: number): number[][] {
  const groups: number[][] = [];
  for (const [index, { shared }] of branches.entries()) {
    const step = shared[place];
    const group = groups.find(([other = 0]) => {
      const its = branches[other]?.shared[place];
      return step !== undefined && isDeepStrictEqual(its, step);
    });
    if (group === undefined) groups.push([index]);
    else group.push(index);
  }
  return groups;
}
