/** Backups of both tools, exchanged: repositories without encryption. */
import { describeMatrix } from './matrix.ts';

describeMatrix('plain');
