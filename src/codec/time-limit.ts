/** Ends work that turns in a circle: a library may, of bytes that somebody made for it, and nothing else stops it then. */
import { createContext, Script } from 'node:vm';

/** Runs the work, which must not give up the thread. It costs half a millisecond. @throws its error, or when it takes too long */
export type TimeLimit = (work: () => void) => void;

/** @param milliseconds many times what any sound work takes: a machine may be busy */
export function openTimeLimit(milliseconds: number): TimeLimit {
  const room: { work?: () => void } = {};
  createContext(room);
  const script = new Script('work()');
  return work => {
    room.work = work;
    try {
      script.runInContext(room, { timeout: milliseconds });
    } finally {
      delete room.work;
    }
  };
}
