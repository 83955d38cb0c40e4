/** Backups of both tools, exchanged: encrypted repositories. */
import { describeMatrix } from './matrix.ts';

describeMatrix('encrypted');
