/**
 * Imported before everything else, so that an old Node.js ends here and not somewhere in a package that expects a newer
 * one. Keep it without imports: they would be evaluated first.
 */

/** As `engines` in package.json says. */
const oldest = [20, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  process.stderr.write(`pinion needs Node.js ${oldest.join('.')} or newer; this is ${process.version}\n`);
  process.exit(1);
}
