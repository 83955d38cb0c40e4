import { BackstopError } from '../base/error.ts';

/** The service that holds the files cannot be asked at all: asking it for another file is of no use. */
export class UnreachableError extends BackstopError {}
