/** Loads Amazon's SDK: in the built program from its own file, with the code that V8 compiled of it in an earlier run. */
import { join } from 'node:path';
import { loadProgram } from '../../base/code-cache.ts';
import { userCacheFolder } from '../../base/user-cache.ts';
import type * as sdk from './sdk.ts';

export type Sdk = typeof sdk;

/** File name of the SDK's bundle, with a hash of its content; set at build time. */
declare const __SDK__: string;

export interface LoadedSdk {
  readonly sdk: Sdk;
  /** Keeps compiled code for the next run. */
  keep(): void;
}

export async function loadSdk(): Promise<LoadedSdk> {
  // it would tell users of Node 20 in their archive log what versions of the SDK in 2027 will need
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  if (typeof __SDK__ === 'undefined') return { sdk: await import('./sdk.ts'), keep: () => undefined };
  const loaded = loadProgram(join(__dirname, __SDK__), userCacheFolder(process.env), 'sdk');
  return { sdk: loaded.exports as Sdk, keep: () => loaded.keep() };
}
