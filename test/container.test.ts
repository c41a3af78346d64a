/**
 * The recipe of the container image, followed by hand, as no container tool is needed here: each of its steps in a root of its own (chroot,
 * in namespaces that end with it), which has the programs of this machine where the base image has its own, and nothing else. Then what the
 * image would run is run, as its user, is asked whether it is healthy, and is stopped. docs/INSTALL.md says how to build it.
 *
 * `npm ci` is the one step that is not: the same packages are copied, for no registry is asked.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { commandOf } from './support/documents.ts';
import { hostsWork } from './support/namespaces.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { temporaryFolder } from './support/temporary.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const recipe = readFileSync(join(project, 'Containerfile'), 'utf8');

afterAll(stopEverything);

interface Step {
  readonly word: string;
  readonly rest: string;
}

/** The stages of the recipe: each begins with FROM. */
function stagesOf(text: string): Step[][] {
  const stages: Step[][] = [];
  const lines = text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  for (const line of lines.filter((one) => one.trim() !== '')) {
    const [, word = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (word === 'FROM') stages.push([]);
    stages.at(-1)!.push({ word, rest });
  }
  return stages;
}

/** The base image: programs and devices, with `node` as user 1000, as in Node's images. */
function baseOf(root: string): string {
  const node = dirname(dirname(process.execPath));
  return `
mkdir -p ${root}/usr ${root}/etc ${root}/tmp ${root}/run ${root}/proc ${root}/dev ${root}/opt/local-bin ${root}/root
for name in bin lib lib32 lib64 libx32 sbin; do
  if [ -L /$name ]; then ln -s "$(readlink /$name)" ${root}/$name
  elif [ -d /$name ]; then mkdir ${root}/$name && mount --bind /$name ${root}/$name; fi
done
mount --bind /usr ${root}/usr
mount --bind /usr/local/bin ${root}/opt/local-bin
mount -t tmpfs tmpfs ${root}/usr/local/bin
for file in ${root}/opt/local-bin/*; do [ -e "$file" ] && ln -s "/opt/local-bin/$(basename "$file")" ${root}/usr/local/bin/; done
case ${node} in /usr|/usr/*) ;; *) mkdir -p ${root}${node} && mount --bind ${node} ${root}${node} ;; esac
mount --rbind /dev ${root}/dev
mount -t proc proc ${root}/proc
printf 'root:x:0:0::/root:/bin/sh\\nnode:x:1000:1000::/tmp:/bin/sh\\n' > ${root}/etc/passwd
printf 'root:x:0:\\nnode:x:1000:\\n' > ${root}/etc/group
printf '127.0.0.1 localhost\\n' > ${root}/etc/hosts
[ -e /etc/ld.so.cache ] && cp /etc/ld.so.cache ${root}/etc/
[ -d /etc/alternatives ] && cp -a /etc/alternatives ${root}/etc/
chmod 1777 ${root}/tmp
`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The steps of a stage as commands of a shell. Throws for a word that means nothing here. */
function commandsOf(steps: readonly Step[], root: string, roots: readonly string[], path: string): string[] {
  let at = '/';
  return steps.flatMap(({ word, rest }) => {
    if (['FROM', 'ENV', 'USER', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'].includes(word)) return [];
    if (word === 'WORKDIR') {
      at = rest;
      return [`mkdir -p ${root}${at}`];
    }
    const inside = (line: string): string =>
      `env -i PATH=${path} HOME=/root npm_config_offline=true chroot ${root} sh -c ${quoted(`cd ${at} && ${line}`)}`;
    if (word === 'RUN')
      return rest === 'npm ci --ignore-scripts'
        ? [`cp -a ${project}node_modules ${root}${at}/ && touch ${root}${at}/node_modules/.package-lock.json`]
        : [inside(rest)];
    if (word !== 'COPY') throw new Error(`what is ${word} ${rest}?`);
    const words = rest.split(' ');
    const isFromBuild = words[0] === '--from=build';
    const [sources, target] = [words.slice(isFromBuild ? 1 : 0, -1), words.at(-1)!];
    const whole = target.startsWith('/') ? target : join(at, target);
    const from = sources.map((source) => (isFromBuild ? `${roots[0]}${source}` : `${project}${source}`));
    // As COPY does: a folder's contents into the target, a file as the target, or several into it.
    return from.map(
      (source) =>
        `if [ -d ${source} ]; then mkdir -p ${root}${whole} && cp -a ${source}/. ${root}${whole}/; else mkdir -p ${root}${dirname(whole)} ${target.endsWith('/') ? `${root}${whole}` : ''} && cp -a ${source} ${root}${whole}; fi`,
    );
  });
}

const only = (steps: readonly Step[], word: string): string => {
  const found = steps.filter((step) => step.word === word);
  expect(found.length, word).toBe(1);
  return found[0]!.rest;
};

describe.skipIf(!hostsWork())('the recipe of the container', () => {
  test('builds, starts as its user, is healthy, and ends at its signal', async () => {
    const folder = temporaryFolder('container');
    const roots = ['build', 'image'].map((name) => join(folder, name));
    const stages = stagesOf(recipe);
    expect(stages.length).toBe(2);
    const path = `/usr/local/bin:${dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const image = stages[1]!;
    const command = [only(image, 'ENTRYPOINT'), only(image, 'CMD')].flatMap(
      (list) => JSON.parse(list) as string[],
    );
    const health = JSON.parse(/CMD (.*)$/.exec(only(image, 'HEALTHCHECK'))![1]!) as string[];
    const inImage = (words: readonly string[]): string =>
      `env -i PATH=${path} ${only(image, 'ENV')} chroot --userspec=${only(image, 'USER')} ${roots[1]} ${words.map(quoted).join(' ')}`;
    const script = [
      'set -e',
      'mount --make-rprivate /',
      ...stages.flatMap((steps, i) => [baseOf(roots[i]!), ...commandsOf(steps, roots[i]!, roots, path)]),
      // Of what was built only what is copied is there.
      `umount --recursive ${roots[0]}/dev ${roots[0]}/proc`,
      'ip link set lo up',
      `${inImage(command)} > ${folder}/log 2>&1 &`,
      'main=$!',
      `for i in $(seq 60); do ${inImage(health)} && break; sleep 0.5; done`,
      `kill -s ${only(image, 'STOPSIGNAL').replace(/^SIG/, '')} $main`,
      'status=0; wait $main || status=$?; echo "ended with status $status"',
      `ls -ldn ${roots[1]}/run/pinion`,
      `cd ${roots[1]}/opt/pinion && find dist -name '*.test.js' -o -name '*.map'; ls -d dist/bench dist/test node_modules/typescript || true`,
    ].join('\n');
    const said = await runToEnd({
      command: 'unshare',
      args: ['--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', script],
      timeoutMs: 600_000,
    });
    expect(said, readFileSync(join(folder, 'log'), 'utf8')).toMatch(/^ready\b/m);
    expect(said).toMatch(/^ended with status 0$/m);
    expect(said).toMatch(/^drwxr-x--- \d+ 1000 1000 /m);
    expect(said.split('\n').filter((line) => /^(dist|node_modules)\//.test(line))).toEqual([]);
    const log = readFileSync(join(folder, 'log'), 'utf8');
    expect(log).toContain('"event":"ready"');
    expect(log).toContain('"event":"stopped"');
  }, 660_000);

  test('is what docs/INSTALL.md has one build and run', () => {
    const build = commandOf('docs/INSTALL.md', 'podman build');
    expect(recipe).toContain(build);
    const tag = /--tag (\S+) /.exec(build)![1];
    expect(commandOf('docs/INSTALL.md', 'podman run').split(' ').at(-1)).toBe(tag);
    expect(commandOf('docs/INSTALL.md', 'podman run')).toContain(
      `--volume ${dirname((JSON.parse(only(stagesOf(recipe)[1]!, 'CMD')) as string[]).at(-1)!)}:`,
    );
  });
});
