/** Credentials that a program prints, in the form of an AWS credential process. */
import { spawn } from 'node:child_process';
import { BackstopError, systemError } from '../../../base/error.ts';
import { accessKeyIn, parseFields } from './key-json.ts';
import type { CredentialSource } from './source.ts';
import { withoutSecrets } from './without-secrets.ts';

export interface ProcessSettings {
  /** Program and arguments; no shell reads them. */
  readonly command: readonly string[];
  /** Milliseconds after which it is killed. */
  readonly timeout: number;
}

/** Most bytes that are read of each output. */
const outputLimit = 256 * 1024;

export function processSource(settings: ProcessSettings, environment: NodeJS.ProcessEnv): CredentialSource {
  const [program = '', ...args] = settings.command;
  const origin = `process '${program}'`;
  return async () => {
    const fields = parseFields(await outputOf(program, args, settings.timeout, environment), origin);
    if (fields.Version !== undefined && fields.Version !== 1) {
      throw new BackstopError('format', `${origin} gave credentials of a version that is not 1`);
    }
    return { key: accessKeyIn(fields, 'SessionToken', origin), from: origin };
  };
}

/** @throws execute; arguments, which may be secret, are in no message */
function outputOf(
  program: string,
  args: readonly string[],
  timeout: number,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const what = `process '${program}' for credentials`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
    const [out, err] = [collect(child.stdout), collect(child.stderr)];
    const finish = (error: BackstopError | undefined): void => {
      clearTimeout(timer);
      // what it has started may still hold them open
      child.stdout.destroy();
      child.stderr.destroy();
      if (error === undefined) resolve(out.text());
      else reject(error);
    };
    const stop = (reason: string): void => {
      child.kill('SIGKILL');
      const hint = 'it must print credentials and end; run it by hand as this user.';
      finish(new BackstopError('execute', `${what} ${reason}${said(err.text())}`, { hint }));
    };
    const timer = setTimeout(() => stop(`did not end within ${timeout} ms`), timeout);
    for (const output of [out, err]) output.onTooLong(() => stop(`printed more than ${outputLimit} bytes`));
    child.once('error', error => finish(systemError(error, { other: 'execute' }, `unable to execute ${what}`)));
    child.once('close', (code, signal) => {
      if (code === 0) return finish(undefined);
      const end = signal === null ? `exit code ${code}` : `signal ${signal}`;
      const hint = 'run it by hand as this user to see why.';
      finish(new BackstopError('execute', `${what} ended with ${end}${said(err.text())}`, { hint }));
    });
  });
}

function collect(stream: NodeJS.ReadableStream) {
  const chunks: Buffer[] = [];
  let size = 0;
  let tooLong = (): void => undefined;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > outputLimit) tooLong();
    else chunks.push(chunk);
  });
  return {
    text: () => Buffer.concat(chunks).toString(),
    onTooLong: (action: () => void) => {
      tooLong = action;
    },
  };
}

/** The end of what it said on standard error, without what looks like a secret there. */
function said(text: string): string {
  const shown = withoutSecrets(text).trim().slice(-1000);
  return shown === '' ? '' : `: ${shown}`;
}
