/** Loaded into every system test file: whatever the file started is ended with it. */
import { afterAll } from 'vitest';
import { stopEverything } from './processes.ts';

afterAll(stopEverything);
