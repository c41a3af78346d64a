/** Name servers, over UDP. */
import { randomInt } from 'node:crypto';
import { choice, own } from '../../core/options.ts';
import {
  decodeResponse,
  encodeQuery,
  isQueryName,
  type QueryType,
  queryTypes,
  type ResponseCode,
  responseCodes,
} from '../../wire/dns-query.ts';
import { overUdp } from '../datagrams.ts';
import { dialect, failed, passed } from '../dialect.ts';

export const dns = dialect({
  meaning: 'a name server answers a question with the code that is expected',
  reach: () => 'udp',
  options: {
    name: own(
      'What is asked for. Default: the root, which a resolver knows; an authoritative server should be asked for its own zone.',
      (value) =>
        typeof value === 'string' && isQueryName(value)
          ? { value }
          : { refused: 'must be a host name of at most 255 characters' },
      { type: 'string' },
      '.',
    ),
    record: choice('The type of record.', Object.keys(queryTypes) as [QueryType, ...QueryType[]], 'NS'),
    expect: choice('The code that passes.', responseCodes, 'NOERROR'),
  },
  ask: (asked) =>
    overUdp(asked, async (datagrams) => {
      const { options } = asked;
      const id = randomInt(0x10000);
      datagrams.send(encodeQuery(id, options.name, options.record as QueryType));
      for (;;) {
        // An answer to an older question is none; time bounds this.
        const response = decodeResponse(await datagrams.next(), id);
        if (response === undefined) continue;
        if (response.code === (options.expect as ResponseCode)) return passed;
        return failed('check-failed', `it answers ${response.code}, and ${options.expect} is expected`);
      }
    }),
});
