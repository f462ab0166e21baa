// Eleven buttons: what an image can show.

import { element } from "../element.js";

/** Fills `place` with the buttons of the ten digits and of no digit; `chosen(digit)`, null for none. */
export function makeLabels(place, chosen) {
  for (const digit of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, null]) {
    const button = element("button", { class: "label-button" }, digit === null ? "no digit" : String(digit));
    button.addEventListener("click", () => chosen(digit));
    place.append(button);
  }
}

/** What a label says. */
export function labelWords(digit) {
  if (digit === null) return "no digit";
  return digit === 8 ? "an 8" : `a ${digit}`;
}
