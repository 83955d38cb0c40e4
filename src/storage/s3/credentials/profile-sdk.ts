/** The parts of Amazon's SDK for a profile that refers to something: a role, SSO, a process. Loaded only for such a profile. */
export { fromIni } from '@aws-sdk/credential-provider-ini';
