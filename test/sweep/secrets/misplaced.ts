/** Secrets where they do not belong, or under names that mean nothing: every line here is one that a user could write. */

/** A case, by a name that has no secret in it. */
export type Misplaced<Content> = readonly [what: string, make: (secret: string) => Content];

const option = 'repo1-cipher-pass';

/** Words of a command line. */
export const commandLines: readonly Misplaced<readonly string[]>[] = [
  ['an option', secret => [`--${option}=${secret}`, 'info']],
  ['an option and its value', secret => [`--${option}`, secret, 'info']],
  ['an option behind the command', secret => ['info', `--${option}=${secret}`]],
  ['an abbreviated option', secret => [`--repo1-cipher-pa=${secret}`, 'info']],
  ['an old name', secret => [`--repo-cipher-pass=${secret}`, 'info']],
  ['a name that there is not', secret => [`--repo1-cypher-pass=${secret}`, 'info']],
  ['a name that there is not, in capitals', secret => [`--REPO1_S3_KEY_SECRET=${secret}`, 'info']],
  ['one dash', secret => [`-${option}=${secret}`, 'info']],
  ['no dash', secret => [`${option}=${secret}`, 'info']],
  ['no dash, a colon', secret => [`${option}:${secret}`, 'info']],
  ['all in one word', secret => [`--${option} ${secret}`, 'info']],
  ['a variable', secret => [`PGBACKREST_REPO1_CIPHER_PASS=${secret}`, 'info']],
  ['a number out of range', secret => [`--repo999-cipher-pass=${secret}`, 'info']],
  ['no number', secret => [`--repo-s3-token=${secret}`, 'info']],
  ['a negated option', secret => [`--no-${option}=${secret}`, 'info']],
  ['a reset option', secret => [`--reset-${option}=${secret}`, 'info']],
  ['another wrong option before it', secret => ['--bogus', `--${option}=${secret}`, 'info']],
  ['another wrong option behind it', secret => [`--repo1-s3-token=${secret}`, '--bogus', 'info']],
  ['a name that is too long', secret => [`--${option} ${secret.repeat(4)}`, 'info']],
  ['a parameter', secret => ['info', secret]],
  ['the option to be explained', secret => ['help', 'info', `${option}=${secret}`]],
  ['help', secret => ['help', 'backup', `--${option}=${secret}`]],
  ['a password of a connection', secret => ['restore', `--recovery-option=primary_conninfo=password=${secret}`]],
  [
    'such a password, shown by help',
    secret => ['help', 'restore', `--recovery-option=primary_conninfo=password=${secret}`],
  ],
  [
    'two such passwords',
    secret => ['restore', ...['', ' '].map(mark => `--recovery-option=primary_conninfo=password = '${mark}${secret}'`)],
  ],
];

