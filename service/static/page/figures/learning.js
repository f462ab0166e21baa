// How a version learnt: loss and mistakes by epoch, drawn from the figures of its card.

import { chart } from "./chart.js";
import { element, percent } from "../element.js";

/** A section about the `training` of a card that tells of epochs. */
export function learning({ epochs, kept = [] }) {
  const curves = { epochs, marks: kept.map(({ epoch }) => epoch) };
  const words = kept.map(({ epoch, share }) => `${percent(share, 0)} of epoch ${epoch}`);
  return element(
    "section",
    {},
    element("h2", {}, "Training curve"),
    element(
      "ul",
      { class: "legend", role: "list" },
      element("li", { class: "training" }, "training images"),
      element("li", { class: "validation" }, "validation images, which it did not learn from"),
    ),
    element(
      "div",
      { class: "side-by-side" },
      figure({ ...curves, name: "Loss", key: "loss", digits: 4 }),
      figure({ ...curves, name: "Images wrong, %", key: "accuracy", digits: 2 }),
    ),
    words.length ? element("p", { class: "quiet" }, `Dotted: the epochs whose weights it has, ${words.join(" and ")}.`) : "",
  );
}

function figure({ epochs, marks, name, key, digits }) {
  const series = ["training", "validation"].map((kind) => ({
    kind,
    values: epochs.map((epoch) => valueOf(epoch, kind === "training" ? key : `validation_${key}`)),
  }));
  const ends = series
    .filter(({ values }) => values.at(-1) !== null)
    .map(({ kind, values }) => `${kind} ${values.at(-1).toFixed(digits)}`);
  const words = `${name}, by epoch. After epoch ${epochs.length}: ${ends.join(", ")}.`;
  return element("figure", {}, element("figcaption", {}, name), chart({ words, series, marks }));
}

/** A figure of an epoch as it is drawn, null where nothing was held out to find it. */
function valueOf(epoch, key) {
  const value = epoch[key] ?? null;
  return value === null || key.endsWith("loss") ? value : 100 * (1 - value);
}
