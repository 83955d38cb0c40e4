/** Uploads in parts that nobody will complete: nobody sees them, and the service bills them until they are aborted. */
import type { ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { isKind } from '../../base/error.ts';
import type { S3Access } from './client.ts';
import { FalseAnswer } from './retry.ts';

const abortsAtOnce = 8;

/**
 * Aborts uploads.
 * @param prefix that is asked for @param wanted whether an upload below it goes, by its key and the seconds since the epoch
 * @returns how many went
 */
export async function abortUploads(
  access: S3Access,
  prefix: string,
  wanted: (key: string, begun: number) => boolean,
): Promise<number> {
  const limit = pLimit(abortsAtOnce);
  let count = 0;
  let markers: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (markers !== undefined) {
    const page: ListMultipartUploadsCommandOutput = await access.send(
      'list',
      prefix,
      'ListMultipartUploads',
      { Prefix: prefix, ...markers },
      answer => {
        const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = answer;
        if (IsTruncated && !NextKeyMarker) throw new FalseAnswer('a list ends before its end');
        if (IsTruncated && NextKeyMarker === markers?.KeyMarker && NextUploadIdMarker === markers?.UploadIdMarker)
          throw new FalseAnswer('a list has no end');
      },
    );
    const { Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
    const gone = Uploads.filter(({ Key, Initiated }) => wanted(Key ?? '', (Initiated?.getTime() ?? Infinity) / 1000));
    await limit.map(gone, async ({ Key = '', UploadId = '' }) => {
      if (await abortUpload(access, Key, UploadId)) count++;
    });
    markers = IsTruncated
      ? {
          KeyMarker: NextKeyMarker ?? '',
          ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
        }
      : undefined;
  }
  return count;
}

/** @returns false when it was gone already */
async function abortUpload(access: S3Access, Key: string, UploadId: string): Promise<boolean> {
  try {
    await access.send('abort-upload', Key, 'AbortMultipartUpload', { Key, UploadId });
    return true;
  } catch (error) {
    if (isKind(error, 'file-missing')) return false;
    throw error;
  }
}
