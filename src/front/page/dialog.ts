/** A question before something is done: what it would do, asked of pinion itself, then yes or no. */
import { words } from './api.ts';
import { button, h, say, set } from './dom.ts';

export interface PreviewText {
  readonly text: string;
  /** It would be refused. */
  readonly isRefused?: boolean;
}

export interface Question {
  readonly title: string;
  /** What the button says: a verb. */
  readonly verb: string;
  readonly isGrave?: boolean;
  /** Choices that change what it does; when one changes, the preview is asked for again. */
  readonly choices?: readonly HTMLElement[];
  readonly preview: () => Promise<PreviewText>;
  /** @returns what was done, in words */
  readonly act: () => Promise<string>;
}

/** Tells the outcome of what was done: for the eye at the foot of the page, for the ear at once. */
export type Tell = (text: string) => void;

const typingMs = 200;

export function openDialog(title: string, ...children: readonly (Node | string)[]): HTMLDialogElement {
  const form = h('form', { method: 'dialog' }, h('h2', { id: 'dialog-title' }, title), ...children);
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  dialog.addEventListener('close', () => dialog.remove());
  // On what lies behind it.
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function askFirst(question: Question, tell: Tell): void {
  const { title, verb, choices = [], act } = question;
  const preview = h('div', { class: 'preview', role: 'status' }, 'Asking what this would do …');
  const yes = h('button', { type: 'submit', class: question.isGrave === true ? 'grave' : 'first' }, verb);
  yes.disabled = true;
  const no = button('Cancel', () => dialog.close());
  const dialog = openDialog(title, ...choices, preview, h('div', { class: 'ends' }, no, yes));
  const show = ({ text, isRefused = false }: PreviewText): void => {
    set(preview, { 'data-kind': isRefused ? 'refused' : undefined });
    say(preview, text);
    yes.disabled = isRefused;
  };
  const refresh = latest(question.preview, show, (error) => show({ text: words(error), isRefused: true }));
  let timer: number | undefined;
  dialog.addEventListener('input', () => {
    yes.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(refresh, typingMs);
  });
  dialog.addEventListener('submit', (event) => {
    event.preventDefault();
    if (yes.disabled) return;
    yes.disabled = true;
    act().then(
      (text) => {
        dialog.close();
        tell(text);
      },
      (error: unknown) => show({ text: words(error), isRefused: true }),
    );
  });
  refresh();
}

/** Of answers that overtake each other only that to the latest question counts. */
export function latest<Answer>(
  ask: () => Promise<Answer>,
  show: (answer: Answer) => void,
  fail: (error: unknown) => void,
): () => void {
  let asked = 0;
  return () => {
    const mine = ++asked;
    ask().then(
      (answer) => mine === asked && show(answer),
      (error: unknown) => mine === asked && fail(error),
    );
  };
}

export function checkbox(text: string): { readonly element: HTMLElement; readonly input: HTMLInputElement } {
  const input = h('input', { type: 'checkbox' });
  return { element: h('label', { class: 'check' }, input, text), input };
}
