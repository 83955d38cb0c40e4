/** The part of Amazon's SDK that reads the shared AWS files: small, and bundled into the program. */
export { loadSharedConfigFiles } from '@smithy/core/config';
