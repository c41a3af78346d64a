/** Tables that fold on a narrow screen, where each cell says the name of its column itself. */
import { h } from './dom.ts';

export interface Column<Id extends string> {
  readonly id: Id;
  readonly name: string;
  readonly isNumber?: boolean;
}

export function heads(columns: readonly Column<string>[]): HTMLElement[] {
  return columns.map(({ id, name, isNumber }) =>
    h('th', { scope: 'col', class: classOf(isNumber), 'data-id': id }, name),
  );
}

/** A cell for each column, by its id, in the order of the columns. */
export function cells<Id extends string>(columns: readonly Column<Id>[]): Record<Id, HTMLElement> {
  const made = columns.map(({ id, name, isNumber }) => [
    id,
    h('td', { class: classOf(isNumber), 'data-name': name }),
  ]);
  return Object.fromEntries(made) as Record<Id, HTMLElement>;
}

/** The head of a column without a name to be seen. */
export function actionsHead(): HTMLElement {
  return h('th', { scope: 'col', 'data-id': 'actions' }, h('span', { class: 'hidden-text' }, 'Actions'));
}

export function table(kind: string, headCells: readonly HTMLElement[], body: HTMLElement): HTMLElement {
  return h(
    'div',
    { class: 'wide' },
    h('table', { class: `folds ${kind}` }, h('thead', {}, h('tr', {}, ...headCells)), body),
  );
}

function classOf(isNumber: boolean | undefined): string | undefined {
  return isNumber === true ? 'number' : undefined;
}
