/**
 * The PROXY protocol between pinion and others who speak it: HAProxy and nginx send headers to it and read those that it sends.
 *
 *    client --> HAProxy or nginx --(v1, v2)--> pinion --(v2)--> HAProxy, which answers whom it takes the client for
 *    client ---------------------------------> pinion --(v1)--> nginx, likewise
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configText, listener } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startHaproxy } from './support/haproxy.ts';
import { startNginx } from './support/nginx.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

afterAll(stopEverything);

interface Answer {
  /** All that came back. */
  readonly text: string;
  /** As the first server sees it. */
  readonly client: string;
  readonly isReset: boolean;
}

/** Says `words` and reads until the end. */
function ask(port: number, from: string, words: string): Promise<Answer> {
  return new Promise((resolve) => {
    let text = '';
    let client = '';
    let isReset = false;
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    socket.on('connect', () => {
      client = `${socket.localAddress}:${socket.localPort}`;
      socket.write(words);
    });
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => {
      isReset = true;
    });
    socket.on('close', () => resolve({ text, client, isReset }));
  });
}

const get = 'GET / HTTP/1.0\r\n\r\n';
const bodyOf = ({ text }: Answer): string => text.split('\r\n\r\n')[1] ?? '';

requirePackage('haproxy', 'nginx')('PROXY protocol with HAProxy and nginx', () => {
  const ports: Record<'end' | 'nginx' | 'v1' | 'v2' | 'stream', number> = {
    end: 0,
    nginx: 0,
    v1: 0,
    v2: 0,
    stream: 0,
  };

  beforeAll(async () => {
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();
    const defaults = 'defaults\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n';
    const end = [
      'frontend end',
      '  mode http',
      `  bind 127.0.0.1:${ports.end} accept-proxy`,
      '  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst_port] %[fc_pp_unique_id]"',
    ];
    await startHaproxy({ config: `${defaults}${end.join('\n')}\n`, port: ports.end });
    const blocks = [
      'http {',
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `  ${n}_temp_path ${n};`),
      '  access_log off;',
      '  server {',
      `    listen 127.0.0.1:${ports.nginx} proxy_protocol;`,
      '    location / { default_type text/plain; return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }',
      '  }',
      '}',
    ];
    await startNginx({ blocks: blocks.join('\n'), port: ports.nginx });
  });

  describe.each(['epoll', 'portable'])('engine %s', (engine) => {
    let pinion: Pinion;

    beforeAll(async () => {
      const health = { type: 'http', interval: '2s', timeout: '2s' };
      const told = { version: 'v2', tlvs: ['unique-id', 'incoming', 'checksum'] };
      const backend = (port: number) => [{ name: 'b', address: `127.0.0.1:${port}` }];
      pinion = await startPinion(
        configText({
          engine,
          workers: 1,
          log: { flows: { level: 'info' } },
          listeners: [
            listener('chain', 'tcp', 'end', { proxy_protocol: { from: '127.0.0.1', timeout: '3s' } }),
            listener('first', 'tcp', 'nginx'),
          ],
          pools: {
            end: { proxy_protocol: told, health, backends: backend(ports.end) },
            nginx: { proxy_protocol: 'v1', health, backends: backend(ports.nginx) },
          },
        }),
      );
      const chain = pinion.port('chain');
      const proxies = (name: string, port: number, options: string): string =>
        `listen ${name}\n  mode tcp\n  unique-id-format id-%pid-%rt\n  bind 127.0.0.1:${port}\n  server p 127.0.0.1:${chain} ${options}\n`;
      for (const name of ['v1', 'v2', 'stream'] as const) ports[name] = await freePort();
      const config = [
        'defaults\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n',
        proxies('v1', ports.v1, 'send-proxy'),
        proxies('v2', ports.v2, 'send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 2s'),
      ];
      await startHaproxy({ config: config.join(''), port: ports.v2 });
      const blocks = `stream { server { listen 127.0.0.1:${ports.stream}; proxy_protocol on; proxy_pass 127.0.0.1:${chain}; } }`;
      await startNginx({ blocks, port: ports.stream });
    });

    test.each(['v1', 'v2', 'stream'] as const)(
      'the client of a proxy (%s) is known at the end',
      async (name) => {
        const answer = await ask(ports[name], '127.0.0.77', get);
        const [client, port, id] = bodyOf(answer).split(' ');
        expect([client, Number(port)]).toEqual([answer.client, ports[name]]);
        // One that came in is kept.
        expect(id).toMatch(name === 'v2' ? /^id-\d+-/ : /^[0-9a-z]+-0-\d+$/);
        const record = await pinion.waitForLog(
          ({ event, client: logged }) => event === 'flow' && logged === answer.client,
        );
        expect(record.peer).toMatch(/^127\.0\.0\.1:/);
      },
    );

    test('a client that comes by no proxy is told to nginx in version 1', async () => {
      const answer = await ask(pinion.port('first'), '127.0.0.78', get);
      expect(bodyOf(answer)).toBe(answer.client);
    });

    test('checks say that they come for nobody, and pass', async () => {
      await eventually('both backends up', async () => {
        const up = await pinion.metric('pinion_backend_up');
        return up === 2;
      });
    });

    test('a header is required of a proxy, and believed of nobody else', async () => {
      const line = `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${get}`;
      const forged = await ask(pinion.port('chain'), '127.0.0.9', line);
      // It reaches the server as what the client said: no request that HTTP knows.
      expect(forged.text).toMatch(/^HTTP\/1\.. 400 /);
      for (const words of [get, 'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n', '']) {
        const refused = await ask(pinion.port('chain'), '127.0.0.1', words);
        expect([refused.text, refused.isReset]).toEqual(['', true]);
      }
      await eventually('three refusals counted', async () => {
        const labels = { listener: 'chain', code: 'proxy-header' };
        return (await pinion.metric('pinion_listener_ended_total', labels)) === 3;
      });
      await expect.poll(() => pinion.metric('pinion_listener_arrivals', { listener: 'chain' })).toBe(0);
    });
  });
});
