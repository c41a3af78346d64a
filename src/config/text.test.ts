import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { configFileBytesMax } from '../core/limits.ts';
import { formatProblem, loadPlan } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'pinion-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const good =
  'listeners: [{ name: a, bind: "tcp://0.0.0.0:80", pool: p }]\npools: { p: { backends: [{ name: b, address: "10.0.0.1:80" }] } }\n';

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The one problem of a file, without its path. */
function problemOf(path: string): string {
  const result = loadPlan(path);
  if (!('problems' in result)) throw new Error('expected a problem');
  expect(result.problems).toHaveLength(1);
  const text = formatProblem(result.problems[0]!);
  expect(text.startsWith(`${path}:`)).toBe(true);
  return text.slice(path.length + 1).trim();
}

describe('files that cannot be read', () => {
  it('a missing one', () => expect(problemOf(join(folder, 'none.yaml'))).toBe('there is no such file'));
  it('a directory', () => expect(problemOf(folder)).toBe('is a directory, not a file'));
  it('one below a file', () => {
    expect(problemOf(join(write('file', ''), 'x.yaml'))).toBe('is below something that is not a directory');
  });
  it('a loop of links', () => {
    symlinkSync('loop', join(folder, 'loop'));
    expect(problemOf(join(folder, 'loop'))).toBe('is a loop of symbolic links');
  });
  it('a path with a NUL byte', () => expect(problemOf('a\0b')).toContain('cannot be read'));
  it('one above the limit', () => {
    const path = write('large.yaml', `#${'x'.repeat(10_000_000)}\n${good}`);
    expect(problemOf(path)).toBe(
      'is 10000001 bytes; a configuration has at most 4 MiB'.replace(
        '10000001',
        String(10_000_002 + good.length),
      ),
    );
  });
  it('one without an end', () => expect(problemOf('/dev/zero')).toBe('is not a regular file'));
  it('a pipe that nobody writes to', () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    expect(problemOf(path)).toBe('is not a regular file');
  });
});

describe('files that are not text', () => {
  it('a NUL byte', () =>
    expect(problemOf(write('nul', 'a: 1\nb: \0\n'))).toBe('is not text: it has a NUL byte in line 2'));
  it('invalid UTF-8', () => {
    expect(problemOf(write('latin1', Buffer.from('# caf\xe9\n', 'latin1')))).toBe(
      'is not text: it is not valid UTF-8',
    );
  });
  it('UTF-16', () => {
    expect(problemOf(write('utf16', Buffer.from(`\ufeff${good}`, 'utf16le')))).toBe(
      'is UTF-16 text; save it as UTF-8',
    );
  });
});

describe('files that are read', () => {
  it('with a byte order mark and CRLF', () => {
    expect(loadPlan(write('bom', `\ufeff${good.replaceAll('\n', '\r\n')}`))).toHaveProperty('plan');
  });
  it('as large as the limit', () => {
    const padding = `${'#'.padEnd(configFileBytesMax - good.length - 1, 'x')}\n`;
    expect(loadPlan(write('limit', padding + good))).toHaveProperty('plan');
  });
  it('by a descriptor that was handed over', () => {
    const fd = openSync(write('handed', good), 'r');
    expect(loadPlan(`/dev/fd/${fd}`)).toHaveProperty('plan');
    closeSync(fd);
  });
  it('through a link, named as the user named it', () => {
    const path = join(folder, 'link.yaml');
    mkdirSync(join(folder, 'deep'));
    writeFileSync(join(folder, 'deep/real.yaml'), good);
    symlinkSync('deep/real.yaml', path);
    expect(loadPlan(path)).toMatchObject({ plan: { source: path } });
  });
});
