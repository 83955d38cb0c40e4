/** An error of one repository, where the others go on. */
import { asBackstopError, type BackstopError } from '../base/error.ts';

export interface RepoError {
  /** `repo1` */
  readonly repo: string;
  readonly error: BackstopError;
}

/** @param thrown whatever was thrown while working on the repository */
export function repoError(key: number, thrown: unknown): RepoError {
  return { repo: `repo${key}`, error: asBackstopError(thrown) };
}

/** `repo1: [FileOpenError] unable to ...` */
export function formatRepoError({ repo, error }: RepoError): string {
  return `${repo}: [${error.name}] ${error.text}`;
}

/** @returns one line or more for each error */
export function formatRepoErrors(errors: readonly RepoError[]): string {
  return errors.map(formatRepoError).join('\n');
}
