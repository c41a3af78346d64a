import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const system = {
  root,
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: ['test/support/setup.ts'],
  testTimeout: 240_000,
  hookTimeout: 240_000,
  // As long as `eventually` (test/support): what another process does comes in its own time.
  expect: { poll: { timeout: 60_000, interval: 20 } },
};

const unit = {
  root,
  // Some reckon for seconds, on a busy machine for a minute.
  testTimeout: 120_000,
  sequence: { groupOrder: 0 },
};

/** Unit tests that replace modules, which must not reach those of another file: each in a process of its own. */
const replacing = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `src/${file}`)
  .filter((file) => readFileSync(`${root}${file}`, 'utf8').includes('vi.mock('));

/** Unit tests that wait for real time-outs and watched folders, so that the others are over within a minute (npm run check). */
const waiting = [
  'checks/dialects',
  'checks/linux-tcp',
  'checks/records',
  'cluster/redis/node',
  'control/discovery/file',
  'front/http',
].map((name) => `src/${name}.test.ts`);

/** System tests that mostly wait (for time-outs, restarts, health checks), and judge only what their own processes do. */
const patient = [
  'access',
  'address-change',
  'admin-api',
  'admin-strangers',
  'affinity',
  'affinity-groups',
  'bad-input',
  'check-examples',
  'checks-mysql',
  'checks-room',
  'checks-servers',
  'cluster-forms',
  'cluster-model',
  'cluster-redis',
  'comes-back',
  'coming-up',
  'commands',
  'conformance-epoll',
  'conformance-kernel',
  'conformance-portable',
  'connection-age',
  'container',
  'dashboard',
  'demo',
  'demo-keys',
  'discovery',
  'documented-api',
  'documents',
  'edge-examples',
  'failover-postgres',
  'failover-redis',
  'faults-log',
  'faults-process',
  'faults-tcp',
  'faults-udp',
  'game-checks',
  'hostile-redis',
  'installing',
  'kernel-bucket',
  'kernel-means',
  'kernel-ruleset',
  'kill',
  'last-words',
  'limits',
  'limits-cluster',
  'loops',
  'loops-between',
  'machine',
  'migrating',
  'mistakes',
  'newcomer',
  'observability',
  'operating',
  'operator-words',
  'paced-closing',
  'page-examples',
  'places-threads',
  'ports',
  'prometheus',
  'proxy-mariadb',
  'proxy-protocol',
  'proxy-protocol-udp',
  'quic-id',
  'readme',
  'rebind',
  'redis-reshard',
  'redis-reshard-scan',
  'redis-secrets',
  'reload',
  'ring-nginx',
  'rooms',
  'routes',
  'servers-dnsmasq',
  'servers-http',
  'servers-postgres',
  'servers-redis',
  'silent-backend',
  'silent-names',
  'socket-options',
  'systemd',
  'systemd-notify',
  'systemd-sockets',
  'tiers',
  'udp-moved-backend',
  'udp-stopping',
].map((name) => `test/${name}.test.ts`);

// One after the other: `unit` is quick and lives beside the code (npm run check), as does `waiting`; `patient` and `system` start the
// built command and real servers (npm test). Those of `system` run one by one: they measure descriptors, memory and time,
// or need both cores, and this must not depend on a neighbour.
export default defineConfig({
  test: {
    // CI counts the tests in this report.
    ...(process.env.PINION_TEST_REPORT === undefined
      ? {}
      : { reporters: ['default', 'json'], outputFile: { json: process.env.PINION_TEST_REPORT } }),
    projects: [
      {
        test: {
          ...unit,
          name: 'unit',
          include: ['src/**/*.test.ts', 'bench/**/*.test.ts', 'test/tidy.test.ts'],
          exclude: [...replacing, ...waiting],
          // A process for each file would take longer than the tests.
          isolate: false,
        },
      },
      { test: { ...unit, name: 'unit-replacing', include: replacing } },
      { test: { ...unit, name: 'waiting', include: waiting, maxWorkers: 3, sequence: { groupOrder: 1 } } },
      {
        test: {
          ...system,
          name: 'patient',
          include: patient,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...system,
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: ['test/tidy.test.ts', ...patient],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
