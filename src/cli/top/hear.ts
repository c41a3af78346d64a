/** What an instance says makes the next state. */
import { previewLines } from '../change/backend.ts';
import { span } from '../screen/line.ts';
import { eventsKeptMax, type Heard, type TopState } from './state.ts';

export function hear(state: TopState, heard: Heard): TopState {
  switch (heard.kind) {
    case 'state':
      return { ...state, lost: undefined, ...(state.isPaused ? {} : { page: heard.page }) };
    case 'flows':
      return state.isPaused ? state : { ...state, flows: heard.flows };
    case 'event':
      return { ...state, events: [heard.row, ...state.events].slice(0, eventsKeptMax) };
    case 'lost':
      return { ...state, lost: heard.why };
    case 'preview': {
      const { preview, order } = heard;
      const title = `${order.word} ${order.pool}/${order.backend}${order.to === undefined ? '' : ` ${order.to}`}`;
      const lines = previewLines(preview).map((line) => [span(line)]);
      if (preview.refused !== null) return { ...state, dialog: { title, lines, offset: 0 } };
      return { ...state, dialog: { title: `${title}?`, lines, offset: 0, wish: { kind: 'order', order } } };
    }
    case 'told': {
      const { title, lines, wish } = heard;
      return { ...state, dialog: { title, lines, offset: 0, ...(wish === undefined ? {} : { wish }) } };
    }
    case 'done':
      return { ...state, note: { text: heard.text, isBad: false } };
    case 'refused':
      return { ...state, note: { text: heard.text, isBad: true } };
  }
}
