import { expect, test } from 'vitest';
import { faultOf } from './errors.ts';

test.each([
  ["READONLY You can't write against a read only replica.", 'read-only'],
  ['NOAUTH Authentication required.', 'no-auth'],
  ['ERR Protocol error: unauthenticated multibulk length', 'no-auth'],
  ['ERR Protocol error: unauthenticated bulk length', 'no-auth'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'no-auth'],
  ["NOPERM this user has no permissions to run the 'eval' command", 'no-permission'],
  ["ERR The user executing the script can't run this command or subcommand script: 7f", 'no-permission'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'out-of-memory'],
  [
    "ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not allowed when used memory > 'maxmemory'.",
    'out-of-memory',
  ],
  ['MISCONF Redis is configured to save RDB snapshots, but', 'cannot-persist'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  ['BUSY Redis is busy running a script.', 'busy'],
  ['CLUSTERDOWN The cluster is down', 'cluster-down'],
  ['Command timed out', 'timeout'],
  ['connect ETIMEDOUT', 'timeout'],
  ["Socket timeout. Expecting data, but didn't receive any in 1500ms.", 'timeout'],
  ["Stream isn't writeable and enableOfflineQueue options is false", 'away'],
  ['Connection is closed.', 'away'],
  ['All sentinels are unreachable. Retrying from scratch after 50ms.', 'away'],
  ['self-signed certificate in certificate chain', 'tls'],
  ['ERR something nobody has seen', 'other'],
])('%s is %s', (message, fault) => expect(faultOf(new Error(message))).toBe(fault));

test('codes of the operating system count', () => {
  expect(faultOf(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe('away');
});

test('whatever is thrown gets a name', () => {
  for (const thrown of [undefined, null, 7, 'text', {}]) expect(faultOf(thrown)).toBe('other');
});
