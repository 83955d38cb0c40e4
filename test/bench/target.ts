/** What a row is to reach: the most that ours may take, as a part of what theirs takes. */

export interface Target {
  /** Of the time that theirs takes. */
  readonly ratio: number;
  /** The same against a peer before 2.59, which waits in every backup for a second or more that the later one does not. */
  readonly olderPeer?: number;
}

/** No slower: what a row is to reach that says nothing else. */
const level = 1;
const gz = 0.4;
const smallFiles = 0.6;

export const codecTarget = (codec: string): Target => ({ ratio: codec === 'gz' ? gz : level });
export const smallFilesTarget: Target = { ratio: smallFiles };

/** What takes those seconds off. */
export const backup = (target: Target): Target => ({ ...target, olderPeer: Math.min(target.ratio, 0.5) });
export const unchangedBackup = (target: Target): Target => ({ ...target, olderPeer: Math.min(target.ratio, 0.25) });

/** The largest process of ours, in bytes, whatever the size of the cluster. */
export const memoryTarget = 150e6;

/** The first release that does not wait. */
const promptRelease: readonly [number, number] = [2, 59];

/** @param release as `version` says it, such as `pgBackRest 2.45` */
export function isBefore(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, ours = '', theirs = ''] = /(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(ours) < major || (Number(ours) === major && Number(theirs) < minor);
}

/** @param peer what the other tool says of its version */
export function targetRatio(target: Target | undefined, peer: string | undefined): number {
  if (target === undefined) return level;
  return peer !== undefined && isBefore(peer, promptRelease) ? (target.olderPeer ?? target.ratio) : target.ratio;
}
