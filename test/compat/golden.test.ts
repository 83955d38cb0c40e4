/** Golden repositories in a folder. */
import { describeGolden } from './golden.ts';

describeGolden({
  name: 'a folder',
  directories: true,
  continued: true,
  options: async () => ({}),
  store: async () => undefined,
});
