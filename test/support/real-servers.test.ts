/** The real servers the other tests stand on: each starts, answers, and is gone afterwards. */
import { Resolver } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startDnsmasq } from './dnsmasq.ts';
import { startHaproxy } from './haproxy.ts';
import { startStaticHttp } from './nginx.ts';
import { freePort, isBound } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { runToEnd, startProcess, stopEverything } from './processes.ts';
import { openDescriptors, processTree, residentBytes } from './procfs.ts';
import { startRedis } from './redis.ts';
import { requirePackage } from './require-package.ts';
import { temporaryFolder } from './temporary.ts';

async function text(port: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}/`)).text();
}

requirePackage('postgres')('postgres', () => {
  test('answers a query and frees its port', async () => {
    const postgres = await startPostgres();
    expect(await postgres.query('select 6 * 7')).toBe('42');
    await expect(postgres.query('select nonsense')).rejects.toThrow(/column "nonsense" does not exist/);
    await postgres.stop();
    expect(isBound('tcp', postgres.port)).toBe(false);
  });
});

requirePackage('redis')('redis', () => {
  test('comes back empty on the same port', async () => {
    const first = await startRedis();
    expect(await first.command('set', 'key', 'value')).toBe('OK');
    await first.stop();
    const second = await startRedis({ port: first.port });
    expect(await second.command('exists', 'key')).toBe('0');
  });
});

requirePackage('nginx', 'haproxy')('nginx and haproxy', () => {
  test('a static answer comes through HAProxy', async () => {
    const backend = await startStaticHttp({ body: 'I am one' });
    const port = await freePort();
    const timeouts = 'timeout connect 2s\n timeout client 5s\n timeout server 5s';
    const config = `defaults\n mode tcp\n ${timeouts}\nlisten l\n bind 127.0.0.1:${port}\n server s 127.0.0.1:${backend.port}\n`;
    await startHaproxy({ config, port });
    expect(await text(port)).toBe('I am one');
  });

  test('a wrong configuration is reported with what the server said', async () => {
    await expect(startHaproxy({ config: 'rubbish\n', port: 1 })).rejects.toThrow(/unknown keyword 'rubbish'/);
  });
});

requirePackage('dnsmasq')('dnsmasq', () => {
  test('two servers answer with different names', async () => {
    for (const name of ['one', 'two']) {
      const server = await startDnsmasq({
        texts: { 'who.test': name },
        hosts: { 'b.test': ['127.0.0.8', '::1'] },
      });
      const resolver = new Resolver();
      resolver.setServers([`127.0.0.1:${server.port}`]);
      expect(await resolver.resolveTxt('who.test')).toEqual([[name]]);
      expect(await resolver.resolve4('b.test')).toEqual(['127.0.0.8']);
      expect(await resolver.resolve6('b.test')).toEqual(['::1']);
    }
  });
});

test('a process that ignores SIGTERM is killed with its children', async () => {
  const script = 'trap "" TERM; echo up; sleep 1000 & wait; sleep 1000';
  const stubborn = startProcess({ command: 'sh', args: ['-c', script] });
  await stubborn.waitForOutput(/up/);
  const [, child] = processTree(stubborn.pid);
  expect(residentBytes(stubborn.pid)).toBeGreaterThan(0);
  expect(openDescriptors(stubborn.pid)).toBeGreaterThan(2);
  expect((await stubborn.stop('SIGTERM', 100)).signal).toBe('SIGKILL');
  expect(openDescriptors(child ?? 0)).toBe(0);
});

test('what cannot be started, and what fails, says so', async () => {
  await expect(runToEnd({ command: '/no/such/command' })).rejects.toThrow(/No such file/);
  await expect(runToEnd({ command: 'sh', args: ['-c', 'echo why; exit 3'] })).rejects.toThrow(
    /code 3.*\nwhy/s,
  );
  const silent = startProcess({ command: 'true' });
  await expect(silent.waitForOutput(/never/)).rejects.toThrow(/ended \(code 0\)/);
});

test('stopping everything ends processes and removes folders', async () => {
  const folder = temporaryFolder('test');
  const process = startProcess({ command: 'sleep', args: ['1000'] });
  await stopEverything();
  expect(process.status?.signal).toBe('SIGTERM');
  expect(existsSync(folder)).toBe(false);
});

test('free ports lie below the ephemeral range and differ', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort('udp'), freePort('udp')]);
  expect(new Set(ports).size).toBe(4);
  for (const port of ports) expect(port).toBeLessThan(32_768);
});
