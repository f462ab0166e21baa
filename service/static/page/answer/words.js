// What an answer says, in the words of the page: for the eye and for the ear.

import { likely } from "../element.js";

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
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** The answer as a screen reader should say it; `number` is that of `/read`, or null. */
export function spoken(prediction, number) {
  const said = doubtsOf(prediction);
  if (number?.digits.length) {
    said.push(`${least(number)}.`, `The whole number is ${number.text.split("").join(" ")}.`);
  } else if (!prediction.doubts.includes("blank")) {
    said.unshift(`${prediction.digit}, ${likely(prediction.confidence)} sure.`);
  }
  return said.join(" ");
}

/** How sure the service is of the digits of a number. */
export function least({ digits }) {
  return `At least ${likely(Math.min(...digits.map((one) => one.confidence)))} sure of each`;
}

export function doubtsOf(prediction) {
  return prediction.doubts.map((doubt) => DOUBTS[doubt] ?? doubt);
}

/** What the model saw; a drawing has the colours of the page, whatever was sent. */
export function seenWords({ polarity, stroke_width: width }, isDrawing) {
  const shown = isDrawing && DARK.matches ? "light on dark" : polarity;
  const strokes = width ? ` Strokes ${width.toFixed(1)} pixels wide.` : "";
  return POLARITIES[shown] + strokes;
}
