/**
 * Redis, Valkey and their like. Asked in their protocol directly: a client library has queues, timers and handlers for a
 * connection that lasts, and a check makes one for each question.
 */
import { choice, duration, text } from '../../core/options.ts';
import { decodeReply, encodeCommand, RespError, type RespValue } from '../../wire/resp.ts';
import { type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import { passwordOption, readPassword } from '../secrets.ts';
import { type CheckStream, overTcp } from '../stream.ts';
import { tlsConnection, tlsOptions, tlsProblem } from '../tls-options.ts';

export const redis = dialect({
  meaning: 'a Redis or Valkey server answers, and has the role that is wanted',
  options: {
    user: text('The ACL user. Default: the default user.', undefined),
    password_file: passwordOption,
    role: choice('The role it must have.', ['primary', 'replica', 'any'], 'any'),
    max_lag: duration('A replica that has not heard its primary for longer is lagging.', undefined),
    ...tlsOptions,
  },
  problem(options) {
    if (options.user !== undefined && options.password_file === undefined)
      return { key: 'user', message: 'needs password_file' };
    return tlsProblem(options);
  },
  async ask(asked) {
    const { options } = asked;
    const password = readPassword(options.password_file);
    return overTcp(asked, async (stream) => {
      if (options.tls) await stream.secure(tlsConnection(options));
      if (password !== undefined) {
        const answer = await say(
          stream,
          'AUTH',
          ...(options.user === undefined ? [] : [options.user]),
          password,
        );
        // The server may repeat what it was sent.
        if (answer instanceof RespError)
          return failed('not-authorized', 'it refuses the user or the password');
      }
      const pong = await say(stream, 'PING');
      if (pong instanceof RespError) return refusal(pong);
      if (options.role === 'any' && options.max_lag === undefined) return passed;
      const info = await say(stream, 'INFO', 'replication');
      return info instanceof RespError
        ? refusal(info)
        : judgeRole(String(info), options.role, options.max_lag);
    });
  },
});

async function say(stream: CheckStream, ...words: readonly string[]): Promise<RespValue> {
  stream.write(encodeCommand(...words));
  return (await stream.message(decodeReply)).value;
}

function refusal({ text }: RespError): CheckResult {
  const code = /^[A-Z]+/.exec(text)?.[0];
  if (code === 'NOAUTH' || code === 'NOPERM' || code === 'WRONGPASS')
    return failed('not-authorized', firstLine(text));
  return failed(code === 'MASTERDOWN' ? 'lagging' : 'check-failed', firstLine(text));
}

/** INFO has lines of `key:value`. */
function judgeRole(
  info: string,
  wanted: 'primary' | 'replica' | 'any',
  maxLagMs: number | undefined,
): CheckResult {
  const of = (key: string): string | undefined => new RegExp(`^${key}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const role = of('role');
  const is = role === 'master' ? 'primary' : role === 'slave' ? 'replica' : undefined;
  if (is === undefined) return failed('check-failed', 'it does not say whether it is a primary or a replica');
  if (wanted !== 'any' && is !== wanted)
    return failed('wrong-role', `it is a ${is}, and a ${wanted} is wanted`);
  if (is === 'primary' || maxLagMs === undefined) return passed;
  if (of('master_link_status') !== 'up') return failed('lagging', 'its link to the primary is down');
  const heardMs = Number(of('master_last_io_seconds_ago')) * 1_000;
  if (heardMs <= maxLagMs) return passed;
  return failed('lagging', `it has not heard its primary for ${heardMs / 1_000} s`);
}
