/**
 * Elements for the page: made once, then only changed where something is another than before. What has the focus keeps it,
 * and a screen reader is not told again what it knows.
 */

export type Child = Node | string | undefined;

/** Attributes as HTML has them; `true` is an attribute without a value, `false` and undefined none at all. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** What draws a part of the page from what is known. */
export interface View<State> {
  readonly element: Element;
  update(state: State): void;
}

/** An HTML element. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function filled<Made extends Element>(
  element: Made,
  attributes: Attributes,
  children: readonly Child[],
): Made {
  set(element, attributes);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Attributes that are named are set, or taken away; the others stay. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) element.removeAttribute(name);
    else {
      const text = value === true ? '' : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A button that does something; it never submits a form. */
export function button(text: string, press: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = h('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', press);
  return made;
}

/** One element for each item, in the order of the items; an item that stays keeps its element. */
export class Rows<Item> {
  readonly #parent: Element;
  readonly #keyOf: (item: Item) => string;
  readonly #make: (item: Item) => View<Item>;
  #views = new Map<string, View<Item>>();

  constructor(parent: Element, keyOf: (item: Item) => string, make: (item: Item) => View<Item>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  update(items: readonly Item[]): void {
    const views = new Map<string, View<Item>>();
    for (const item of items) {
      const key = this.#keyOf(item);
      if (views.has(key)) continue;
      const view = this.#views.get(key) ?? this.#make(item);
      view.update(item);
      views.set(key, view);
    }
    for (const [key, view] of this.#views) if (!views.has(key)) view.element.remove();
    let at = this.#parent.firstElementChild;
    for (const { element } of views.values()) {
      if (element === at) at = at.nextElementSibling;
      else this.#parent.insertBefore(element, at);
    }
    this.#views = views;
  }
}
