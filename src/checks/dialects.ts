/** The dialects that health checks speak, by the name they have in the file. `none` is no dialect: nobody asks. */
import type { Dialect } from './dialect.ts';
import { a2s } from './dialects/a2s.ts';
import { agent } from './dialects/agent.ts';
import { bedrock } from './dialects/bedrock.ts';
import { dns } from './dialects/dns.ts';
import { exec } from './dialects/exec.ts';
import { http, https } from './dialects/http.ts';
import { minecraft } from './dialects/minecraft.ts';
import { mysql } from './dialects/mysql.ts';
import { postgres } from './dialects/postgres.ts';
import { quake3 } from './dialects/quake3.ts';
import { redis } from './dialects/redis.ts';
import { sendExpect } from './dialects/send-expect.ts';
import { tcp } from './dialects/tcp.ts';

export const dialects: Readonly<Record<string, Dialect>> = {
  tcp,
  'send-expect': sendExpect,
  http,
  https,
  postgres,
  mysql,
  redis,
  dns,
  a2s,
  minecraft,
  bedrock,
  quake3,
  exec,
  agent,
};

/** By a name that came from a plan. */
export function dialectOf(name: string): Dialect | undefined {
  return Object.hasOwn(dialects, name) ? dialects[name] : undefined;
}
