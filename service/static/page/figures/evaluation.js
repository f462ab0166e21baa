// The test view: the serving model's scores on MNIST's test images.

import { confusionTable } from "./confusion.js";
import { count, element, likely, percent } from "../element.js";
import { evaluate, ServiceError, showPicture, testImageAddress } from "../service.js";

/** Brings the test view in `panel` to life. */
export function startEvaluation(panel) {
  const button = document.getElementById("evaluate");
  const state = document.getElementById("evaluation-state");
  const error = document.getElementById("test-error");
  const place = document.getElementById("evaluation");

  async function run() {
    button.setAttribute("aria-disabled", "true");
    panel.setAttribute("aria-busy", "true");
    error.textContent = "";
    state.textContent = "Reading 10,000 images";
    const start = performance.now();
    try {
      const scores = await evaluate();
      place.replaceChildren(...shown(scores));
      place.hidden = false;
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      state.textContent =
        `Version ${scores.version} read ${percent(scores.accuracy, 2)} of ` +
        `${count(scores.count)} images right, in ${seconds} seconds.`;
      button.textContent = "Run it again";
    } catch (fault) {
      if (!(fault instanceof ServiceError)) throw fault;
      state.textContent = "";
      error.textContent = fault.message;
    }
    button.removeAttribute("aria-disabled");
    panel.removeAttribute("aria-busy");
  }

  // Not `disabled`: the focus would be lost while it runs.
  button.addEventListener("click", () => {
    if (!button.hasAttribute("aria-disabled")) run();
  });
  document.addEventListener("key", () => error.textContent && run());
}

function shown(scores) {
  const wrong = Math.round(scores.count * (1 - scores.accuracy));
  const figures = element(
    "dl",
    { class: "figures" },
    figure("Accuracy", percent(scores.accuracy, 2), "of all images right"),
    figure("Mistakes", count(wrong), `of ${count(scores.count)} images`),
    figure("Loss", scores.loss.toFixed(4), "mean cross-entropy, in nats"),
    figure("Calibration error", percent(scores.calibration_error, 2), "confidence against truth"),
  );
  const confusion = element(
    "section",
    {},
    element("h2", {}, "Confusion matrix"),
    confusionTable(scores.confusion_matrix),
  );
  const mistakes = element(
    "section",
    {},
    element("h2", {}, "Worst mistakes"),
    element("p", { class: "quiet" }, "Those it was most sure of first."),
    element("ul", { class: "mistakes" }, ...scores.mistakes.map(mistake)),
  );
  return [figures, element("div", { class: "side-by-side" }, confusion, mistakes)];
}

function figure(name, value, meaning) {
  return element(
    "div",
    {},
    element("dt", {}, name),
    element("dd", { class: "value" }, value),
    element("dd", { class: "quiet" }, meaning),
  );
}

function mistake({ index, label, digit, confidence }) {
  const image = element("img", {
    alt: `Test image ${index}: a ${label} read as ${digit}`,
    width: 28,
    height: 28,
    loading: "lazy",
  });
  showPicture(image, testImageAddress(index));
  const words = element(
    "span",
    { "aria-hidden": "true" },
    `${label} → `,
    element("b", {}, String(digit)),
  );
  const sure = element("span", { class: "quiet" }, likely(confidence));
  return element("li", {}, image, words, sure);
}
