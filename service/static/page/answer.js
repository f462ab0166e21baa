// The answer beside the sheet: the digit, the doubts, what the model saw.

import { makeBars } from "./bars.js";
import { element, likely } from "./element.js";

const DOUBTS = {
  blank: "There is no ink to be seen.",
  "not a digit": "This may not be a digit.",
  "several digits": "There is more than one digit here.",
  "too small": "It is too small to be sure.",
  "low contrast": "Ink and paper are almost alike.",
  inverted: "Light and dark seem to be swapped.",
};
const POLARITIES = {
  "as given": "Taken as it is, pixel by pixel.",
  "dark on light": "Dark ink on a light ground.",
  "light on dark": "Light ink on a dark ground.",
};

/** Shows answers in `panel`. */
export class Answer {
  #move = makeBars(document.getElementById("bars"));
  #digit = document.getElementById("digit");
  #sure = document.getElementById("sure");
  #doubts = document.getElementById("doubts");
  #number = document.getElementById("number");
  #numberText = document.getElementById("number-text");
  #seenImage = document.getElementById("seen-image");
  #seenWords = document.getElementById("seen-words");
  #error = document.getElementById("draw-error");
  #time = document.getElementById("time");
  #warning = "";

  constructor() {
    this.reset();
  }

  /** Nothing is on the sheet. */
  reset() {
    this.#empty("Nothing to read yet");
    this.#error.textContent = "";
  }

  /** The answer takes long; an older one would be taken for it. */
  wait() {
    this.#empty("Reading …");
  }

  /** What was put on the sheet could not be read; `message` says why. */
  fail(message) {
    this.#empty("Not read");
    // Written only once, so that it is spoken only once.
    if (this.#error.textContent !== message) this.#error.textContent = message;
  }

  /** Says something that holds until the sheet changes. */
  warn(message) {
    this.#error.textContent = this.#warning = message;
  }

  forget() {
    if (this.#warning) this.warn("");
  }

  show(prediction, milliseconds) {
    const isBlank = prediction.doubts.includes("blank");
    this.#error.textContent = this.#warning;
    this.#digit.textContent = isBlank ? "" : prediction.digit;
    this.#digit.classList.toggle("doubtful", prediction.doubtful);
    this.#sure.textContent = isBlank ? "Nothing found" : `${likely(prediction.confidence)} sure`;
    this.#doubts.replaceChildren(...inWords(prediction).map((text) => element("li", {}, text)));
    if (!prediction.doubts.includes("several digits")) this.showNumber("");
    this.#move(isBlank ? null : prediction.probabilities);
    this.#showSeen(prediction.seen);
    this.#time.textContent = `Answered in ${Math.max(1, Math.round(milliseconds))} ms`;
  }

  /** The whole number in the picture; empty where there is none. */
  showNumber(text) {
    this.#number.hidden = text === "";
    this.#numberText.textContent = text;
  }

  #showSeen({ png, polarity, stroke_width: width }) {
    this.#seenImage.src = `data:image/png;base64,${png}`;
    this.#seenImage.hidden = false;
    const strokes = width ? ` Strokes ${width.toFixed(1)} pixels wide.` : "";
    this.#seenWords.textContent = POLARITIES[polarity] + strokes;
  }

  #empty(words) {
    this.#digit.textContent = "";
    this.#sure.textContent = words;
    this.#doubts.replaceChildren();
    this.#seenImage.hidden = true;
    this.#seenWords.textContent = "Your ink, brought to 28 by 28 pixels.";
    this.#time.textContent = "";
    this.showNumber("");
    this.#move(null);
  }
}

/** The answer as a screen reader should say it. */
export function spoken(prediction, number) {
  const said = prediction.doubts.includes("blank")
    ? []
    : [`${prediction.digit}, ${likely(prediction.confidence, 0)} sure.`];
  said.push(...inWords(prediction));
  if (number) said.push(`The whole number is ${number.split("").join(" ")}.`);
  return said.join(" ");
}

function inWords(prediction) {
  return prediction.doubts.map((doubt) => DOUBTS[doubt] ?? doubt);
}
