/** The entry of worker threads: opens what the command's jobs need, then serves jobs. */
import { parentPort, workerData } from 'node:worker_threads';
import type { GetThreadData } from '../command/archive/get-job.ts';
import type { PushThreadData } from '../command/archive/push-job.ts';
import type { BackupThreadData } from '../command/backup/job.ts';
import type { ExpireThreadData } from '../command/expire/job.ts';
import type { RestoreThreadData } from '../command/restore/job.ts';
import type { VerifyThreadData } from '../command/verify/job.ts';
import { serveJobs } from '../parallel/thread-port.ts';

/** The jobs of each command. A new command with jobs is one line here. */
type ThreadData =
  | PushThreadData
  | GetThreadData
  | BackupThreadData
  | RestoreThreadData
  | VerifyThreadData
  | ExpireThreadData;

async function openJobs(data: ThreadData) {
  switch (data.command) {
    case 'archive-push':
      return (await import('../command/archive/push-job.ts')).openPushJobs(data);
    case 'archive-get':
      return (await import('../command/archive/get-job.ts')).openGetJobs(data);
    case 'backup':
      return (await import('../command/backup/worker.ts')).openBackupJobs(data);
    case 'restore':
      return (await import('../command/restore/job.ts')).openRestoreJobs(data);
    case 'expire':
      return (await import('../command/expire/job.ts')).openExpireJobs(data);
    case 'verify':
      return (await import('../command/verify/job.ts')).openVerifyJobs(data);
  }
}

if (parentPort === null) throw new Error('this is the entry of worker threads');
serveJobs(parentPort, openJobs(workerData as ThreadData), (workerData as ThreadData).retry);
