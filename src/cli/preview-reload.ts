/** What a reload would do, were it asked for now: the file is read and judged as for a reload, and nothing is changed. */
import { diffPlans, type PlanDiff } from '../config/diff.ts';
import { type Loaded, loadPlan, problemLines, warningLines } from '../config/load.ts';
import type { Control } from '../control/control.ts';
import type { Plan } from '../core/plan.ts';
import type { ReloadPreview } from '../front/api/shapes.ts';
import type { Answer } from '../front/http.ts';
import type { MachineFindings } from './machine.ts';

type Change = ReloadPreview['changes'][number];

export async function previewReload(
  control: Control,
  look: (loaded: Loaded) => Promise<MachineFindings>,
  pendingRestart: (plan: Plan) => readonly string[],
): Promise<Answer> {
  const loaded = loadPlan(control.plan.source);
  if ('problems' in loaded) return refusedWith(problemLines(loaded), []);
  const { plan } = loaded;
  const machine = await look(loaded);
  const warnings = [...warningLines(loaded), ...machine.warnings];
  const refusal = control.refusalOf(plan);
  const errors = [...machine.problems, ...(refusal === undefined ? [] : [refusal])];
  if (errors.length > 0) return refusedWith(errors, warnings);
  const diff = diffPlans(control.configured, plan);
  const changes = changesIn(diff);
  const seen = {
    dryRun: true as const,
    errors: [],
    warnings,
    digest: plan.digest,
    changes,
    settings: diff.instance.filter((key) => !diff.needRestart.includes(key)),
    pendingRestart: [...pendingRestart(plan)],
    flowsEnd: flowsOf(control, changes),
  };
  const body: ReloadPreview = { ...seen, text: inWords(seen) };
  return { status: 200, body };
}

function refusedWith(errors: readonly string[], warnings: readonly string[]): Answer {
  const body: ReloadPreview = {
    dryRun: true,
    errors: [...errors],
    warnings: [...warnings],
    digest: null,
    changes: [],
    settings: [],
    pendingRestart: [],
    flowsEnd: 0,
    text: 'The file would be refused; the configuration in use would stay.',
  };
  return { status: 200, body };
}

function changesIn({ listeners, pools }: PlanDiff): Change[] {
  const named = (kind: Change['kind'], what: Change['what'], names: readonly string[]): Change[] =>
    names.map((name) => ({ what, kind, name }));
  const nameOf = ({ name }: { readonly name: string }): string => name;
  const nextName = ({ next }: { readonly next: { readonly name: string } }): string => next.name;
  return [
    ...named('listener', 'added', listeners.added.map(nameOf)),
    ...named('listener', 'changed', listeners.changed.map(nextName)),
    ...named('listener', 'removed', listeners.removed.map(nameOf)),
    ...named('pool', 'added', pools.added.map(nameOf)),
    ...named('pool', 'changed', pools.changed.filter(({ settings }) => settings).map(nextName)),
    ...named('pool', 'removed', pools.removed.map(nameOf)),
    ...pools.changed.flatMap(({ next: { name: pool }, backends }) => {
      const inPool = (name: string): string => `${pool}/${name}`;
      return [
        ...named('backend', 'added', backends.added.map(nameOf).map(inPool)),
        ...named('backend', 'changed', backends.changed.map(nextName).map(inPool)),
        ...named('backend', 'removed', backends.removed.map(nameOf).map(inPool)),
      ];
    }),
  ];
}

/** Open flows of what would be removed. Those of a removed listener may be at a removed backend: they count once. */
function flowsOf({ snapshot, views, backends }: Control, changes: readonly Change[]): number {
  const removed = (kind: Change['kind']): Set<string> =>
    new Set(changes.filter((one) => one.what === 'removed' && one.kind === kind).map(({ name }) => name));
  const [listeners, ofPools, ofBackends] = [removed('listener'), removed('pool'), removed('backend')];
  const ofListeners = (snapshot?.listeners ?? [])
    .filter(({ plan }) => listeners.has(plan.name))
    .reduce((sum, { id }) => sum + views.counters.listener(id, 'active'), 0);
  const atBackends = backends
    .status()
    .filter(({ pool, backend }) => ofPools.has(pool) || ofBackends.has(`${pool}/${backend}`))
    .reduce((sum, { id }) => sum + views.counters.backend(id, 'active'), 0);
  return Math.max(ofListeners, atBackends);
}

function inWords({ changes, settings, pendingRestart, flowsEnd }: Omit<ReloadPreview, 'text'>): string {
  const named = [
    ...changes.map(({ what, kind, name }) => `${kind} ${name} ${what}`),
    ...settings.map((key) => `${key} changed`),
  ];
  const sentences =
    named.length === 0
      ? ['Nothing changes.']
      : [
          `${named.join(', ')}.`,
          flowsEnd === 0
            ? 'No open flow ends.'
            : `${flowsEnd} open ${flowsEnd === 1 ? 'flow ends' : 'flows end'}.`,
        ];
  if (pendingRestart.length > 0) sentences.push(`A restart changes ${pendingRestart.join(', ')}.`);
  return sentences.join(' ');
}
