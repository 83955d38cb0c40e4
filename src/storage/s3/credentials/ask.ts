/** Small requests to the services that give credentials: short answers, a deadline for each try, a few tries. */
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackstopError } from '../../../base/error.ts';

export interface Question {
  readonly url: URL;
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Who is asked, for messages: `metadata service of the instance`. */
  readonly service: string;
  /** Milliseconds for one try. */
  readonly timeout: number;
  readonly tries: number;
  readonly agent?: http.Agent;
  /** What to do when nobody answers. */
  readonly hint: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** No service gives more; more would not be what it should. */
const answerLimit = 256 * 1024;

/** @throws host-connect when no try is answered; an answer of any status is none of its errors */
export async function ask(question: Question): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await askOnce(question);
      const passing = answer.status === 429 || answer.status >= 500;
      if (!passing || attempt >= question.tries) return answer;
    } catch (error) {
      if (attempt >= question.tries) throw unreachable(error, question);
    }
    await sleep(100 * 2 ** attempt * (0.5 + Math.random() / 2));
  }
}

function unreachable(error: unknown, { url, service, hint }: Question): BackstopError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new BackstopError('host-connect', `unable to ask the ${service} at '${url.origin}': ${message || code}`, {
    hint,
    cause: error,
  });
}

function askOnce({ url, method, headers, body, timeout, agent }: Question): Promise<Answer> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers: { ...headers }, agent: agent ?? false }, response => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > answerLimit) asking.destroy(new Error(`answer is longer than ${answerLimit} bytes`));
        else chunks.push(chunk);
      });
      response.once('error', error => {
        // would keep the process from its end
        clearTimeout(timer);
        reject(error);
      });
      response.once('end', () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
      });
    });
    const timer = setTimeout(() => asking.destroy(new Error(`no answer within ${timeout} ms`)), timeout);
    asking.once('error', error => {
      clearTimeout(timer);
      reject(error);
    });
    asking.end(body);
  });
}

/**
 * An answer that is a refusal.
 * @param detail what the service says about it, never the whole answer
 */
export function refused(
  { status }: Answer,
  { url, service }: Question,
  detail: string | undefined,
  hint: string,
): BackstopError {
  const reason = http.STATUS_CODES[status];
  const text = `${service} at '${url.origin}' answered ${status}${reason === undefined ? '' : ` (${reason})`}`;
  return new BackstopError('protocol', detail === undefined ? text : `${text}: ${detail}`, { hint });
}
