/**
 * The page for operators (front/page/): one document with its scripts, style and picture, all of this origin. It holds
 * nothing that is to be kept from anybody, so it asks for no token; what it shows it asks for with one.
 *
 * The files stand beside this one once built (`npm run build`), are read when the room starts, and never again.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Answer, Handle, Routes } from './answer.ts';

const folder = new URL('./page/', import.meta.url);

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** `GET /` is the page, `GET /page/NAME` what it is made of. */
export function pageRoutes(): Routes {
  const files = readFiles();
  const give = (name: string): Answer => {
    const body = files.get(name);
    if (body !== undefined) {
      const contentType = contentTypes[name.slice(name.lastIndexOf('.') + 1)]!;
      return { status: 200, body, contentType, headers };
    }
    if (files.size === 0)
      return { status: 503, body: 'this page is not built: run `npm run build`\n', headers };
    return { status: 404, body: { error: `the page has no file ${name}` }, headers };
  };
  const file: Handle = ({ params }) => give(params.file ?? '');
  return { 'GET /': () => give('index.html'), 'GET /page/:file': file };
}

function readFiles(): ReadonlyMap<string, Uint8Array> {
  const names = namesIn(folder).filter((name) => /^[a-z0-9-]+\.(html|js|css|svg)$/.test(name));
  return new Map(names.map((name) => [name, readFileSync(new URL(name, folder))]));
}

function namesIn(place: URL): string[] {
  try {
    return readdirSync(place);
  } catch {
    return [];
  }
}
