// The answer beside the sheet: the digit or digits, the doubts, what the model saw.

import { element, likely } from "../element.js";
import { makeBars } from "./bars.js";
import { Several } from "./several.js";
import { doubtsOf, least, seenWords } from "./words.js";

/** Shows answers; `chosen(index)` is called for the one of several digits that is looked at. */
export class Answer {
  #move = makeBars(document.getElementById("bars"));
  #digit = document.getElementById("digit");
  #sure = document.getElementById("sure");
  #doubts = document.getElementById("doubts");
  #several;
  #number = null; // the answer of /read, where there are several digits
  #seenImage = document.getElementById("seen-image");
  #seenWhy = document.getElementById("seen-why");
  #seenWords = document.getElementById("seen-words");
  #error = document.getElementById("draw-error");
  #time = document.getElementById("time");
  #warning = "";

  constructor(chosen) {
    this.#several = new Several(document.getElementById("several"), (index) => {
      this.#look(index);
      chosen(index);
    });
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

  /** Shows an answer; its `number` is that of `/read`, or null. */
  show({ prediction, number, version, isDrawing, milliseconds }) {
    const isBlank = prediction.doubts.includes("blank");
    this.#number = number?.digits.length ? number : null;
    this.#error.textContent = this.#warning;
    this.#digit.textContent = isBlank || this.#number ? "" : prediction.digit;
    this.#digit.classList.toggle("doubtful", prediction.doubtful);
    this.#sure.textContent = isBlank ? "Nothing found" : `${likely(prediction.confidence)} sure`;
    this.#doubts.replaceChildren(...doubtsOf(prediction).map((text) => element("li", {}, text)));
    this.#move(isBlank ? null : prediction.probabilities);
    this.#several.show(this.#number);
    this.#showSeen(prediction, isDrawing);
    const time = Math.max(1, Math.round(milliseconds));
    this.#time.textContent = `Answered in ${time} ms by version ${version}`;
  }

  /** Shows one moment of a replay: the digit and the bars alone. */
  recall(prediction) {
    this.#several.show(null);
    this.#digit.textContent = prediction.digit;
    this.#digit.classList.toggle("doubtful", prediction.doubtful);
    this.#sure.textContent = `${likely(prediction.confidence)} sure`;
    this.#move(prediction.probabilities);
  }

  #look(index) {
    const { digit, confidence, probabilities } = this.#number.digits[index];
    this.#sure.textContent = `${digit}: ${likely(confidence)} sure`;
    this.#sure.title = least(this.#number);
    this.#move(probabilities);
  }

  #showSeen({ seen, why }, isDrawing) {
    this.#seenImage.src = `data:image/png;base64,${seen.png}`;
    this.#seenImage.hidden = false;
    this.#seenWhy.hidden = !why;
    if (why) this.#seenWhy.src = `data:image/png;base64,${why.png}`;
    this.#seenWords.textContent = seenWords(seen, isDrawing);
  }

  #empty(words) {
    this.#digit.textContent = "";
    this.#sure.textContent = words;
    this.#doubts.replaceChildren();
    this.#seenImage.hidden = this.#seenWhy.hidden = true;
    this.#seenWords.textContent = "Your ink, brought to 28 by 28 pixels.";
    this.#time.textContent = "";
    this.#several.show(null);
    this.#move(null);
  }
}
