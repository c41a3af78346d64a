import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { type KnownServers, ServerAddresses } from './server-addresses.ts';

const local = Address.parse('192.0.2.7', 53)!;

function servers(known: Partial<KnownServers> = {}): ServerAddresses {
  const addresses = new ServerAddresses();
  addresses.learn({ pools: [], memberListeners: [], machineIps: [], ...known });
  return addresses;
}

const has = (addresses: ServerAddresses, client: string): boolean =>
  addresses.has(Address.parseWithPort(client)!, local);

test('a backend of any pool is no client, whatever family its address is written in', () => {
  const backend = (ip: string, port: number) => ({
    id: 1,
    name: 'b',
    target: { kind: 'inet', ip, port } as const,
    addressText: '',
    weight: 1,
    maxConnections: 0,
  });
  const pools = [
    { id: 1, version: 1, backends: [backend('10.0.0.1', 53), backend('::ffff:10.0.0.2', 53)] },
    { id: 2, version: 1, backends: [backend('2001:db8::1', 53), { ...backend('', 0), target: undefined }] },
  ];
  const addresses = servers({ pools });
  for (const client of ['10.0.0.1:53', '10.0.0.2:53', '[2001:db8::1]:53'])
    expect(has(addresses, client)).toBe(true);
  for (const client of ['10.0.0.1:54', '10.0.0.3:53', '[2001:db8::2]:53'])
    expect(has(addresses, client)).toBe(false);
});

test('another member listens there over UDP', () => {
  const memberListeners = [
    { protocol: 'udp', ip: '10.0.0.5', port: 7777 },
    { protocol: 'tcp', ip: '10.0.0.5', port: 8888 },
  ] as const;
  expect(has(servers({ memberListeners }), '10.0.0.5:7777')).toBe(true);
  expect(has(servers({ memberListeners }), '10.0.0.5:8888')).toBe(false);
});

test('an own listener, until its address is given up', () => {
  const addresses = servers();
  addresses.listens(1, 'a', { kind: 'inet', ip: '192.0.2.7', port: 53 });
  expect(has(addresses, '192.0.2.7:53')).toBe(true);
  expect(has(addresses, '192.0.2.8:53')).toBe(false);
  addresses.unlistens(1, ['a']);
  expect(has(addresses, '192.0.2.7:53')).toBe(false);
});

test('a wildcard listener has the addresses of this machine: loopback, those listed, the one the datagram came to', () => {
  const addresses = servers({ machineIps: ['10.0.0.1', '2001:db8::1'] });
  addresses.listens(1, 'a', { kind: 'inet', ip: '0.0.0.0', port: 53 });
  for (const client of ['127.0.0.9:53', '10.0.0.1:53', '192.0.2.7:53'])
    expect(has(addresses, client)).toBe(true);
  for (const client of ['10.0.0.1:54', '10.0.0.2:53', '[2001:db8::1]:53'])
    expect(has(addresses, client)).toBe(false);
  addresses.listens(2, 'a', { kind: 'inet', ip: '::', port: 54 });
  for (const client of ['[::1]:54', '[2001:db8::1]:54', '10.0.0.1:54'])
    expect(has(addresses, client)).toBe(true);
});

test('says whether there was news', () => {
  const addresses = servers({ machineIps: ['10.0.0.1'] });
  expect(addresses.learn({ pools: [], memberListeners: [], machineIps: ['10.0.0.1'] })).toBe(false);
  expect(addresses.learn({ pools: [], memberListeners: [], machineIps: [] })).toBe(true);
});

test('backends on the port that the client came to: very many of them on very many ports', () => {
  const ports = Array.from({ length: 16_384 }, (_, i) => 10_000 + i);
  const binds = ports.map((port) => ({ kind: 'inet', ip: '0.0.0.0', port }) as const);
  const backends = Array.from({ length: 1_100 }, (_, i) => ({
    id: i + 1,
    name: `b${i}`,
    target: { kind: 'inet', ip: `10.0.${i >> 8}.${i & 255}`, port: 0, portShift: 1_000 } as const,
    addressText: '',
    weight: 1,
    maxConnections: 0,
  }));
  const addresses = servers({
    pools: [{ id: 1, version: 1, backends }],
    listeners: [{ poolId: 1, plan: { bind: binds[0]!, binds } }],
  });
  for (const client of ['10.0.0.0:11000', '10.0.4.75:27383']) expect(has(addresses, client)).toBe(true);
  for (const client of ['10.0.0.0:10999', '10.0.4.75:27384', '10.0.4.76:11000'])
    expect(has(addresses, client)).toBe(false);
});
