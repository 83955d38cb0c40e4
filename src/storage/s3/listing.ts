/** Lists objects: what stands below a prefix, one level deep or all of it, page by page. */
import type { ListObjectVersionsCommand, ObjectVersion } from '@aws-sdk/client-s3';
import { compareBytes } from '../../base/json.ts';
import { type AnswerBody, collect } from './answer.ts';
import type { S3Access } from './client.ts';
import { FalseAnswer } from './retry.ts';

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** In a bucket that keeps versions, when it is read as of an earlier time. */
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
      'ListObjectsV2',
      {
        Prefix: prefix,
        ...(deep ? {} : { Delimiter: '/' }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      },
      answer => {
        if (answer.IsTruncated === undefined)
          throw new FalseAnswer('the answer to a list does not say whether it is whole');
        if (answer.IsTruncated && !answer.NextContinuationToken) throw new FalseAnswer('a list ends before its end');
        if (answer.IsTruncated && answer.NextContinuationToken === token) throw new FalseAnswer('a list has no end');
        checkNames(answer, prefix);
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

/** What is listed may be removed next: nothing that others have in the bucket may be among it. */
function checkNames(
  {
    Contents = [],
    CommonPrefixes = [],
  }: {
    readonly Contents?: readonly { readonly Key?: string | undefined }[] | undefined;
    readonly CommonPrefixes?: readonly { readonly Prefix?: string | undefined }[] | undefined;
  },
  prefix: string,
): void {
  const isBelow = (name: string | undefined) => name !== undefined && name !== '' && name.startsWith(prefix);
  if (!Contents.every(({ Key }) => isBelow(Key)) || !CommonPrefixes.every(({ Prefix }) => isBelow(Prefix)))
    throw new FalseAnswer('the answer to a list names what was not asked for');
}

/** A page of what was there at an earlier time. */
export interface PastPage extends ListedPage {
  /** The last key that came, if one did: all before it is decided. */
  readonly reached: string | undefined;
}

/**
 * As listPages(), of what was there at an earlier time, in a bucket that keeps versions. A folder is listed also when all that
 * is in it is of another time.
 * @param time milliseconds since the epoch; a version of that very moment counts, and one of that second when it is a whole
 * second, as services differ in what they round
 * @param after begins behind this key
 */
export async function* listPagesAt(
  access: S3Access,
  prefix: string,
  deep: boolean,
  time: number,
  after?: string,
): AsyncGenerator<PastPage> {
  const limit = time % 1000 === 0 ? time + 999 : time;
  let key: string | undefined;
  let newest: VersionEntry | undefined;
  for await (const { entries, folders, isLast } of versionPages(access, prefix, deep, after)) {
    const objects: ListedObject[] = [];
    const decide = () => {
      if (newest === undefined || newest.deleted) return;
      const { key, size, time, versionId } = newest;
      objects.push({
        key,
        size,
        mtime: Math.floor(time / 1000),
        ...(versionId === undefined ? {} : { versionId }),
      });
    };
    for (const entry of entries) {
      // versions of one key come together, but not always in one page
      if (entry.key !== key) {
        decide();
        key = entry.key;
        newest = undefined;
      }
      // the newest comes first: of two that have the same time, too
      if (entry.time <= limit && (newest === undefined || entry.time > newest.time)) newest = entry;
    }
    if (isLast) decide();
    yield { objects, folders, reached: key };
  }
}

interface VersionEntry {
  readonly key: string;
  /** The key was removed then. */
  readonly deleted: boolean;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly size: number;
  /** `null` for what was written while the bucket kept no versions. */
  readonly versionId: string | undefined;
}

/** Versions and removals in the order of the service. */
async function* versionPages(
  access: S3Access,
  prefix: string,
  deep: boolean,
  after: string | undefined,
): AsyncGenerator<{ entries: VersionEntry[]; folders: string[]; isLast: boolean }> {
  let markers: { KeyMarker?: string; VersionIdMarker?: string } = after === undefined ? {} : { KeyMarker: after };
  for (;;) {
    const output = await access.send(
      'list',
      prefix,
      'ListObjectVersions',
      { Prefix: prefix, ...(deep ? {} : { Delimiter: '/' }), ...markers },
      answer => {
        if (answer.IsTruncated === undefined)
          throw new FalseAnswer('the answer to a list does not say whether it is whole');
        const { IsTruncated, NextKeyMarker, NextVersionIdMarker } = answer;
        if (IsTruncated && !NextKeyMarker) throw new FalseAnswer('a list ends before its end');
        if (IsTruncated && NextKeyMarker === markers.KeyMarker && NextVersionIdMarker === markers.VersionIdMarker)
          throw new FalseAnswer('a list has no end');
        checkNames({ ...answer, Contents: [...(answer.Versions ?? []), ...(answer.DeleteMarkers ?? [])] }, prefix);
        const { Versions = [], DeleteMarkers = [] } = answer;
        if (orderOf(answer).length !== Versions.length + DeleteMarkers.length)
          throw new FalseAnswer('the answer to a list cannot be read');
      },
      { wrap: sdk => inOrder(sdk.ListObjectVersionsCommand) },
    );
    const [versions, removals] = [(output.Versions ?? []).values(), (output.DeleteMarkers ?? []).values()];
    const entries: VersionEntry[] = [];
    for (const kind of orderOf(output)) {
      const deleted = kind === 'DeleteMarker';
      const found: ObjectVersion | undefined = (deleted ? removals : versions).next().value;
      const { Key: key = '', LastModified, Size: size = 0, VersionId: versionId } = found ?? {};
      // Ceph gives versions of that very key, too, but not all of them
      if (after !== undefined && compareBytes(key, after) <= 0) continue;
      entries.push({ key, deleted, time: LastModified?.getTime() ?? 0, size, versionId });
    }
    yield {
      entries,
      folders: (output.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
      isLast: !output.IsTruncated,
    };
    if (!output.IsTruncated) return;
    markers = {
      KeyMarker: output.NextKeyMarker ?? '',
      ...(output.NextVersionIdMarker ? { VersionIdMarker: output.NextVersionIdMarker } : {}),
    };
  }
}

type ListVersions = typeof ListObjectVersionsCommand;

/** Kinds of the elements of an answer, as they came. */
const orders = Symbol('orders');

const orderOf = (output: object): readonly string[] => (output as { [orders]?: readonly string[] })[orders] ?? [];

/**
 * The command, with the order of versions and removals in its answer: the SDK gives a list of each, and where both have the
 * same time (services that know whole seconds only) it alone says which was later.
 */
function inOrder(Command: ListVersions): ListVersions {
  return class extends Command {
    constructor(input: ConstructorParameters<ListVersions>[0]) {
      super(input);
      let order: readonly string[] = [];
      this.middlewareStack.add(
        next => async args => {
          const result = await next(args);
          const response = result.response as { readonly statusCode: number; body: AnswerBody };
          if (response.statusCode !== 200) return result;
          const body = await collect(response.body);
          response.body = body;
          order = Array.from(
            Buffer.from(body)
              .toString()
              .matchAll(/<(?:\w+:)?(Version|DeleteMarker)[\s>]/g),
            ([, kind = '']) => kind,
          );
          return result;
        },
        { step: 'deserialize', priority: 'low', name: 'keepOrder' },
      );
      this.middlewareStack.add(
        next => async args => {
          const result = await next(args);
          Object.assign(result.output as object, { [orders]: order });
          return result;
        },
        { step: 'deserialize', priority: 'high', name: 'tellOrder' },
      );
    }
  };
}
