/** How a command with much to load loads it. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * What `load` gives, sooner: `require()` of an ES module reads and links all that it imports in one go, while `import()` sends each
 * file through promises and the thread pool. What either has loaded the other does not load again.
 * https://nodejs.org/docs/latest-v20.x/api/modules.html#loading-ecmascript-modules-using-require
 * @param file as `load` imports it; nothing that it imports may wait at its top level
 */
export async function atOnce<T>(file: `../${string}.ts`, load: () => Promise<T>): Promise<T> {
  // Not the sources, as unit tests load them; nor Node.js 22.0 to 22.9, which cannot.
  const { require_module: canRequire } = process.features as { readonly require_module?: boolean };
  if (canRequire !== true || import.meta.url.endsWith('.ts')) return load();
  return require(file.replace(/\.ts$/, '.js')) as T;
}
