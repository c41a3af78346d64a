/** The shape of `admin`: where operators and monitors ask, and who of them may change something. */
import { adminOriginsMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';
import type { AdminPlan } from '../core/plan.ts';
import { readListen } from './bind.ts';
import { readBy, section } from './fields.ts';
import * as z from './zod.ts';

const listen = readBy(
  readListen,
  'Where it listens: unix:/path, 127.0.0.1:9465 or [::1]:9465. Port 0: any free one. On a unix socket (mode 0600) whoever can open it may do everything. On TCP a token says what one may do; without one, an address of this machine may look, unless there is tokens.read_file, and others may only ask whether it is ready.',
  { type: 'string' },
);

const tokenFile = (what: string, more = '') =>
  z
    .string({ error: 'must be the name of a file' })
    .min(1, { error: 'is empty' })
    .meta({
      description: `A file whose first line is the token ${what}, at least 16 characters, or credential:NAME (systemd, LoadCredential=).${more} It is read again when it changes. Make one: openssl rand -hex 32`,
    })
    .optional();

const origin = readBy(
  readOrigin,
  'An origin as a browser says it: https://lb.example.com, with :port if it is not the usual one.',
  { type: 'string' },
);

const originsError = `must be a list of 1 to ${adminOriginsMax} origins, such as [ https://lb.example.com ]`;

export const adminShape = section('The admin API. Left out: none.', {
  listen,
  tokens: section(
    'Who may do what over TCP (Authorization: Bearer TOKEN). Left out: nobody may change anything.',
    {
      read_file: tokenFile('for looking', ' With it, looking needs a token from this machine, too.'),
      write_file: tokenFile('for everything'),
    },
  ).optional(),
  group: z
    .string({ error: 'must be the name of a group, in quotes if it is a number' })
    .regex(/^[a-z0-9_][a-z0-9_-]{0,31}$/i, { error: 'must be the name or number of a group' })
    .meta({
      description:
        'Unix socket: members of this group may open it as well (mode 0660). Left out: its owner alone.',
    })
    .optional(),
  origins: z
    .array(origin, { error: originsError })
    .min(1, { error: originsError })
    .max(adminOriginsMax, { error: originsError })
    .meta({
      description:
        'Where browsers find it besides its own address: what a proxy before it, which ends TLS, is called (https://lb.example.com). Requests for that Host are answered, and pages of that origin may change what their token lets them. Left out: only by IP address or as localhost.',
    })
    .optional(),
}).optional();

export function buildAdmin(written: z.output<typeof adminShape>): AdminPlan | undefined {
  if (written === undefined) return undefined;
  const { listen, tokens, group, origins } = written;
  return {
    listen,
    ...(tokens === undefined
      ? {}
      : {
          tokens: {
            ...(tokens.read_file === undefined ? {} : { readFile: tokens.read_file }),
            ...(tokens.write_file === undefined ? {} : { writeFile: tokens.write_file }),
          },
        }),
    ...(group === undefined ? {} : { group }),
    ...(origins === undefined ? {} : { origins }),
  };
}

/** As browsers write it in Origin (RFC 6454, 6.2): small letters, and no port that is the scheme's own. */
function readOrigin(text: unknown): Reading<string> {
  const form = 'must be an origin: https://lb.example.com, or with a port https://lb.example.com:8443';
  if (typeof text !== 'string' || !/^https?:\/\//i.test(text) || !URL.canParse(text))
    return { refused: form };
  const { origin, username, password } = new URL(text);
  const rest = text.replace(/^[a-z]+:\/\/[^/?#\\]*/i, '');
  if (rest !== '' || username !== '' || password !== '') return { refused: `${form}; write ${origin}` };
  return { value: origin };
}
