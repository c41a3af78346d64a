import { expect, test } from 'vitest';
import { createLog } from './log.ts';

test('what is logged while the last lines are written out, and after, is lost and no defect', async () => {
  const log = createLog('info');
  const done = log.flush();
  log.logger.info('late');
  log.logger.fatal('late');
  await done;
  log.logger.info('later');
  expect(log.dropped()).toBe(0);
});
