// Images of the test set with what was read; each opens on the pad.

import { element, likely } from "../element.js";
import { ServiceError, showPicture, testImage, testImageAddress } from "../service.js";
import { isLabelError } from "./label_errors.js";

/** A list of `mistakes`, as `/evaluate` gives them; `open(file)` gets the one that is chosen. */
export function imageList(mistakes, open, fail) {
  return element("ul", { class: "mistakes" }, ...mistakes.map((one) => item(one, open, fail)));
}

function item({ index, label, digit, confidence }, open, fail) {
  const doubt = isLabelError(index) ? ", a label that is known to be wrong or ambiguous" : "";
  const alt = `Test image ${index}: a ${label} read as ${digit}${doubt}`;
  const image = element("img", { alt, width: 28, height: 28, loading: "lazy" });
  showPicture(image, testImageAddress(index));
  const button = element("button", { class: "image", title: "Open it on the pad" }, image);
  button.addEventListener("click", async () => {
    try {
      open(new File([await testImage(index)], `test image ${index}.png`, { type: "image/png" }));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      fail(error.message);
    }
  });
  const words = element("span", { "aria-hidden": "true" }, `${label} → `, element("b", {}, String(digit)));
  const sure = element("span", { class: "quiet" }, likely(confidence));
  const mark = doubt ? element("span", { class: "label-error", "aria-hidden": "true" }, "label?") : "";
  return element("li", {}, button, words, sure, mark);
}
