/** The parts of Amazon's SDK that read the shared AWS files and what their profiles refer to. Loaded only when there are such files. */
export { fromIni } from '@aws-sdk/credential-provider-ini';
export { loadSharedConfigFiles } from '@smithy/core/config';
