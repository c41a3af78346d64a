// Counts the tests of reports (vitest's JSON), the second being of files that failed in the first and were run again.
// `--failed REPORT`: those files instead, one a line.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [first, second] = process.argv.slice(2);
if (first === '--failed') {
  for (const { name, status } of read(second))
    if (status === 'failed') console.log(relative(process.cwd(), name));
} else {
  const all = tests(read(first));
  const again = tests(read(second));
  const of = (status) => [...all].filter(([key, was]) => (again.get(key) ?? was) === status);
  const late = of('passed').filter(([, was]) => was === 'failed');
  for (const [key] of late) console.log(`failed at first, passed alone: ${key}`);
  const skipped = all.size - of('passed').length - of('failed').length;
  const alone = late.length === 0 ? '' : ` (${late.length} of them only alone)`;
  console.log(`${of('passed').length} passed${alone}, ${of('failed').length} failed, ${skipped} skipped`);
}

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).testResults;
  } catch {
    return [];
  }
}

/** Status by name. A name that two tests of a file have is counted for each. */
function tests(results) {
  const statuses = new Map();
  for (const { name, assertionResults } of results) {
    for (const { fullName, status } of assertionResults) {
      let key = `${relative(process.cwd(), name)} > ${fullName}`;
      while (statuses.has(key)) key += ' (again)';
      statuses.set(key, status);
    }
  }
  return statuses;
}
