import { BackstopError } from '../base/error.ts';
import type { StepKind } from './pipeline.ts';

/** Observes: the result is the number of bytes that passed. */
export interface CountSpec {
  readonly step: 'count';
  readonly id: string;
}

/**
 * Passes at most `max` bytes on and fails at the first byte more, so that a small hostile file cannot grow without end
 * when it is decompressed. Fewer bytes are no failure: sizes are compared by whoever knows them.
 */
export interface LimitSpec {
  readonly step: 'limit';
  /** Bytes. */
  readonly max: number;
}

export const countKind: StepKind<CountSpec> = {
  open() {
    let bytes = 0;
    return {
      push(chunk, emit) {
        bytes += chunk.length;
        emit(chunk);
      },
      end: nothing,
      result: () => bytes,
    };
  },
};

export const limitKind: StepKind<LimitSpec> = {
  open({ max }) {
    let bytes = 0;
    return {
      push(chunk, emit) {
        bytes += chunk.length;
        if (bytes > max) throw new BackstopError('format', `data is larger than the ${max} bytes it is known to have`);
        emit(chunk);
      },
      end: nothing,
    };
  },
};

function nothing(): void {
  // passes everything on in push, holds nothing back
}