/** Lines of a configuration file, below `[global]`. */
export const lines: readonly Misplaced<string>[] = [
  ['a blank for the equals sign', secret => `${option} ${secret}`],
  ['a tab for the equals sign', secret => `${option}\t${secret}`],
  ['a colon for the equals sign', secret => `${option}: ${secret}`],
  ['a colon, and no blank', secret => `${option}:${secret}`],
  ['an item of a list', secret => `- ${option}: ${secret}`],
  ['underscores', secret => `repo1_cipher_pass=${secret}`],
  ['underscores and a blank', secret => `repo1_cipher_pass ${secret}`],
  ['a variable', secret => `PGBACKREST_REPO1_CIPHER_PASS=${secret}`],
  ['a variable to be exported', secret => `export PGBACKREST_REPO1_CIPHER_PASS ${secret}`],
  ['a name that there is not', secret => `repo1-cypher-passphrase=${secret}`],
  ['no number', secret => `repo-s3-token=${secret}`],
  ['a number out of range', secret => `repo999-cipher-pass=${secret}`],
  ['behind the section', secret => `[global] ${option}=${secret}`],
  ['within the section', secret => `[global ${option}=${secret}`],
  ['a line of its own', secret => secret],
  ['a line of its own, indented', secret => `  ${secret}`],
  ['a line of its own, with dashes before it', secret => `--${secret}`],
  ['broken into two lines', secret => `${option}=${secret.slice(0, 13)}\n${secret.slice(13)}`],
  ['in the next line', secret => `${option}=\n${secret}`],
  [
    'broken into two lines as openssl does it',
    secret => `${option}=${btoa(secret).slice(0, 13)}\n${btoa(secret).slice(13)}==`,
  ],
  ['without a name', secret => `=${secret}`],
  ['in quotes with its name', secret => `'${option}=${secret}'`],
  ['its name in quotes', secret => `"${option}" = ${secret}`],
  ['its name in quotes, a colon', secret => `"${option}": "${secret}"`],
  ['behind a semicolon', secret => `;${option} ${secret}`],
  ['twice', secret => `${option}=${secret}\n${option}=${secret}`],
  ['by both names', secret => `${option}=${secret}\nrepo-cipher-pass=${secret}`],
  ['negated', secret => `no-${option}=${secret}`],
  ['reset', secret => `reset-${option}=${secret}`],
  [
    'a key that is no base64',
    secret => `repo1-type=s3\nrepo1-s3-bucket=b\nrepo1-s3-region=r\nrepo1-s3-sse-customer-key=${secret}`,
  ],
  ['another encoding', secret => `${option}=${secret}\u00ff`],
  ['an unknown section', secret => `[demo:bogus]\n${option}=${secret}`],
  ['a password of a connection', secret => `recovery-option=primary_conninfo=host=db password=${secret}`],
  ['a quoted password', secret => `recovery-option=primary_conninfo=password='${secret} ${secret}'`],
  ['a password in doubled quotes', secret => `recovery-option=primary_conninfo=password=''it ${secret}'' host=db`],
  ['a password with quotes in it', secret => `recovery-option=primary_conninfo=password=a'${secret}"b${secret}`],
  ['a password with a masked blank', secret => `recovery-option=primary_conninfo=password=a\\ ${secret}`],
  [
    'a password in a URL',
    secret => `recovery-option=primary_conninfo=postgresql://me:${encodeURIComponent(secret)}@db/x`,
  ],
  [
    'a password in a query',
    secret => `recovery-option=primary_conninfo=postgresql://db/x?password=${encodeURIComponent(secret)}`,
  ],
  [
    'a variable before a command',
    secret => `recovery-option=restore_command=PGPASSWORD=${encodeURIComponent(secret)} get %f %p`,
  ],
  [
    'a password in the address of a service',
    secret => `repo1-type=s3\nrepo1-s3-bucket=b\nrepo1-s3-endpoint=https://me:${encodeURIComponent(secret)}@s3`,
  ],
];

/** Variables of the environment. */
export const variables: readonly Misplaced<Readonly<Record<string, string>>>[] = [
  ['a misspelt name', secret => ({ PGBACKREST_REPO1_CYPHER_PASS: secret })],
  ['no number', secret => ({ PGBACKREST_REPO_S3_TOKEN: secret })],
  ['a number out of range', secret => ({ PGBACKREST_REPO999_CIPHER_PASS: secret })],
  ['negated', secret => ({ PGBACKREST_NO_REPO1_CIPHER_PASS: secret })],
  ['two lines', secret => ({ PGBACKREST_REPO1_CIPHER_PASS: `${secret}\n${secret}` })],
  ['both names', secret => ({ PGBACKREST_REPO1_CIPHER_PASS: secret, PGBACKREST_REPO_CIPHER_PASS: secret })],
  ['the name as its value', secret => ({ PGBACKREST_REPO1_CIPHER_PASS: '', PGBACKREST_REPO1_S3_TOKEN: secret })],
  ['a list of passwords', secret => ({ PGBACKREST_RECOVERY_OPTION: `a=password=${secret}:b=password=${secret}` })],
];
