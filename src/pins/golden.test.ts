/** What keys of addresses hash to, where their pins are in the table, and how Redis names them: as it was before other kinds came. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { keyOf } from '../core/key.ts';
import { PinProbe } from '../core/pins/probe.ts';
import { formatPlace, parsePinText, shardOf } from './pin-text.ts';

// Instances of different versions must agree on all of this, and pins of today must be found tomorrow: nothing may ever change.
test.each([
  ['192.0.2.77', 4000, 'client-ip', 2036917907, 1486113481, 'pg/1/192.0.2.77', 5, 637, 40774],
  ['192.0.2.77', 4000, 'client-subnet', 3474009538, 4001443071, 'pg/2/192.0.2.0', 12, 592, 37902],
  ['192.0.2.77', 4000, 'flow', 3178186910, 1960117064, 'pg/3/192.0.2.77:4000', 6, 864, 55340],
  ['10.0.0.1', 65535, 'client-ip', 2547467523, 3305911906, 'pg/1/10.0.0.1', 2, 715, 45777],
  ['10.0.0.1', 65535, 'client-subnet', 3161005019, 1871839748, 'pg/2/10.0.0.0', 5, 870, 55702],
  ['10.0.0.1', 65535, 'flow', 242796796, 2127845877, 'pg/3/10.0.0.1:65535', 4, 1217, 77888],
  ['0.0.0.0', 0, 'client-ip', 3772044443, 2313862656, 'pg/1/0.0.0.0', 15, 640, 41009],
  ['0.0.0.0', 0, 'client-subnet', 3772044443, 2313862656, 'pg/2/0.0.0.0', 15, 399, 25553],
  ['0.0.0.0', 0, 'flow', 3772044443, 2313862656, 'pg/3/0.0.0.0:0', 15, 1029, 65910],
  ['255.255.255.255', 1, 'client-ip', 2261714441, 382531596, 'pg/1/255.255.255.255', 4, 1332, 85292],
  ['255.255.255.255', 1, 'client-subnet', 3814583343, 1078249837, 'pg/2/255.255.255.0', 5, 461, 29565],
  ['255.255.255.255', 1, 'flow', 3976726882, 2432093221, 'pg/3/255.255.255.255:1', 9, 804, 51476],
  [
    '2001:db8:1:2:3:4:5:6',
    53,
    'client-ip',
    1428096819,
    3050293588,
    'pg/1/2001:db8:1:2:3:4:5:6',
    12,
    520,
    33289,
  ],
  ['2001:db8:1:2:3:4:5:6', 53, 'client-subnet', 18408333, 925668004, 'pg/2/2001:db8:1:2::', 12, 234, 15031],
  [
    '2001:db8:1:2:3:4:5:6',
    53,
    'flow',
    2163789037,
    769817359,
    'pg/3/[2001:db8:1:2:3:4:5:6]:53',
    5,
    251,
    16107,
  ],
  ['::1', 40000, 'client-ip', 2959088729, 2765694229, 'pg/1/::1', 0, 388, 24852],
  ['::1', 40000, 'client-subnet', 1636717521, 1880498517, 'pg/2/::', 10, 674, 43142],
  ['::1', 40000, 'flow', 1844979790, 1014137340, 'pg/3/[::1]:40000', 14, 114, 7301],
  ['fe80::ffff:1', 9, 'client-ip', 2328890799, 4026762097, 'pg/1/fe80::ffff:1', 14, 694, 44471],
  ['fe80::ffff:1', 9, 'client-subnet', 382216093, 3400891878, 'pg/2/fe80::', 4, 232, 14872],
  ['fe80::ffff:1', 9, 'flow', 1042747476, 2137212763, 'pg/3/[fe80::ffff:1]:9', 8, 1136, 72746],
] as const)('%s port %i by %s', (ip, port, kind, hashHigh, hashLow, place, shard, group, bucketA) => {
  const affinity = {
    key: kind,
    prefixV4: 24,
    prefixV6: 64,
    ttlMs: 1,
    claim: 'async',
    claimTimeoutMs: 1,
  } as const;
  const key = keyOf(Address.parse(ip, port)!, affinity);
  expect([key.hashHigh, key.hashLow]).toEqual([hashHigh, hashLow]);
  expect(formatPlace('pg', key.kind, key)).toBe(place);
  expect(`pg/${key.kindNumber}/${key.text}`).toBe(place);
  expect(shardOf(key, 16)).toBe(shard);
  expect(new PinProbe(1480).aim(7, key)).toMatchObject({ group, bucketA });
  const read = parsePinText(place)!;
  expect(read.kind).toBe(kind);
  expect(shardOf(read.words, 16)).toBe(shard);
});
