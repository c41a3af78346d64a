/**
 * Names whose answers the test gives: pinion's own resolver, but what ends in `.test` (RFC 6761: no such names exist) is
 * answered from here, and waits as long as the test has not answered. So a slow name server takes no time to be had.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { temporaryFolder } from './temporary.ts';

export interface Names {
  /** For the pinion that is to ask. */
  readonly env: NodeJS.ProcessEnv;
  /** What a name resolves to from now on; undefined: it does not. */
  answer(name: string, ip: string | undefined): void;
  /** Resolves when the name has been asked for. */
  asked(name: string): Promise<void>;
}

export function namesInHand(): Names {
  const folder = temporaryFolder('names');
  const patch = `
    import dns from 'node:dns/promises';
    import { existsSync, readFileSync, writeFileSync } from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { lookup } = dns;
    dns.lookup = async (name, options) => {
      if (!name.endsWith('.test')) return lookup(name, options);
      const answer = ${JSON.stringify(folder)} + '/' + name;
      writeFileSync(answer + '.asked', '');
      while (!existsSync(answer)) await new Promise((resolve) => setTimeout(resolve, 10));
      const address = readFileSync(answer, 'utf8');
      if (address === '') throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return options.all ? [{ address, family: 4 }] : { address, family: 4 };
    };
    const { resolve4, resolve6 } = dns.Resolver.prototype;
    const isOurs = (name) => name.endsWith('.test');
    // Names of ours are known to no server: then the system is asked, above.
    const unknown = async () => {
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    };
    dns.Resolver.prototype.resolve4 = function (name, ...more) {
      return isOurs(name) ? unknown() : resolve4.call(this, name, ...more);
    };
    dns.Resolver.prototype.resolve6 = function (name, ...more) {
      return isOurs(name) ? unknown() : resolve6.call(this, name, ...more);
    };
    syncBuiltinESMExports();`;
  return {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(patch)}` },
    answer(name, ip) {
      // In one step: the reader takes what it sees for all of it.
      const path = join(folder, name);
      writeFileSync(`${path}.new`, ip ?? '');
      renameSync(`${path}.new`, path);
    },
    async asked(name) {
      await eventually(`a question for ${name}`, () => existsSync(join(folder, `${name}.asked`)));
    },
  };
}
