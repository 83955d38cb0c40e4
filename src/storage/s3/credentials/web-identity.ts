/** Credentials of a role, for a web identity token: AssumeRoleWithWebIdentity of the token service (STS). */
import type http from 'node:http';
import { BackstopError } from '../../../base/error.ts';
import { ask, type Question, refused } from './ask.ts';
import { parseExpiration } from './key-json.ts';
import type { AccessKey, CredentialSource } from './source.ts';
import { readTokenFile } from './token-file.ts';

export interface WebIdentitySettings {
  readonly sts: URL;
  readonly role: string;
  readonly tokenFile: string;
  readonly sessionName: string;
  readonly timeout: number;
  readonly tries: number;
  /** Made when it is needed: it reads certificates. */
  readonly openAgent: (url: URL) => http.Agent;
}

const service = 'token service';

export function webIdentitySource(settings: WebIdentitySettings): CredentialSource {
  const { sts, role, tokenFile, sessionName, timeout, tries } = settings;
  return async () => {
    const token = await readTokenFile(tokenFile, 'AWS_WEB_IDENTITY_TOKEN_FILE');
    const agent = settings.openAgent(sts);
    try {
      const question: Question = {
        url: sts,
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        // in the body, where neither logs of servers nor our own messages find it
        body: new URLSearchParams({
          Action: 'AssumeRoleWithWebIdentity',
          Version: '2011-06-15',
          RoleArn: role,
          RoleSessionName: sessionName,
          WebIdentityToken: token,
        }).toString(),
        service,
        timeout,
        tries,
        agent,
        hint: 'does this host reach the token service? See option repo-s3-sts-host.',
      };
      const answer = await ask(question);
      if (answer.status !== 200) {
        const parts = [textIn(answer.text, 'Code'), textIn(answer.text, 'Message')].filter(part => part !== undefined);
        const detail = parts.length === 0 ? undefined : parts.join(': ').replaceAll(token, '<redacted>');
        throw refused(answer, question, detail, `may the identity of this pod assume role '${role}'?`);
      }
      return { key: keyIn(answer.text), from: `web identity token '${tokenFile}' as role '${role}'` };
    } finally {
      agent.destroy();
    }
  };
}

function keyIn(xml: string): AccessKey {
  const required = (name: string): string => {
    const value = textIn(xml, name);
    if (value === undefined || value === '') throw new BackstopError('format', `${service} gave no ${name}`);
    return value;
  };
  return {
    accessKeyId: required('AccessKeyId'),
    secretAccessKey: required('SecretAccessKey'),
    sessionToken: required('SessionToken'),
    expiration: parseExpiration(required('Expiration'), service),
  };
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Text of the only element of that name; the answers have no attributes and no nesting that would matter. */
function textIn(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text?.trim().replace(/&(\w+);/g, (whole, entity: string) => entities[entity] ?? whole);
}
