/** Lists objects: what stands below a prefix, one level deep or all of it, page by page. */
import { FalseAnswer, type S3Access } from './client.ts';

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** In a bucket that keeps versions and is read at an earlier time. */
  readonly versionId?: string;
}

export interface ListedPage {
  readonly objects: readonly ListedObject[];
  /** Prefixes that stand for more than one level, each with a slash at its end. */
  readonly folders: readonly string[];
}

/**
 * Pages of what is below a prefix.
 * @param deep all levels; false: one, with folders
 */
export async function* listPages(access: S3Access, prefix: string, deep: boolean): AsyncGenerator<ListedPage> {
  let token: string | undefined;
  do {
    const output = await access.send(
      'list',
      prefix,
      access.sdk.ListObjectsV2Command,
      {
        Prefix: prefix,
        ...(deep ? {} : { Delimiter: '/' }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      },
      answer => {
        if (answer.IsTruncated === undefined)
          throw new FalseAnswer('the answer to a list does not say whether it is whole');
        if (answer.IsTruncated && !answer.NextContinuationToken) throw new FalseAnswer('a list ends before its end');
      },
    );
    yield {
      objects: (output.Contents ?? []).map(({ Key = '', Size = 0, LastModified }) => ({
        key: Key,
        size: Size,
        mtime: Math.floor((LastModified?.getTime() ?? 0) / 1000),
      })),
      folders: (output.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
    };
    token = output.IsTruncated ? output.NextContinuationToken : undefined;
  } while (token !== undefined);
}

/**
 * As listPages(), of what was there at an earlier time, in a bucket that keeps versions.
 * @param time milliseconds since the epoch; a version of that very moment counts
 */
export async function* listPagesAt(
  access: S3Access,
  prefix: string,
  deep: boolean,
  time: number,
): AsyncGenerator<ListedPage> {
  let markers: { KeyMarker?: string; VersionIdMarker?: string } = {};
  /** The last key that was decided; versions of one key come together, the newest first. */
  let decided: string | undefined;
  for (;;) {
    const output = await access.send(
      'list',
      prefix,
      access.sdk.ListObjectVersionsCommand,
      { Prefix: prefix, ...(deep ? {} : { Delimiter: '/' }), ...markers },
      answer => {
        if (answer.IsTruncated === undefined)
          throw new FalseAnswer('the answer to a list does not say whether it is whole');
      },
    );
    const candidates = [
      ...(output.Versions ?? []).map(version => ({ ...version, deleted: false })),
      ...(output.DeleteMarkers ?? []).map(marker => ({ ...marker, deleted: true, Size: 0 })),
    ]
      .filter(({ LastModified }) => (LastModified?.getTime() ?? 0) <= time)
      .sort(
        (a, b) =>
          compare(a.Key ?? '', b.Key ?? '') || (b.LastModified?.getTime() ?? 0) - (a.LastModified?.getTime() ?? 0),
      );
    const objects: ListedObject[] = [];
    for (const { Key = '', Size = 0, LastModified, VersionId, deleted } of candidates) {
      if (Key === decided) continue;
      decided = Key;
      if (deleted) continue;
      objects.push({
        key: Key,
        size: Size,
        mtime: Math.floor((LastModified?.getTime() ?? 0) / 1000),
        ...(VersionId === undefined ? {} : { versionId: VersionId }),
      });
    }
    yield { objects, folders: (output.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix) };
    if (!output.IsTruncated) return;
    if (!output.NextKeyMarker) throw new FalseAnswer('a list ends before its end');
    markers = {
      KeyMarker: output.NextKeyMarker,
      ...(output.NextVersionIdMarker ? { VersionIdMarker: output.NextVersionIdMarker } : {}),
    };
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
