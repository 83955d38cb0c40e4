/** The path that a command of the repository works on, as its user gave it. */
import { BackstopError } from '../../base/error.ts';

/**
 * @param base repo-path: an absolute path must be in it
 * @returns the path within the repository: empty for all of it, else with `/` at its start
 * @throws param-invalid
 */
export function repoPath(given: string, base: string): string {
  if (given.includes('//')) throw new BackstopError('param-invalid', `path '${given}' cannot contain //`);
  // what is outside of the repository is not its business, least of all what may be removed there
  if (given.split('/').includes('..')) throw new BackstopError('param-invalid', `path '${given}' cannot contain ..`);
  const path = given.endsWith('/') && given !== '/' ? given.slice(0, -1) : given;
  if (!path.startsWith('/')) return path === '' || path === '.' ? '' : `/${path}`;
  if (path === base) return '';
  if (base === '/') return path;
  if (!path.startsWith(`${base}/`)) {
    throw new BackstopError('param-invalid', `absolute path '${given}' is not in base path '${base}'`, {
      hint: 'paths are relative to repo-path, or start with it.',
    });
  }
  return path.slice(base.length);
}

/**
 * The one path among the parameters.
 * @returns undefined when there is none
 */
export function onePath(params: readonly string[]): string | undefined {
  if (params.length > 1) throw new BackstopError('param-invalid', 'only one path may be specified');
  return params[0];
}

/** @throws param-required unless there is exactly one parameter @param what `source file` */
export function requiredPath(params: readonly string[], what: string): string {
  const [path] = params;
  if (path === undefined || params.length > 1) throw new BackstopError('param-required', `${what} required`);
  return path;
}
