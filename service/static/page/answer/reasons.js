// The reasons of an answer: what would change it, and the training images that are alike.

import { element, likely } from "../element.js";
import { Change } from "./change.js";

/** The reasons in `panel`, shown while its button is pressed; `changed` when others are wanted. */
export class Reasons {
  #panel;
  #button = document.getElementById("why");
  #against = document.getElementById("against");
  #words = document.getElementById("otherwise-words");
  #canvas = document.getElementById("otherwise");
  #again = document.getElementById("otherwise-again");
  #nearest = document.getElementById("nearest");
  #change = new Change(this.#canvas);

  constructor(panel, { toggled, chosen }) {
    this.#panel = panel;
    for (let digit = 0; digit < 10; digit += 1) {
      this.#against.append(element("option", { value: digit }, `${article(digit)} ${digit}`));
    }
    this.#button.addEventListener("click", () => {
      this.#button.setAttribute("aria-pressed", !this.isOpen);
      this.#panel.hidden = !this.isOpen;
      toggled();
    });
    this.#against.addEventListener("change", chosen);
    this.#again.addEventListener("click", () => this.#change.play());
    this.empty();
  }

  get isOpen() {
    return this.#button.getAttribute("aria-pressed") === "true";
  }

  /** The digit that it should become, or null for the second likeliest. */
  get against() {
    return this.#against.value || null;
  }

  /** There is nothing to be explained; `words` say why. */
  empty(words = "Draw one digit, and rest the pen.") {
    this.#change.clear();
    this.#canvas.hidden = this.#again.hidden = true;
    this.#words.textContent = words;
    this.#nearest.replaceChildren();
  }

  /** The pen moves: what is shown is of an older drawing. */
  fade(isOld) {
    this.#panel.classList.toggle("old", isOld);
  }

  /** Shows an explanation of the 28x28 image `seen`, a PNG in base64. */
  show({ digit, otherwise, nearest }, seen) {
    this.fade(false);
    this.#nearest.replaceChildren(...nearest.map((one) => neighbour(one, digit)));
    this.#words.textContent = otherwise ? told(otherwise) : this.#unfound(digit, nearest);
    this.#canvas.hidden = this.#again.hidden = !otherwise;
    if (!otherwise) return this.#change.clear();
    this.#canvas.setAttribute("aria-label", `The change from ${digit} to ${otherwise.digit}`);
    this.#change.show(seen, otherwise.png);
  }

  #unfound(digit, nearest) {
    if (this.against === String(digit)) return `It is read as ${article(digit)} ${digit} already.`;
    if (!nearest.length) return "This service has no training images to look for a change.";
    return "No small change of strokes was found.";
  }
}

function told({ digit, confidence, changed }) {
  const ink = `${Math.max(1, Math.round(changed))} pixels of ink`;
  return `With ${ink} changed it is read as ${article(digit)} ${digit}, ${likely(confidence)} sure.`;
}

function article(digit) {
  return digit === 8 ? "an" : "a";
}

function neighbour({ index, label, distance, png }, digit) {
  const image = element("img", {
    src: `data:image/png;base64,${png}`,
    alt: `Training image ${index}, labelled ${label}`,
    title: `Training image ${index}, ${distance.toFixed(1)} away`,
    width: 28,
    height: 28,
  });
  const kind = label === digit ? null : "strange";
  return element("li", { class: kind }, image, element("span", { "aria-hidden": "true" }, String(label)));
}
