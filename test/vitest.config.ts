import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Two projects: `unit` is quick and lives beside the code (npm run check); `system` starts the built
// command and real servers (npm test). System files run one after another: they measure descriptors,
// memory and time, and this must not depend on a neighbour.
export default defineConfig({
  test: {
    // CI counts the tests in this report.
    ...(process.env.PINION_TEST_REPORT === undefined
      ? {}
      : { reporters: ['default', 'json'], outputFile: { json: process.env.PINION_TEST_REPORT } }),
    projects: [
      {
        test: {
          name: 'unit',
          root: fileURLToPath(new URL('..', import.meta.url)),
          include: ['src/**/*.test.ts', 'bench/**/*.test.ts', 'test/tidy.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'system',
          root: fileURLToPath(new URL('..', import.meta.url)),
          include: ['test/**/*.test.ts'],
          exclude: ['test/tidy.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          setupFiles: ['test/support/setup.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
