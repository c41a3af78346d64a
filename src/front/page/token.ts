/** Asks for the token that pinion wants, or that may change what another may only look at. */
import { useToken } from './api.ts';
import { openDialog } from './dialog.ts';
import { button, h } from './dom.ts';

/**
 * @param why what happened that one is needed
 * @param given it is in use from now on
 */
export function askToken(why: string, given: () => void): void {
  const token = h('input', { type: 'password', autocomplete: 'current-password', required: true });
  const dialog = openDialog(
    'Which token do you have?',
    h('p', { class: 'muted' }, why),
    h('label', {}, 'Token (the word in a file of admin.tokens; it stays in this tab)', token),
    h(
      'div',
      { class: 'ends' },
      button('Cancel', () => dialog.close()),
      h('button', { type: 'submit', class: 'first' }, 'Use it'),
    ),
  );
  dialog.addEventListener('submit', () => {
    useToken(token.value.trim());
    given();
  });
}
