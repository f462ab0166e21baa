// Several digits as the main answer: each is a button that shows its own bars and box.

import { element, likely } from "../element.js";

/** From how many digits on they are smaller. */
const SIZES = [
  [13, "many"],
  [6, "some"],
  [0, "few"],
];

/** Shows what was read in `list`; `chosen(index)` is called for the digit that is looked at. */
export class Several {
  #list;
  #chosen;
  #buttons = [];

  constructor(list, chosen) {
    this.#list = list;
    this.#chosen = chosen;
  }

  /** Shows the answer of `/read`, {text, digits}; null for none. */
  show(number) {
    const has = Boolean(number?.digits.length);
    const focused = this.#buttons.indexOf(document.activeElement);
    this.#list.hidden = !has;
    this.#buttons = has ? number.digits.map((digit, index) => this.#button(digit, index)) : [];
    let next = 0;
    const lines = (has ? number.text.split("\n") : []).map((line) => {
      const buttons = this.#buttons.slice(next, (next += line.length));
      return element("li", {}, ...buttons);
    });
    this.#list.replaceChildren(...lines);
    if (!has) return;
    this.#list.className = `several ${SIZES.find(([least]) => number.digits.length >= least)[1]}`;
    this.#choose(Math.min(Math.max(0, focused), this.#buttons.length - 1));
    if (focused >= 0) this.#buttons[Math.min(focused, this.#buttons.length - 1)].focus();
  }

  #button({ digit, confidence }, index) {
    const words = `${digit}, ${likely(confidence)} sure`;
    const made = element("button", { type: "button", "aria-label": words }, String(digit));
    for (const kind of ["pointerenter", "focus", "click"]) {
      made.addEventListener(kind, () => this.#choose(index));
    }
    return made;
  }

  #choose(index) {
    this.#buttons.forEach((button, at) => button.setAttribute("aria-pressed", at === index));
    this.#chosen(index);
  }
}
